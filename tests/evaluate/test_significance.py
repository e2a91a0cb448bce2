"""Intervals and p-values are sacrebleu's, of its classes and of its command."""

import random
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate import counting, significance
from seq2seq.evaluate.counting import count_systems
from seq2seq.evaluate.metrics import METRICS, Metrics
from seq2seq.evaluate.significance import LEVEL, Difference, bootstrap, compare, with_intervals

WORDS = [
    "the",
    "a",
    "dog",
    "cat",
    "man",
    "sees",
    "hears",
    "bites",
    "big",
    "small",
    "house",
    "tree",
    "in",
    "under",
    "not",
]
THEIRS = {"BLEU": "BLEU", "chrF2": "chrF", "chrF2++": "chrF++", "TER": "TER"}  # sacrebleu's names and ours


def texts(n: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Returns two references and four systems of different quality; the last is nearly the first."""
    draw = random.Random(seed)

    def worse(line: str, share: float) -> str:
        return " ".join(draw.choice(WORDS) if draw.random() < share else word for word in line.split())

    one = [" ".join(draw.choices(WORDS, k=draw.randint(3, 14))) + "." for _ in range(n)]
    systems = [[worse(line, share) for line in one] for share in (0.3, 0.34, 0.5)]
    systems.append([*systems[0][: n - 2], *systems[1][n - 2 :]])
    return [one, [worse(line, 0.2) for line in one]], systems


@pytest.mark.parametrize("n_references", [1, 2])
def test_p_values_and_intervals_are_those_of_sacrebleu(n_references: int) -> None:
    references, systems = texts(50, n_references)
    references = references[:n_references]
    metrics = Metrics(references)
    statistics = count_systems(references, systems)
    samples = bootstrap(metrics, statistics)
    scores = [
        with_intervals(metrics.from_statistics(each, lines), drawn)
        for each, lines, drawn in zip(statistics, systems, samples, strict=True)
    ]
    found = {
        (each.metric, each.second): each for each in compare(metrics, statistics, scores, samples) if not each.first
    }
    theirs = {"BLEU": BLEU(), "chrF2": CHRF(), "chrF2++": CHRF(word_order=2), "TER": TER()}
    named = [(str(k), lines) for k, lines in enumerate(systems)]
    for kind, field in (("bs", "bootstrap"), ("ar", "randomisation")):
        _, expected = PairedTest(named, theirs, references, kind)()
        for name, ours in THEIRS.items():
            for k in range(len(systems)):
                result = expected[name][k]
                assert scores[k][ours] == result.score
                if k:
                    assert getattr(found[ours, k], field) == result.p_value, (ours, k, field)
                if kind == "bs":
                    score = scores[k].metrics[METRICS.index(ours)]
                    assert (score.mean, score.margin) == pytest.approx((result.mean, result.ci), rel=1e-6)
    assert found["BLEU", 2].is_significant and not found["BLEU", 2].is_better
    assert found["TER", 2].value > 0 and not found["TER", 2].is_better
    assert not found["BLEU", 3].is_significant


def test_as_the_sacrebleu_command(tmp_path: Path) -> None:
    references, systems = texts(40, 7)
    for name, lines in (("r", references[0]), ("a", systems[0]), ("b", systems[1])):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    metrics = Metrics(references[:1])
    statistics = count_systems(references[:1], systems[:2])
    scores = [metrics.from_statistics(*pair) for pair in zip(statistics, systems[:2], strict=True)]
    samples = bootstrap(metrics, statistics)
    found = {each.metric: each for each in compare(metrics, statistics, scores, samples)}
    with_samples = [with_intervals(*pair) for pair in zip(scores, samples, strict=True)]
    for option, field in (("--paired-bs", "bootstrap"), ("--paired-ar", "randomisation")):
        command = [sys.executable, "-m", "sacrebleu", "r", "-i", "a", "b", "-m", "bleu", "chrf", "ter", option]
        form = ["-f", "text", "-w", "4"]
        out = subprocess.run([*command, *form], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        rows = [re.sub("[^0-9.=p ]", "", line) for line in out.split("\n") if line.startswith("│ ")]
        p_values = [f"{getattr(found[name], field):.4f}" for name in ("BLEU", "chrF", "TER")]
        assert re.findall("p = ([0-9.]+)", rows[-1]) == p_values
        for row, ours in zip(rows[1:3], with_samples, strict=True):
            shown = [score for score in ours.metrics if score.name != "chrF++"]
            if field == "bootstrap":
                expected = [(each.value, each.mean or 0, each.margin or 0) for each in shown]
                assert row.split() == [f"{value:.4f}" for three in expected for value in three]
            else:
                assert row.split() == [f"{each.value:.4f}" for each in shown]


def test_a_pair_may_be_turned() -> None:
    references, systems = texts(30, 3)
    metrics, statistics = Metrics(references), count_systems(references, systems[1:3])
    results = []
    for order in (statistics, statistics[::-1]):
        scores = [metrics.from_statistics(each, [""] * 30) for each in order]
        results.append(compare(metrics, order, scores, bootstrap(metrics, order)))
    assert results[0] == [Difference(**vars(each)).turned().turned() for each in results[0]]
    for there, back in zip(*results, strict=True):
        assert (there.bootstrap, there.randomisation) == (back.bootstrap, back.randomisation)
        assert there.value == -back.value


def test_the_same_system_twice_does_not_differ() -> None:
    references, systems = texts(30, 4)
    metrics, statistics = Metrics(references), count_systems(references, [systems[0], systems[0]])
    scores = [metrics.from_statistics(each, systems[0]) for each in statistics]
    for found in compare(metrics, statistics, scores, bootstrap(metrics, statistics)):
        assert (found.value, found.is_significant) == (0, False)


def test_each_system_is_tested_against_the_first_and_the_best() -> None:
    references, systems = texts(30, 5)
    order = [2, 1, 0, 2]
    statistics = count_systems(references, [systems[k] for k in order])
    metrics = Metrics(references)
    scores = [metrics.from_statistics(each, [""] * 30) for each in statistics]
    found = compare(metrics, statistics, scores, bootstrap(metrics, statistics))
    best = max(range(4), key=lambda k: scores[k]["BLEU"])
    assert best in (1, 2)
    expected = {(0, 1), (0, 2), (0, 3), (1, 2), (best, 3)}
    assert {(each.first, each.second) for each in found} == expected


def test_another_seed_draws_others(monkeypatch: pytest.MonkeyPatch) -> None:
    references, systems = texts(30, 6)
    metrics, statistics = Metrics(references), count_systems(references, systems[:1])
    before = bootstrap(metrics, statistics)[0]["BLEU"]
    assert np.array_equal(before, bootstrap(metrics, statistics)[0]["BLEU"])
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    assert significance.draws() == {"bs": 1000, "ar": 10000, "seed": 7}
    assert not np.array_equal(before, bootstrap(metrics, statistics)[0]["BLEU"])


def test_without_a_seed_all_systems_are_seen_on_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "None")
    references, systems = texts(30, 6)
    metrics, statistics = Metrics(references), count_systems(references, [systems[0]] * 2)
    first, second = bootstrap(metrics, statistics)
    assert np.array_equal(first["BLEU"], second["BLEU"])
    assert not np.array_equal(first["BLEU"], bootstrap(metrics, statistics)[0]["BLEU"])


@pytest.mark.parametrize("text", ["x", "-1", "1.5", ""])
def test_a_seed_is_a_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", text)
    with pytest.raises(Seq2SeqError, match=f"SACREBLEU_SEED={text}: must be a whole number, 0 or more, or none"):
        significance.seed()


@pytest.mark.parametrize(("n_lines", "worse", "significant"), [(1, 1, False), (40, 5, False), (40, 6, True)])
def test_few_lines_show_nothing(n_lines: int, worse: int, significant: bool) -> None:
    references = [[f"the old dog number {i} sees a house" for i in range(n_lines)]]
    systems = [references[0], ["a" if i < worse else line for i, line in enumerate(references[0])]]
    metrics, statistics = Metrics(references), count_systems(references, systems)
    scores = [metrics.from_statistics(*pair) for pair in zip(statistics, systems, strict=True)]
    for found in compare(metrics, statistics, scores, bootstrap(metrics, statistics)):
        assert (found.lines, found.is_scarce, found.is_significant) == (worse, not significant, significant)
        assert max(found.bootstrap, found.randomisation) < LEVEL  # so that the tests alone would say otherwise


def test_a_script_of_ones_own_may_evaluate_many_lines(tmp_path: Path) -> None:
    script = """
        from seq2seq.evaluate import counting
        from seq2seq.evaluate.evaluation import System, evaluate
        from seq2seq.evaluate.testset import TestSet, TextFile
        counting.ALONE = 2
        lines = ["the old dog", "a cat", "it is big"]
        print(evaluate(TestSet("t", [TextFile("r", lines, "")]), [System("one", lines)]).scores[0].exact)
    """
    (tmp_path / "script.py").write_text(dedent(script))
    for source in ({"args": [sys.executable, "script.py"]}, {"args": [sys.executable], "input": dedent(script)}):
        out = subprocess.run(**source, capture_output=True, text=True, cwd=tmp_path, check=False)  # type: ignore[call-overload]
        assert (out.stdout.strip(), out.stderr) == ("1.0", "")


@pytest.mark.parametrize("n_references", [1, 2])
def test_several_processes_count_like_one(monkeypatch: pytest.MonkeyPatch, n_references: int) -> None:
    references, systems = texts(25, 8)
    references = references[:n_references]
    expected = [Metrics(references).statistics(lines) for lines in systems]
    alone = count_systems(references, systems)
    monkeypatch.setattr(counting, "MOST_LINES", 10)
    in_pieces = count_systems(references, systems)
    monkeypatch.setattr(counting, "ALONE", 10)
    for found in (alone, in_pieces, count_systems(references, systems, processes=2)):
        for one, other in zip(found, expected, strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in METRICS)


def test_n_grams_of_few_lines_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    references, systems = texts(300, 9)
    peaks = []
    for most in (300, 20):
        monkeypatch.setattr(counting, "MOST_LINES", most)
        tracemalloc.start()
        Metrics(references)
        count_systems(references, systems[:1])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] / 3
