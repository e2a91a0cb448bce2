"""Where files get out of step: against what was done to them."""

import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from seq2seq.evaluate.doctor.alignment import SWITCH, Aligner, Alignment, _best_path, shifts_by_length
from seq2seq.evaluate.doctor.associations import Calibration
from seq2seq.evaluate.doctor.scan import Sample

DEMO = Path(__file__).parents[3] / "recipes/demo"
N = 1500


def demo(side: str) -> list[str]:
    return gzip.decompress((DEMO / f"train.{side}.gz").read_bytes()).decode().split("\n")[: N + 400]


SOURCE, TARGET = demo("en"), demo("de")


def align(source: list[str], target: list[str]) -> Alignment:
    n = min(len(source), len(target), N)
    return Aligner(Sample(np.arange(n), (source[:n], target[:n]), True)).align()


def segments(alignment: Alignment) -> list[tuple[int, int, int | None]]:
    return [(segment.begin, segment.end, segment.shift) for segment in alignment.segments]


def test_pairs_in_step() -> None:
    alignment = align(SOURCE, TARGET)
    assert alignment.segments == []
    assert alignment.unrelated < 0.01
    assert alignment.evidence.mean() > 2


@pytest.mark.parametrize(("place", "shift"), [(10, -1), (1440, -1), (700, 4), (300, -20)])
def test_lines_that_are_missing_or_too_many(place: int, shift: int) -> None:
    target = (
        TARGET[:place] + TARGET[place - shift :] if shift < 0 else TARGET[:place] + ["Ja."] * shift + TARGET[place:]
    )
    ((begin, end, found),) = segments(align(SOURCE, target))
    assert found == shift
    assert abs(begin - place) <= 4 + abs(shift)
    assert end >= N - 1 - max(0, shift) - 4


def test_a_block_out_of_step_and_one_that_belongs_to_nothing() -> None:
    target = list(TARGET)
    target[400:600] = target[597:600] + target[400:597]
    target[900:1000] = random.Random(0).sample(TARGET[N:], 100)
    alignment = align(SOURCE, target)
    (first, second) = segments(alignment)
    assert first[2] == 3 and abs(first[0] - 400) <= 4 and abs(first[1] - 596) <= 6
    assert second[2] is None and abs(second[0] - 900) <= 6 and abs(second[1] - 999) <= 6
    assert alignment.evidence[450:550].mean() < 0 < alignment.mended[450:550].mean()


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_the_share_of_pairs_that_do_not_belong_together(share: float) -> None:
    target = TARGET[:N]
    chosen = sorted(random.Random(1).sample(range(N), int(share * N)))
    for i, j in zip(chosen, random.Random(2).sample(chosen, len(chosen)), strict=True):
        target[i] = TARGET[j]
    alignment = align(SOURCE, target)
    assert 0.5 * share < alignment.unrelated <= 1.3 * share
    worst = np.argsort(alignment.evidence)[: len(chosen) // 3]
    assert np.isin(worst, chosen).mean() > 0.95


def test_what_was_learnt_from_one_corpus_judges_a_small_one() -> None:
    aligner = Aligner(Sample(np.arange(N), (SOURCE[:N], TARGET[:N]), True))
    source, target = SOURCE[N : N + 100], TARGET[N + 1 : N + 101]
    (segment,) = aligner.align(Sample(np.arange(100), (source, target), True)).segments
    assert (segment.shift, segment.begin <= 2, segment.end >= 97) == (-1, True, True)


def test_stretches_of_a_sample_are_no_neighbours() -> None:
    """Of every second stretch, one is out of step: lines of another stretch are never taken for its targets."""
    places = np.concatenate([np.arange(0, 500), np.arange(1000, 1500)])
    source, target = [SOURCE[i] for i in places], [TARGET[i + (i >= 1000)] for i in places]
    ((begin, _, shift),) = segments(Aligner(Sample(places, (source, target), False)).align())
    assert shift == -1 and abs(begin - 500) <= 3


def test_lengths_alone_tell_a_shift() -> None:
    lengths = np.random.default_rng(0).normal(4, 0.5, 600)
    noise = np.random.default_rng(1).normal(0, 0.2, 600)
    next_to = np.ones(599, dtype=bool)
    assert set(shifts_by_length((lengths, np.roll(lengths, 7) + noise), next_to)[:512].tolist()) == {7}
    assert set(shifts_by_length((lengths, lengths + noise), next_to).tolist()) == {0}
    assert set(shifts_by_length((lengths, 5 * noise), next_to).tolist()) == {0}


def test_the_best_path_is_that_of_all_paths() -> None:
    from itertools import product

    table = np.random.default_rng(0).normal(0, 12, (6, 3))

    def total(path: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in zip((0, *path), path, strict=False))
        return float(sum(table[row, state] for row, state in enumerate(path))) - SWITCH * changes

    best = max(product(range(3), repeat=6), key=total)
    assert tuple(_best_path(table).tolist()) == best


def test_calibration_is_the_log_of_the_ratio_of_densities() -> None:
    random = np.random.default_rng(0)
    evidence = Calibration.learn(random.normal(1, 1, 100_000), random.normal(0, 1, 100_000))
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert np.allclose(evidence(values), values - 0.5, atol=0.2)
