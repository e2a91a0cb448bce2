"""Recipes of language models: what they hold by default, and each message with its line where they are wrong."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from seq2seq.config import (
    TASKS,
    GPTSettings,
    HeldOutShare,
    LanguageModelSettings,
    TextDataset,
    TextFile,
    describe,
    differences,
    leaves,
    load_recipe,
    settings_from_dict,
    settings_hash,
    settings_to_yaml,
)
from seq2seq.errors import RecipeError

MINIMAL = """\
task: language_model
output: runs/x
data:
  train: [{text: input.txt}]
  valid: {share: 0.1}
"""

CORPUS = "a corpus, {text: FILE} or {dataset: NAME}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, *overrides: str) -> LanguageModelSettings:
    Path("r.yaml").write_text(text)
    settings = load_recipe("r.yaml", overrides).settings
    assert isinstance(settings, LanguageModelSettings)
    return settings


def errors(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    return str(caught.value).splitlines()


def test_a_minimal_recipe_has_defaults_for_the_rest() -> None:
    settings = load(MINIMAL)
    assert settings.data.train == [TextFile(text="input.txt", documents="file", weight=1.0)]
    assert settings.data.valid == HeldOutShare(share=0.1)
    assert (settings.data.valid_share, settings.data.valid_corpora, settings.data.test_corpora) == (0.1, [], [])
    assert settings.model == GPTSettings()
    train = settings.train
    assert (train.optimizer, train.betas, train.weight_decay) == ("adamw", (0.9, 0.95), 0.1)
    assert (train.schedule, train.clip_norm, train.best_metric) == ("cosine", 1.0, "loss")
    assert (settings.decode.temperature, settings.decode.top_k, settings.decode.max_new_tokens) == (1.0, 0, 256)
    assert load_recipe("r.yaml").warnings == []


def test_corpora_of_both_kinds() -> None:
    corpora = "[{text: a.gz, documents: lines, weight: 2}, {dataset: a/b, column: body, split: dev, revision: v1}]"
    data = load(MINIMAL, f"data.train={corpora}", f"data.valid={corpora}", "data.test={text: t}").data
    expected = [
        TextFile(text="a.gz", documents="lines", weight=2),
        TextDataset(dataset="a/b", column="body", split="dev", revision="v1"),
    ]
    assert data.train == data.valid == data.valid_corpora == expected
    assert (data.valid_share, data.test_corpora) == (0.0, [TextFile(text="t")])
    assert load(MINIMAL, "data.valid={dataset: a/b}").data.valid_corpora == [TextDataset(dataset="a/b", column="text")]


def test_streams_are_validated_with_a_corpus() -> None:
    data = load(MINIMAL, "data.train=[{dataset: a/b, streaming: yes}]", "data.valid={text: v}").data
    assert data.streaming


@pytest.mark.parametrize("kind", ["characters", "bytes", "sentencepiece"])
def test_tokenizers(kind: str) -> None:
    settings = load(MINIMAL, f"tokenizer.type={kind}")
    assert settings.tokenizer.type == kind
    assert {"shared", "sample_alpha"}.isdisjoint(settings.tokenizer.model_dump())


def test_the_tokenizer_of_gpt2_comes_with_its_model() -> None:
    assert load(MINIMAL, "tokenizer.type=gpt2", "train.init_from=models/gpt2").tokenizer.type == "gpt2"


def test_what_is_written_reads_back_the_same() -> None:
    settings = load(MINIMAL, "data.test=[{dataset: a/b}]", "model.layers=2", "decode.top_p=0.9")
    assert load(settings_to_yaml(settings)) == settings
    stored = json.loads(json.dumps(settings.model_dump(mode="json")))
    assert settings_from_dict(stored) == settings
    assert settings_hash(settings_from_dict(stored)) == settings_hash(settings)


def test_differences_and_sources() -> None:
    old = load(MINIMAL)
    new = load(MINIMAL, "model.context=64", "data.valid={text: v}")
    assert differences(old, new) == [
        ("data.valid.share", 0.1, None),
        ("model.context", 256, 64),
        ("data.valid.weight", None, 1.0),
        ("data.valid.text", None, "v"),
        ("data.valid.documents", None, "file"),
    ]
    recipe = load_recipe("r.yaml", ["model.context=64"])
    assert recipe.sources.keys() == leaves(recipe.settings).keys()
    assert (recipe.sources["task"], recipe.sources["model.context"]) == ("r.yaml:1", "command line")
    assert re.search(r"^data.valid.share +0.1 +r.yaml:5$", describe(recipe), re.MULTILINE)


def test_a_task_can_be_given_on_the_command_line() -> None:
    assert load(MINIMAL.replace("task: language_model\n", ""), "task=language_model") == load(MINIMAL)


@pytest.mark.parametrize("task", TASKS)
def test_every_default_passes_the_checks(task: str) -> None:
    sections = [info.annotation for info in TASKS[task].model_fields.values() if isinstance(info.default, BaseModel)]
    assert len(sections) == 4
    for section in sections:
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        assert section.model_validate(section().model_dump(mode="json")) == section()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        # keys of the other task
        ("train: {r_drop: 5}", "train.r_drop: is a key of task translation, not of language_model"),
        ("train: {label_smoothing: 0}", "train.label_smoothing: is a key of task translation, not of language_model"),
        ("decode: {min_length: 4}", "decode.min_length: is a key of task translation, not of language_model"),
        ("tokenizer: {shared: yes}", "tokenizer.shared: is a key of task translation, not of language_model"),
        ("model: {encoder_layers: 2}", "model.encoder_layers: is a key of task translation, not of language_model"),
        ("  source_language: en", "data.source_language: is a key of task translation, not of language_model"),
        # unknown keys
        ("model: {contxt: 64}", "model.contxt: unknown key; did you mean model.context?"),
        ("model: {block_size: 64}", "model.block_size: unknown key; did you mean model.context?"),
        ("model: {n_embd: 64}", "model.n_embd: unknown key; did you mean model.d_model?"),
        ("train: {context: 64}", "train.context: unknown key; did you mean model.context?"),
        ("decode: {topk: 4}", "decode.topk: unknown key; did you mean decode.top_k?"),
        ("decode: {max_tokens: 4}", "decode.max_tokens: unknown key; did you mean decode.max_new_tokens?"),
        (
            "decode: {voice: 4}",
            "decode.voice: unknown key; valid are temperature, top_k, top_p, min_p, repetition_penalty",
        ),
        # values
        ("train: {best_metric: bleu}", "train.best_metric: is 'bleu', must be loss"),
        (
            "tokenizer: {type: byte}",
            "tokenizer.type: is 'byte', must be one of sentencepiece, characters, bytes, gpt2; d",
        ),
        ("model: {layers: -1}", "model.layers: is -1, must be at least 0"),
        ("decode: {temperature: -1}", "decode.temperature: is -1, must be at least 0"),
        ("decode: {top_k: -1}", "decode.top_k: is -1, must be at least 0"),
        ("decode: {top_p: 0}", "decode.top_p: is 0, must be above 0"),
        ("decode: {min_p: 2}", "decode.min_p: is 2, must be at most 1"),
        ("decode: {repetition_penalty: 0}", "decode.repetition_penalty: is 0, must be above 0"),
        ("decode: {max_new_tokens: 0}", "decode.max_new_tokens: is 0, must be at least 1"),
        ("  test: {text: }", "data.test.text: is empty, must be text"),
        ("  test: t.txt", f"data.test: is 't.txt', must be {CORPUS}, or a list of them, or null"),
        # values that do not go together
        ("model: {heads: 7}", "model.heads: heads (7) must divide d_model (384)"),
        (
            "train: {keep_checkpoints: 3}",
            "train.keep_checkpoints: keep_checkpoints (3) must be at least average_last (5)",
        ),
        (
            "train: {schedule: noam, warmup_steps: 0}",
            "train.warmup_steps: schedule noam needs warmup_steps of at least 1 (is 0)",
        ),
        (
            "tokenizer: {type: gpt2}",
            "tokenizer.type: type gpt2 cannot be trained, only taken along from an imported model: set train.init_from",
        ),
        (
            "  test: {dataset: a/b, streaming: yes}",
            "data.test: only training corpora can be streamed; leave streaming out",
        ),
    ],
)
def test_message_and_line(line: str, error: str) -> None:
    (found,) = errors(MINIMAL + line)
    assert found.startswith(f"r.yaml:6: {error}")


@pytest.mark.parametrize(
    ("corpus", "error"),
    [
        ("{text: a, documents: pages}", "documents: is 'pages', must be one of file, lines"),
        ("{text: a, document: lines}", "document: unknown key; did you mean data.train.0.documents?"),
        ("{text: a, column: b}", "column: does not go with text, only with dataset: a corpus is of one kind"),
        (
            "{dataset: a, documents: lines}",
            "documents: does not go with dataset, only with text: a corpus is of one kind",
        ),
        ("{text: a, tsv: b}", "tsv: is a key of task translation, not of language_model"),
        ("{text: a, weight: 0}", "weight: is 0, must be above 0"),
        ("{dataset: }", "dataset: is empty, must be text"),
    ],
)
def test_message_and_line_within_a_corpus(corpus: str, error: str) -> None:
    (found,) = errors(MINIMAL.replace("[{text: input.txt}]", f"\n    - {corpus}"))
    assert found == f"r.yaml:5: data.train.0.{error}"
    (found,) = errors(MINIMAL.replace("{share: 0.1}", f"\n    - {corpus}"))
    assert found == f"r.yaml:6: data.valid.0.{error.replace('data.train.0', 'data.valid.0')}"


@pytest.mark.parametrize(
    ("valid", "error"),
    [
        ("{share: 0}", "data.valid.share: is 0, must be above 0"),
        ("{share: 1}", "data.valid.share: is 1, must be below 1"),
        ("{share: a tenth}", "data.valid.share: is 'a tenth', must be a number above 0 and below 1"),
        ("{share: 0.1, text: a}", "data.valid.text: does not go with share, only with text: a corpus is of one kind"),
        ("0.1", f"data.valid: is '0.1', must be {{share: NUMBER}}, or {CORPUS}, or a list of corpora"),
        ("[{share: 0.1}]", "data.valid.0.text: missing; it must be text"),
    ],
)
def test_message_and_line_of_what_to_validate_with(valid: str, error: str) -> None:
    assert f"r.yaml:5: {error}" in errors(MINIMAL.replace("{share: 0.1}", valid))


def test_what_a_stream_cannot_do() -> None:
    stream = MINIMAL.replace("{text: input.txt}", "{dataset: a/b, streaming: yes}")
    assert errors(stream) == ["r.yaml:5: data.valid: a/b is streamed, so its last part is not known; name a corpus"]
    (found,) = errors(stream.replace("{share: 0.1}", "{text: v}"), "train.max_epochs=2")
    assert found == "command line: train.max_epochs=2: a streamed corpus has no epochs; set train.max_steps instead"


def test_keys_of_a_language_model_in_a_translation() -> None:
    found = errors(MINIMAL.replace("language_model", "translation") + "model: {context: 64}\n")
    assert "r.yaml:4: data.train.0.text: is a key of task language_model, not of translation" in found
    assert "r.yaml:5: data.valid.share: is a key of task language_model, not of translation" in found
    assert "r.yaml:6: model.context: is a key of task language_model, not of translation" in found


def test_the_rest_is_checked_by_the_task_that_was_probably_meant() -> None:
    assert errors(MINIMAL.replace("language_model", "language") + "decode: {top_p: 2, min_length: 4}\n") == [
        "r.yaml:1: task: is 'language', must be one of translation, language_model; did you mean 'language_model'?",
        "r.yaml:6: decode.top_p: is 2, must be at most 1",
        "r.yaml:6: decode.min_length: is a key of task translation, not of language_model",
    ]


def test_of_a_task_that_is_like_none_nothing_else_is_said() -> None:
    assert errors(MINIMAL.replace("language_model", "speech") + "decode: {top_p: 2}\nseed: 1\nseed: 2\n") == [
        "r.yaml:1: task: is 'speech', must be one of translation, language_model",
        "r.yaml:8: seed: set twice; first on line 7",
    ]


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (["model.norm=post", "train.warmup_steps=0"], "train.warmup_steps is 0 and model.norm is post"),
        (["train.validate_every=100001"], r"train.validate_every \(100001\) is above train.max_steps \(100000\)"),
        (["train.learning_rate=0.1"], "train.learning_rate is 0.1, which is very high"),
        (["train.freeze=[a]"], "train.freeze is set without train.init_from"),
        (["model.layers=0"], "model.layers is 0 and model.positions is learned"),
        (["train.batch_tokens=255"], r"train.batch_tokens \(255\) is below model.context \(256\)"),
    ],
)
def test_senseless_recipes_are_warned_about(arguments: list[str], warning: str) -> None:
    Path("r.yaml").write_text(MINIMAL)
    (found,) = load_recipe("r.yaml", arguments).warnings
    assert re.search(warning, found)


@pytest.mark.parametrize(
    "arguments",
    [["model.layers=0", "model.positions=none", "train.warmup_steps=0", "model.norm=post"], ["train.warmup_steps=0"]],
)
def test_what_looks_odd_and_is_not(arguments: list[str]) -> None:
    Path("r.yaml").write_text(MINIMAL)
    assert load_recipe("r.yaml", arguments).warnings == []
