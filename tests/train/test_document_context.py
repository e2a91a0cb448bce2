"""A pronoun whose translation depends on the sentence before: learnt with context, and not without."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import tiny_recipe, write_pairs

from seq2seq.cli import merge, score, translate
from seq2seq.config import Settings, load_recipe
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError
from seq2seq.evaluate.models import translate_with
from seq2seq.evaluate.testset import TestSet, TextFile
from seq2seq.text.lines import Pair
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]
NOUNS = {"dog": "HUND", "car": "AUTO", "cat": "KATZE"}
PRONOUNS = {"dog": "ER", "car": "ES", "cat": "SIE"}
VERBS = {"sleeps": "RUHT", "waits": "BLEIBT", "sees": "SIEHT"}


def story(n: int, seed: int) -> list[Pair]:
    """Pairs of sentences, the second with a pronoun for the noun of the first; two such pairs are a document."""
    random = np.random.default_rng(seed)
    pairs = []
    for i in range(n):
        noun, *verbs = (list(words)[random.integers(3)] for words in (NOUNS, VERBS, VERBS))
        pairs.append((f"the {noun} {verbs[0]}.", f"{NOUNS[noun]} {VERBS[verbs[0]]}!"))
        pairs.append((f"it {verbs[1]}.", f"{PRONOUNS[noun]} {VERBS[verbs[1]]}!"))
        if i % 2 and i < n - 1:
            pairs.append(("", ""))
    return pairs


TEST = story(40, seed=2)


def load(path: Path, *overrides: str) -> Settings:
    return load_recipe(path, overrides).settings


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models with no and with one sentence of context."""
    folder = tmp_path_factory.mktemp("story")
    for name, pairs in (("train", story(300, 0)), ("valid", story(10, 1)), ("test", TEST)):
        write_pairs(folder / "data", name, pairs)
    more = {"max_steps": 180, "batch_tokens": 600, "device_tokens": 2000, "learning_rate": 6e-3, "warmup_steps": 60}
    more |= {"validate_every": 90, "checkpoint_every": 90, "log_every": 90, "best_metric": "loss", "average_last": 0}
    more |= {"label_smoothing": 0.0}
    sizes = {"tokenizer": {"vocab_size": 60, "model": "bpe"}, "model": {"d_model": 64, "dropout": 0.0}}
    recipe = tiny_recipe(folder, train=more, decode={"beam_size": 1}, **sizes)
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    found = []
    for k in (0, 1):
        train(load(folder / "recipe.yaml", f"data.context={k}", f"output={folder / f'run{k}'}"), CPU)
        found.append(folder / f"run{k}")
    return found


def test_what_needs_context_is_learnt_with_it_alone(runs: list[Path]) -> None:
    lines, references = (list(side) for side in zip(*TEST, strict=True))
    sides = [TextFile("", list(side), "") for side in (references, lines)]
    test = TestSet("test", sides[:1], sides[1])
    right = []
    for run in runs:
        found = translate_with("run", str(run), [test], "cpu", {})[0].hypotheses
        assert found == Translator.load(run, "cpu").translate(lines)
        pronouns = [line.startswith("it") for line in lines]
        assert [a for a, is_ in zip(found, pronouns, strict=True) if not is_] == [
            a for a, is_ in zip(references, pronouns, strict=True) if not is_
        ]
        right.append(sum(a == b for a, b, is_ in zip(found, references, pronouns, strict=True) if is_))
    assert right[0] < 25 and right[1] == 40
    translator = Translator.load(runs[1], "cpu")
    assert translator.translate(["the dog waits.", "it sees.", "the cat waits.", "it sees."])[1::2] == [
        "ER SIEHT!",
        "SIE SIEHT!",
    ]
    losses = []
    for run in runs:
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses.append(min(event["valid/loss"] for event in events if "valid/loss" in event))
    assert 10 * losses[1] < losses[0]


def call(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command.main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_look_back(runs: list[Path], tmp_path: Path) -> None:
    """Parts of a file too; and the right pronoun is the probable one."""
    data = runs[1].parent / "data"
    source, target = data / "test.en", data / "test.de"
    parts = [tmp_path / f"part.{i}" for i in range(1, 6)]
    for i, part in enumerate(parts, 1):
        call(translate, runs[1], "--input", source, "--output", part, "--shard", f"{i}/5", "--device", "cpu")
    call(merge, tmp_path / "whole", *parts)
    assert (tmp_path / "whole").read_text() == target.read_text()
    improbable = []
    for run in runs:
        found = call(score, run, "--source", source, "--target", target, "--device", "cpu").splitlines()
        improbable.append(sum(float(x) < -0.5 for x, (line, _) in zip(found, TEST, strict=True) if line))
    assert improbable[0] > 20 and improbable[1] == 0


def test_a_model_without_separator_cannot_learn_context(runs: list[Path], tmp_path: Path) -> None:
    recipe = runs[0].parent / "recipe.yaml"
    tuned = ["data.context=1", f"output={tmp_path / 'tuned'}", "train.max_steps=2"]
    with pytest.raises(DataError, match="data.context is 1, but the tokenizer taken along has no separator"):
        train(load(recipe, *tuned, f"train.init_from={runs[0]}"), CPU)
    train(load(recipe, *tuned, f"train.init_from={runs[1]}", "data.context=3"), CPU)
    assert Translator.load(tmp_path / "tuned", "cpu").context == 3


def test_context_goes_with_a_shortlist(runs: list[Path], tmp_path: Path) -> None:
    more = ["train.shortlist=true", "decode.shortlist=true", f"train.init_from={runs[1]}", "train.max_steps=2"]
    recipe = runs[0].parent / "recipe.yaml"
    train(load(recipe, *more, "train.learning_rate=1e-5", "data.context=1", f"output={tmp_path / 'run'}"), CPU)
    lines, references = (list(side) for side in zip(*TEST, strict=True))
    translator = Translator.load(tmp_path / "run", "cpu")
    assert translator.searcher.shortlist and translator.translate(lines) == references
