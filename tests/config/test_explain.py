"""Texts for --explain and --dry-run, and the editor schema."""

import json
from pathlib import Path

import pytest

from seq2seq.config import describe, editor_schema, explain, leaves, load_recipe
from seq2seq.config.schema import Key, keys
from seq2seq.errors import RecipeError

ALL_KEYS = list(keys())

MINIMAL = """\
output: runs/x
data:
  source_language: en
  target_language: de
  train: [{source: a.en, target: a.de}]
  valid: {source: v.en, target: v.de}
"""


@pytest.mark.parametrize("key", ALL_KEYS, ids=lambda key: key.name)
def test_every_key_is_explained(key: Key) -> None:
    assert key.info.description, f"{key.name} has no description"
    text = explain(key.name)
    assert text.startswith(f"{key.name}\n  ")
    assert f"  {key.shape.expected}; " in text
    assert key.info.description in text


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
        ("data", "then counts. Its keys are those of data.train.N.\n"),
        ("data.noise", "  data.noise.upper_case: a number from 0 to 1; default 0. Share"),
        ("train", "  train.max_steps: a whole number of at least 1; default 100000. Optimizer steps"),
        ("", "  output: text; required. Run folder"),
    ],
)
def test_explanations(key: str, text: str) -> None:
    assert text in explain(key)


def test_a_section_lists_all_its_keys_and_no_others() -> None:
    listed = [line.split(":")[0].strip() for line in explain("model").splitlines() if line.startswith("  model.")]
    assert listed == [key.name for key in ALL_KEYS if key.name.startswith("model.")]


def test_the_keys_of_a_corpus_are_listed_once() -> None:
    assert not [key.name for key in ALL_KEYS if key.name.startswith(("data.valid.", "data.test."))]
    for text in (explain("data"), explain("data.train")):
        assert text.count(".jsonl: ") == text.count(".weight: ") == 1


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("train.warmup_step", "train.warmup_step: unknown key; did you mean train.warmup_steps?"),
        ("warmup_steps", "warmup_steps: unknown key; did you mean train.warmup_steps?"),
        ("tokeniser.shared", "tokeniser.shared: unknown key; did you mean tokenizer?"),
        ("data.train.source", "data.train.source: unknown key; did you mean data.train.N.source?"),
        ("data.test.sourc", "data.test.sourc: unknown key; did you mean data.test.source?"),
        ("data.valid.0.jsnl", "data.valid.0.jsnl: unknown key; did you mean data.valid.0.jsonl?"),
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
    assert schema["required"] == ["output", "data"]
    assert schema["$defs"]["TrainSettings"]["properties"]["warmup_steps"]["description"].startswith("Steps in which")
