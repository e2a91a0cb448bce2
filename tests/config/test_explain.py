"""Texts for --explain and --dry-run, and the editor schema."""

import json
from pathlib import Path

import pytest

from seq2seq.config import TASKS, describe, editor_schema, explain, leaves, load_recipe
from seq2seq.config.schema import Key, keys
from seq2seq.errors import RecipeError

ALL_KEYS = {task: list(keys(task)) for task in TASKS}

MINIMAL = """\
output: runs/x
data:
  source_language: en
  target_language: de
  train: [{source: a.en, target: a.de}]
  valid: {source: v.en, target: v.de}
"""


@pytest.mark.parametrize("key", [key for of_task in ALL_KEYS.values() for key in of_task], ids=lambda key: key.name)
def test_every_key_is_explained(key: Key) -> None:
    assert key.info.description, f"{key.name} has no description"
    text = explain(key.name)
    assert text.startswith(f"{key.name}\n  ")
    assert f"  {key.shape.expected}; " in text
    assert " ".join(key.info.description.split()) in text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("train.warmup_steps", "a whole number of at least 0; default 4000\n  Steps in which"),
        ("train.schedule", "one of noam, inverse_sqrt, cosine, constant; default inverse_sqrt\n"),
        ("train.betas", "each a number of at least 0 and below 1; default [0.9, 0.98]"),
        ("train.patience", "a whole number of at least 1, or null; default 10"),
        ("train.epsilon", "a number above 0; default 1e-09"),
        ("decode.beam_size", "a whole number from 1 to 1000; default 5"),
        ("tokenizer.shared", "true or false; default true"),
        ("data.cache", "text; default ''"),
        ("data.test", "or {dataset: NAME}, or a list of them, or null; default null"),
        ("data.source_language", "a language code such as en or pt-BR; required"),
        ("data.train.0.source", "data.train.N.source\n  text; required for this kind\n  File with one source"),
        ("data.train.0.target", "data.train.N.target\n  text; required with source\n  File with the translation"),
        ("data.train.0.split", "text; default train, with dataset\n"),
        ("data.train.0.source_column", "a whole number of at least 1; default 1, with tsv\n  Number"),
        ("data.train.0.source_column", "text, or null; default null, with jsonl or dataset\n  Name"),
        ("data.train.0", "data.train.N\n  a corpus, {source: FILE"),
        ("data.train", "  data.train.N.dataset: text; required for this kind."),
        ("data.test.source", "data.test.source\n  text; required for this kind\n  File with one source"),
        ("data.test.1.source", "data.test.N.source\n  text; required for this kind\n  File with one source"),
        ("data.valid.weight", "data.valid.weight\n  a number above 0; default 1\n"),
        ("data.valid.0", "data.valid.N\n  a corpus, {source: FILE"),
        ("data.valid.0", "\n  Corpus that the model is validated with"),
        ("data", "then counts. It has the keys of data.train.N.\n"),
        ("data.noise", "  data.noise.upper_case: a number from 0 to 1; default 0. Share"),
        ("train", "  train.max_steps: a whole number of at least 1; default 100000. Optimizer steps"),
        ("", "  output: text; required. Run folder"),
    ],
)
def test_explanations(key: str, text: str) -> None:
    assert text in explain(key, ["translation"])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("seed", "seed\n  a whole number from 0 to 2147483647; default 1\n  Seed of"),
        ("model.context", "model.context\n  with task language_model:\n  a whole number of at least 1; default 256\n"),
        ("train.r_drop", "train.r_drop\n  with task translation:\n  a number of at least 0; default 0\n  Weight"),
        (
            "train.betas",
            "\n  with task translation:\n  a list of 2 values, each a number of at least 0 and below 1; def",
        ),
        (
            "train.betas",
            "\n  with task language_model:\n  a list of 2 values, each a number of at least 0 and below 1; d",
        ),
        ("train.betas", "default [0.9, 0.98]\n"),
        ("train.betas", "default [0.9, 0.95]\n"),
        ("data.train.0.split", "data.train.N.split\n  text; default train, with dataset\n  Split"),
        (
            "data.valid.share",
            "share\n  with task language_model:\n  a number above 0 and below 1; required for this kind\n",
        ),
        ("data.valid.1.text", "data.valid.N.text\n  with task language_model:\n  text; required for this kind\n  File"),
        ("train", "  How the model is trained, for how long, and what is kept.\n\n  train.init_from: text"),
        (
            "train",
            "\n\n  with task language_model:\n  train.batch_tokens: a whole number of at least 1; default 16384.",
        ),
        ("", "\n\n  with task language_model:\n  task: language_model; required. What is trained: a language model,"),
    ],
)
def test_what_differs_stands_below_the_name_of_its_task(key: str, text: str) -> None:
    assert text in explain(key)


@pytest.mark.parametrize("task", TASKS)
def test_a_section_lists_all_its_keys_and_no_others(task: str) -> None:
    lines = explain("model", [task]).splitlines()
    listed = [line.split(":")[0].strip() for line in lines if line.startswith("  model.")]
    assert listed == [key.name for key in ALL_KEYS[task] if key.name.startswith("model.")]


def test_the_keys_of_a_section_of_both_tasks_are_listed_once() -> None:
    lines = explain("train").splitlines()
    for task, of_task in ALL_KEYS.items():
        entries = explain("train", [task]).splitlines()[4:]
        assert len(entries) == sum(key.name.startswith("train.") for key in of_task)
        assert [lines.count(line) for line in entries] == [1] * len(entries)


def test_the_keys_of_a_corpus_are_listed_once() -> None:
    for task, once in (("translation", (".jsonl: ", ".weight: ")), ("language_model", (".text: ", ".weight: "))):
        below = [key.name for key in ALL_KEYS[task] if key.name.startswith(("data.valid.", "data.test."))]
        assert below == ["data.valid.share"] * (task == "language_model")
        for text in (explain("data", [task]), explain("data.train", [task])):
            assert [text.count(key) for key in once] == [1, 1]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("train.warmup_step", "train.warmup_step: unknown key; did you mean train.warmup_steps?"),
        ("warmup_steps", "warmup_steps: unknown key; did you mean train.warmup_steps?"),
        ("tokeniser.shared", "tokeniser.shared: unknown key; did you mean tokenizer?"),
        ("data.train.source", "data.train.source: unknown key; did you mean data.train.N.source?"),
        ("data.test.sourc", "data.test.sourc: unknown key; did you mean data.test.source?"),
        ("data.valid.0.jsnl", "data.valid.0.jsnl: unknown key; did you mean data.valid.0.jsonl?"),
        ("train.contxt", "train.contxt: unknown key; did you mean data.context?"),
        ("decode.max_new_token", "decode.max_new_token: unknown key; did you mean decode.max_new_tokens?"),
        ("qqqqq", "qqqqq: unknown key"),
    ],
)
def test_unknown_keys(key: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        explain(key)
    assert str(caught.value) == message


def test_the_table_of_a_dry_run(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL)
    recipe = load_recipe(path, ["train.learning_rate=6e-4", "tokenizer.shared=no", "train.patience="])
    rows = {row[0]: row[1:] for row in (line.split(maxsplit=2) for line in describe(recipe).splitlines())}
    assert rows.keys() == leaves(recipe.settings).keys()
    assert rows["train.learning_rate"] == ["0.0006", "command line"]
    assert rows["tokenizer.shared"] == ["false", "command line"]
    assert rows["train.patience"] == ["null", "command line"]
    assert rows["output"] == ["runs/x", f"{path}:1"]
    assert rows["data.root"] == ["''", "default"]
    columns = {
        line.index(recipe.sources[line.split()[0]]) for line in describe(recipe).splitlines() if "default" in line
    }
    assert len(columns) == 1


def test_the_editor_schema_describes_every_section() -> None:
    schema = json.loads(editor_schema())
    for section in ("TrainSettings", "GPTTrainSettings"):
        described = schema["$defs"][section]["properties"]["warmup_steps"]["description"]
        assert described.startswith("Steps in which")


def test_the_editor_schema_tells_the_tasks_apart() -> None:
    schema = json.loads(editor_schema())
    assert schema["discriminator"]["propertyName"] == "task"
    translation, language_model = (schema["$defs"][one["$ref"].rpartition("/")[2]] for one in schema["oneOf"])
    assert translation["properties"]["task"]["const"] == "translation"
    assert language_model["properties"]["task"]["const"] == "language_model"
    # A recipe without a task is a translation, and nothing else.
    assert translation["required"] == ["output", "data"]
    assert language_model["required"] == ["task", "output", "data"]
