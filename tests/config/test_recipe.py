"""Recipes that are right: how values are read, where they came from, and that they survive being written."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config import (
    Corpus,
    HubDataset,
    JsonlFile,
    NoiseSettings,
    ParallelFiles,
    TranslationSettings,
    TsvFile,
    differences,
    leaves,
    load_recipe,
    settings_from_dict,
    settings_hash,
    settings_to_yaml,
)
from seq2seq.errors import RecipeError

MINIMAL = """\
output: runs/x
data:
  source_language: en
  target_language: de
  train: [{source: a.en, target: a.de}]
  valid: {source: v.en, target: v.de}
"""


def load(folder: Path, text: str, *overrides: str) -> TranslationSettings:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    settings = load_recipe(path, overrides).settings
    assert isinstance(settings, TranslationSettings)
    return settings


def value_of(settings: TranslationSettings, key: str) -> Any:
    return leaves(settings)[key]


def test_a_minimal_recipe_has_defaults_for_the_rest(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL)
    assert settings.data.train == [ParallelFiles(source="a.en", target="a.de")]
    assert (settings.model.layers, settings.train.betas, settings.data.test) == (6, (0.9, 0.98), None)


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("{source: a, target: b, weight: 2}", ParallelFiles(source="a", target="b", weight=2)),
        ("{tsv: a.tsv.gz, target_column: 3}", TsvFile(tsv="a.tsv.gz", source_column=1, target_column=3)),
        ("{jsonl: a.jsonl}", JsonlFile(jsonl="a.jsonl", source_column=None, target_column=None)),
        (
            "{jsonl: a.jsonl, source_column: 1, target_column: no}",
            JsonlFile(jsonl="a.jsonl", source_column="1", target_column="no"),
        ),
        ("{dataset: wmt/wmt14, config: de-en}", HubDataset(dataset="wmt/wmt14", config="de-en", split="train")),
        ("{dataset: a/b, revision: v1}", HubDataset(dataset="a/b", revision="v1")),
        (
            "{source: a, target: b, source_language: fr, target_language: no}",
            ParallelFiles(source="a", target="b", source_language="fr", target_language="no"),
        ),
    ],
)
def test_each_kind_of_corpus(tmp_path: Path, corpus: str, expected: Corpus) -> None:
    data = load(tmp_path, MINIMAL, f"data.train=[{corpus}]", f"data.valid={corpus}", f"data.test=[{corpus}]").data
    assert data.train == [expected]
    assert data.valid_corpora == [data.valid] == [expected]
    assert data.test_corpora == data.test == [expected]
    assert {type(found) for found in (*data.train, *data.valid_corpora, *data.test_corpora)} == {type(expected)}
    assert settings_from_dict(json.loads(load(tmp_path, MINIMAL, f"data.train=[{corpus}]").model_dump_json()))


def test_only_training_corpora_are_streamed(tmp_path: Path) -> None:
    stream = "{dataset: a/b, streaming: yes}"
    data = load(tmp_path, MINIMAL, f"data.train=[{stream}]").data
    assert data.train == [HubDataset(dataset="a/b", streaming=True)]
    assert data.streaming
    for key in ("valid", "test"):
        with pytest.raises(RecipeError, match=rf"data.{key}=.*only training corpora can be streamed"):
            load(tmp_path, MINIMAL, f"data.{key}={stream}")


def test_several_corpora_to_validate_and_none_to_test_on(tmp_path: Path) -> None:
    data = load(tmp_path, MINIMAL, "data.valid=[{tsv: a}, {source: b, target: c}, {dataset: d, split: dev}]").data
    assert data.valid_corpora == [TsvFile(tsv="a"), ParallelFiles(source="b", target="c"), data.valid_corpora[2]]
    assert data.test_corpora == []


def test_the_languages_of_a_corpus(tmp_path: Path) -> None:
    corpora = "[{tsv: a}, {tsv: b, source_language: fr}, {jsonl: c, source_language: de, target_language: en}]"
    data = load(tmp_path, MINIMAL, f"data.train={corpora}").data
    assert [data.languages(corpus) for corpus in data.train] == [("en", "de"), ("fr", "de"), ("de", "en")]


def test_settings_stored_before_a_key_was_there_have_its_default() -> None:
    corpus = {"source": "a.en", "target": "a.de", "weight": 1.0}
    hub = {"dataset": "wmt/wmt14", "config": "de-en", "split": "test", "revision": None, "weight": 1.0}
    old = {
        "output": "runs/x",
        "data": {"source_language": "en", "target_language": "de", "train": [corpus], "valid": corpus, "test": hub},
    }
    settings = settings_from_dict(old)
    assert isinstance(settings, TranslationSettings)
    data = settings.data
    assert data.train == [ParallelFiles(source="a.en", target="a.de")]
    assert data.test == HubDataset(dataset="wmt/wmt14", config="de-en", split="test", streaming=False)
    assert (data.tags, data.temperature, data.drop_duplicates, data.noise) == (False, 1.0, False, NoiseSettings())


@pytest.mark.parametrize("section", ["train:\n", "train: {}\n", "train: ~\n", "train:\n  # max_steps: 5\n"])
def test_a_section_that_sets_nothing_has_its_defaults(tmp_path: Path, section: str) -> None:
    assert load(tmp_path, MINIMAL + section) == load(tmp_path, MINIMAL)


def test_a_section_within_a_section_that_sets_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL + "  noise:\n    # upper_case: 0.1\n") == load(tmp_path, MINIMAL)


@pytest.mark.parametrize(
    ("argument", "key", "expected"),
    [
        ("train.max_steps=010", "train.max_steps", 10),
        ("train.max_steps=100_000", "train.max_steps", 100_000),
        ("train.learning_rate=6e-4", "train.learning_rate", 6e-4),
        ("train.learning_rate=.001", "train.learning_rate", 0.001),
        ("data.source_language=no", "data.source_language", "no"),
        ("data.train.0.source=12:30", "data.train.0.source", "12:30"),
        ("data.train.0.source=2001-01-01", "data.train.0.source", "2001-01-01"),
        ("data.train.0.source=1.0", "data.train.0.source", "1.0"),
        ("data.train.0.source='null'", "data.train.0.source", "null"),
        ("data.train.0.source=a=b", "data.train.0.source", "a=b"),
        ("tokenizer.shared=no", "tokenizer.shared", False),
        ("tokenizer.shared=On", "tokenizer.shared", True),
        ("tokenizer.shared='false'", "tokenizer.shared", False),
        ("train.patience=null", "train.patience", None),
        ("train.patience=", "train.patience", None),
        ("train.patience=~", "train.patience", None),
        ("data.cache=", "data.cache", ""),
        ("data.root=''", "data.root", ""),
        ("train.device_tokens=auto", "train.device_tokens", "auto"),
        ("train.device_tokens=512", "train.device_tokens", 512),
        ("train.betas=[0.9, 0.99]", "train.betas", (0.9, 0.99)),
        ("train={max_steps: 5}", "train.max_steps", 5),
        ("model.encoder_layers=12", "model.encoder_layers", 12),
    ],
)
def test_text_is_read_by_the_type_of_its_key(tmp_path: Path, argument: str, key: str, expected: object) -> None:
    value = value_of(load(tmp_path, MINIMAL, argument), key)
    assert value == expected
    assert type(value) is type(expected)


def test_the_file_is_read_in_the_same_way(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("language: en", "language: no") + "train: {max_steps: 010, learning_rate: 6e-4, patience: }\n"
    )
    settings = load(tmp_path, text)
    assert settings.data.source_language == "no"
    assert (settings.train.max_steps, settings.train.learning_rate, settings.train.patience) == (10, 6e-4, None)


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + MINIMAL.replace("\n", "\r\n")) == load(tmp_path, MINIMAL)


def test_overrides_win_and_the_last_one_most(tmp_path: Path) -> None:
    text = MINIMAL + "train: {max_steps: 5, batch_tokens: 7}\n"
    settings = load(tmp_path, text, "train.max_steps=6", "train.max_steps=8")
    assert (settings.train.max_steps, settings.train.batch_tokens) == (8, 7)


def test_overrides_reach_into_lists_and_replace_them(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL, "data.train=[{source: c, target: d}, {dataset: e}]", "data.train.1.weight=2")
    assert settings.data.train == [ParallelFiles(source="c", target="d"), HubDataset(dataset="e", weight=2.0)]
    text = MINIMAL + "train: {betas: [0.9, 0.99]}\n"
    assert load(tmp_path, text, "train.betas.0=0.5").train.betas == (0.5, 0.99)


def test_an_override_mends_what_the_file_has_wrong(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL + "seed: x\n", "seed=3").seed == 3
    assert load(tmp_path, MINIMAL.replace("output: runs/x\n", ""), "output=runs/y").output == "runs/y"


def test_every_value_has_a_source(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL + "train:\n  betas:\n    - 0.9\n    - 0.99\n  max_steps: 9\n")
    recipe = load_recipe(path, ["train.max_steps=5000", "train.betas.1=0.95", "data.valid={dataset: e}"])
    expected = {
        "output": f"{path}:1",
        "seed": "default",
        "data.train.0.target": f"{path}:5",
        "data.train.0.weight": "default",
        "data.valid.dataset": "command line",
        "data.valid.split": "default",
        "train.betas": "command line",
        "train.max_steps": "command line",
    }
    assert {key: recipe.sources[key] for key in expected} == expected
    assert recipe.sources.keys() == leaves(recipe.settings).keys()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["data.source_language=no", "data.cache=", "output='~'", "data.root='10'", "train.patience=null"],
        ["train.learning_rate=0.00012345678901234", "train.epsilon=1e-12", "train.device_tokens=77", "seed=2147483647"],
        ["data.train=[{dataset: e, revision: 'null'}, {source: 'a: b', target: ' # x'}]", "output='Übung \u00e9\\x'"],
        ["tokenizer.shared=no", "train.betas=[0.1, 0.2]", "data.test={source: 12:30, target: 2001-01-01}"],
    ],
)
def test_what_is_written_reads_back_the_same(tmp_path: Path, arguments: list[str]) -> None:
    settings = load(tmp_path, MINIMAL, *arguments)
    assert load(tmp_path, settings_to_yaml(settings)) == settings
    stored = json.loads(json.dumps(settings.model_dump(mode="json")))
    assert settings_from_dict(stored) == settings
    assert settings_hash(settings_from_dict(stored)) == settings_hash(settings)


def test_differences_and_hash(tmp_path: Path) -> None:
    old = load(tmp_path, MINIMAL)
    new = load(tmp_path, MINIMAL, "train.max_steps=8000", "data.test={source: x, target: y}", "model.heads=4")
    assert differences(old, new) == [
        ("model.heads", 8, 4),
        ("train.max_steps", 100_000, 8000),
        ("data.test.weight", None, 1.0),
        ("data.test.source", None, "x"),
        ("data.test.target", None, "y"),
    ]
    assert differences(old, old) == []
    assert len(settings_hash(old)) == 64
    assert settings_hash(old) != settings_hash(new)


@pytest.mark.parametrize(
    ("argument", "warning"),
    [
        ("train.warmup_steps=0", "train.warmup_steps is 0 and model.norm is post"),
        ("train.warmup_steps=100000", r"train.warmup_steps \(100000\) is not below train.max_steps \(100000\)"),
        ("train.learning_rate=0.1", "train.learning_rate is 0.1, which is very high"),
        ("train.learning_rate=1e-7", "train.learning_rate is 1e-07, which is very low"),
        ("train.schedule=noam", "train.learning_rate is 0.0007, which is very low: with schedule noam it is a factor"),
        ("train.label_smoothing=0.5", "train.label_smoothing is 0.5"),
        ("train.validate_every=100001", r"train.validate_every \(100001\) is above train.max_steps \(100000\)"),
    ],
)
def test_senseless_recipes_are_warned_about(tmp_path: Path, argument: str, warning: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL)
    assert load_recipe(path).warnings == []
    (found,) = load_recipe(path, [argument]).warnings
    assert re.search(warning, found)


def test_importing_the_settings_imports_nothing_heavy() -> None:
    code = "import sys, seq2seq.config; print([name for name in ('torch', 'numpy', 'datasets') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
