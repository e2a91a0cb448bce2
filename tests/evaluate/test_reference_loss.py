"""A model's loss on a reference is that of its own forward pass, pair by pair."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from conftest import make_pairs
from tiny_models import build

from seq2seq.data.batch import Batch
from seq2seq.evaluate.models import reference_loss, translate_with
from seq2seq.evaluate.testset import TestSet, TextFile
from seq2seq.files import atomic_folder
from seq2seq.model.folder import TrainedModel, save_model

PAIRS = make_pairs(12, seed=4)
SOURCE, REFERENCE = ([pair[side] for pair in PAIRS] for side in (0, 1))


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return dataclasses.replace(build(), max_source_length=40)


def slow_loss(trained: TrainedModel, pairs: list[tuple[str, str]]) -> tuple[float, int]:
    """Sums the losses of single pairs, as training computes them without smoothing and dropout."""
    tokenizer, total, tokens = trained.tokenizer, 0.0, 0
    trained.model.eval()
    with torch.no_grad():
        for source, target in pairs:
            batch = Batch.from_ids(tokenizer.encode_source([source]), tokenizer.encode_target([target]))
            summed, n = trained.model(batch)
            total, tokens = total + float(summed), tokens + n
    return total / tokens, tokens


def test_as_forward(trained: TrainedModel) -> None:
    loss, tokens = reference_loss(trained, SOURCE, REFERENCE)
    expected, n = slow_loss(trained, PAIRS)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert tokens == n > 2 * len(PAIRS)


def test_long_lines_count_as_they_are(trained: TrainedModel) -> None:
    pair = (" ".join(SOURCE), " ".join(REFERENCE))
    assert len(trained.tokenizer.encode_source([pair[0]])[0]) > 40
    loss, tokens = reference_loss(trained, [pair[0]], [pair[1]])
    expected, n = slow_loss(trained, [pair])
    assert (loss, tokens) == (pytest.approx(expected, rel=1e-5), n)


def test_blank_lines_do_not_count(trained: TrainedModel) -> None:
    mixed = reference_loss(trained, ["", SOURCE[0], SOURCE[1], " \t"], [REFERENCE[3], REFERENCE[0], "\u200b", ""])
    alone = reference_loss(trained, SOURCE[:1], REFERENCE[:1])
    assert mixed == (pytest.approx(alone[0], rel=1e-5), alone[1])
    assert reference_loss(trained, ["", "a"], ["a", ""]) == reference_loss(trained, [], []) == (None, 0)


def test_of_a_system(trained: TrainedModel, tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as folder:
        save_model(folder, trained)
    sides = [TextFile(name, lines, "") for name, lines in (("r", REFERENCE), ("s", SOURCE))]
    tests = [TestSet("all", sides[:1], sides[1]), TestSet("all again", sides[:1], sides[1])]
    system, again = translate_with("mine", str(tmp_path / "model"), tests, "cpu", {}, align=True)
    assert system.loss == again.loss == pytest.approx(reference_loss(trained, SOURCE, REFERENCE)[0], rel=1e-5)
    assert system.perplexity == pytest.approx(math.exp(system.loss or 0))
    assert system.name == "mine" and system.hypotheses == again.hypotheses
    assert [each.target for each in system.alignments] == [line.split() for line in system.hypotheses]
