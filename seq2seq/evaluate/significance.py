"""Whether systems differ by more than chance: sacrebleu's confidence intervals and its two paired tests.

All of it is computed from statistics of lines that are summed anew, with sacrebleu's own draws (its seed, its numbers
of samples) and its own scores, so that intervals and p-values are those of `sacrebleu --confidence`, `--paired-bs` and
`--paired-ar`; sums of many samples at once make it faster. Both tests are symmetric in the two systems.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.significance import PairedTest, estimate_ci

from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate.metrics import LESS_IS_BETTER, Metrics, Scores, Statistics

SAMPLES: int = PairedTest._DEFAULT_SAMPLES["bs"]  # bootstrap (Koehn 2004)
TRIALS: int = PairedTest._DEFAULT_SAMPLES["ar"]  # approximate randomisation (Riezler and Maxwell 2005)
LEVEL = 0.05  # p-values below are called significant ...
LEAST_LINES = 6  # ... if so many lines differ: that five all favour one system is chance in 1 of 16 cases
AT_ONCE = 64  # samples; a multiple of 32, so that drawing them in turn gives the same ones as drawing all at once

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How two systems differ by one metric.

    Attributes:
        metric: its name.
        first: index of the first system.
        second: index of the second.
        value: the second's score minus the first's.
        lines: on which the systems differ by the metric.
        bootstrap: p-value of paired bootstrap resampling.
        randomisation: p-value of paired approximate randomisation.
    """

    metric: str
    first: int
    second: int
    value: float
    lines: int
    bootstrap: float
    randomisation: float

    @property
    def is_significant(self) -> bool:
        """Whether both tests say that it is no accident; of few lines and of equal systems they always say so."""
        return self.value != 0 and not self.is_scarce and max(self.bootstrap, self.randomisation) < LEVEL

    @property
    def is_scarce(self) -> bool:
        """Whether too few lines differ to tell: the tests do not count samples that differ just as much."""
        return self.lines < LEAST_LINES

    @property
    def is_better(self) -> bool:
        """Whether the second system is the better one."""
        return self.value < 0 if self.metric in LESS_IS_BETTER else self.value > 0

    def turned(self) -> "Difference":
        """Returns how the first system differs from the second: both tests are symmetric."""
        return replace(self, first=self.second, second=self.first, value=0.0 - self.value)

    def record(self, names: Sequence[str]) -> dict[str, Any]:
        """Returns it for JSON, given the names of all systems."""
        return {
            "metric": self.metric,
            "system": names[self.second],
            "against": names[self.first],
            "difference": self.value,
            "lines": self.lines,
            "p_bootstrap": self.bootstrap,
            "p_randomisation": self.randomisation,
            "significant": self.is_significant,
        }


def p_value(value: float) -> str:
    """Returns a p-value as it is printed."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def draws() -> dict[str, int | None]:
    """Returns how intervals and p-values were drawn, as sacrebleu's signatures call it."""
    return {"bs": SAMPLES, "ar": TRIALS, "seed": seed()}


def seed() -> int | None:
    """Returns the seed of the draws: sacrebleu's, or that of the variable SACREBLEU_SEED; None: another each time.

    Raises:
        Seq2SeqError: the variable holds something else.
    """
    text = os.environ.get("SACREBLEU_SEED", "12345").lower()
    if text == "none":
        return None
    if not text.isdecimal():
        raise Seq2SeqError(f"SACREBLEU_SEED={text}: must be a whole number, 0 or more, or none")
    return int(text)


def bootstrap(metrics: Metrics, statistics: Sequence[Statistics]) -> list[dict[str, Floats]]:
    """Returns the scores of each system on SAMPLES samples of lines, the same for all systems, by metric."""
    n_lines = metrics.lines
    samples = np.random.default_rng(seed())
    sums: list[dict[str, list[Floats]]] = [{name: [] for name in each} for each in statistics]
    for n in _portions(SAMPLES):
        rows = samples.choice(n_lines, size=(n, n_lines), replace=True)
        times = np.stack([np.bincount(row, minlength=n_lines) for row in rows]).astype(np.float64)
        for found, each in zip(sums, statistics, strict=True):
            for name, counts in each.items():
                found[name].append(times @ counts)
    return [
        {
            name: np.array([metrics.total(name, row) for row in np.concatenate(parts).astype(np.float32)])
            for name, parts in found.items()
        }
        for found in sums
    ]


def with_intervals(scores: Scores, samples: dict[str, Floats]) -> Scores:
    """Returns scores with the 95 % intervals that samples of `bootstrap` give."""
    told = []
    for score in scores.metrics:
        mean, margin = estimate_ci(samples[score.name])
        told.append(replace(score, mean=float(mean), margin=float(margin)))
    return replace(scores, metrics=told)


def paired_bootstrap(first: Floats, second: Floats, difference: float) -> float:
    """Returns the p-value of a difference of scores, given the scores of both systems on the same samples."""
    differences = np.abs(second - first)
    return _p_value(differences - differences.mean(), abs(difference))


def randomisation(
    metrics: Metrics, first: Statistics, second: Statistics, differences: dict[str, float]
) -> dict[str, float]:
    """Returns the p-values, by metric, of differences: how often systems that exchange lines at random differ more."""
    chance = np.random.default_rng(seed() or None)  # sacrebleu takes the seed 0 for none
    found: dict[str, list[float]] = {name: [] for name in first}
    for n in _portions(TRIALS):
        kept = chance.integers(2, size=(n, metrics.lines), dtype=bool).astype(np.float64)
        for name, a in first.items():
            b = second[name]
            mixed = b.sum(0) + kept @ (a - b)
            sides = mixed, a.sum(0) + b.sum(0) - mixed
            one, other = ([metrics.total(name, row) for row in side.tolist()] for side in sides)
            found[name] += np.abs(np.array(one) - np.array(other)).tolist()
    return {name: _p_value(np.array(values), abs(differences[name])) for name, values in found.items()}


def compare(
    metrics: Metrics, statistics: Sequence[Statistics], scores: Sequence[Scores], samples: Sequence[dict[str, Floats]]
) -> list[Difference]:
    """Tests each system against the first one, and against the one with the highest BLEU.

    Args:
        metrics: those of the statistics.
        statistics: of each system.
        scores: of each system.
        samples: of each system, by `bootstrap`.
    """
    found = []
    for i, j in _pairs(scores):
        values = {name: scores[j][name] - scores[i][name] for name in metrics.names}
        by_chance = randomisation(metrics, statistics[i], statistics[j], values)
        for name, value in values.items():
            lines = int((statistics[i][name] != statistics[j][name]).any(1).sum())
            drawn = paired_bootstrap(samples[i][name], samples[j][name], value)
            found.append(Difference(name, i, j, value, lines, drawn, by_chance[name]))
    return found


def best_system(scores: Sequence[Scores]) -> int:
    """Returns the index of the system with the highest BLEU, the first of equals."""
    return max(range(len(scores)), key=lambda k: scores[k]["BLEU"])


def _pairs(scores: Sequence[Scores]) -> list[tuple[int, int]]:
    best = best_system(scores)
    pairs = {(0, k) for k in range(1, len(scores))} | {(min(best, k), max(best, k)) for k in range(len(scores))}
    return sorted(pair for pair in pairs if pair[0] != pair[1])


def _portions(total: int) -> Iterator[int]:
    for start in range(0, total, AT_ONCE):
        yield min(AT_ONCE, total - start)


def _p_value(found: Floats, difference: float) -> float:
    """Returns the share of values above a difference, with one more for the difference itself."""
    return (int(np.sum(found > difference)) + 1) / (len(found) + 1)
