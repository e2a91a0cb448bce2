"""BLEU, chrF, chrF++ and TER by sacrebleu, each with its signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq.errors import DataError

METRICS = ("BLEU", "chrF", "chrF++", "TER")
LESS_IS_BETTER = ("TER",)

Statistics = dict[str, NDArray[np.float64]]  # of each metric, [lines, counts]: their sums are scored


@dataclass(frozen=True)
class Score:
    """A score of a whole test set, and how it was computed.

    Attributes:
        name: of the metric.
        value: 0 to 100; TER may pass 100, and less is better.
        signature: sacrebleu's.
        mean: of the scores of bootstrap resamples; None if none were drawn.
        margin: half the width of their 95 % interval.
    """

    name: str
    value: float
    signature: str
    mean: float | None = None
    margin: float | None = None


@dataclass(frozen=True)
class Scores:
    """All scores of a test set.

    Attributes:
        metrics: BLEU, chrF, chrF++ and TER.
        exact: share of lines equal to a reference, 0 to 1.
        lines: number of lines.
        references: number of references for each line.
    """

    metrics: list[Score]
    exact: float
    lines: int
    references: int = 1

    def __getitem__(self, name: str) -> float:
        """Returns the value of a metric by its name, in any case."""
        return next(score.value for score in self.metrics if score.name.lower() == name.lower())

    @property
    def exact_note(self) -> str:
        """What the last line of a table of scores says about `exact`."""
        equal = "their reference" if self.references == 1 else f"one of their {self.references} references"
        return f"share of the {self.lines:,} lines equal to {equal}"

    def record(self) -> dict[str, Any]:
        """Returns the scores for JSON."""
        metrics = {}
        for score in self.metrics:
            metrics[score.name] = {"score": score.value, "signature": score.signature}
            if score.mean is not None and score.margin is not None:
                metrics[score.name] |= {"mean": score.mean, "margin": score.margin}
        return {"metrics": metrics, "exact": self.exact, "lines": self.lines}


class Metrics:
    """Metrics of detokenised translations against references, whose n-grams are counted once for all systems.

    Args:
        references: one or more lists of references, raw text, each with a reference for every line.
        names: which metrics, of METRICS.
        target_language: code such as `zh`, by which sacrebleu chooses BLEU's tokenizer; empty: 13a.

    Raises:
        DataError: there are no lines, lists differ in length, or the language needs a package that is not installed.
    """

    def __init__(
        self, references: Sequence[Sequence[str]], names: Sequence[str] = METRICS, target_language: str = ""
    ) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
        from sacrebleu.metrics.ter import TER

        self.references = [list(lines) for lines in references]
        self.lines = len(self.references[0])
        for lines in self.references:
            self._check(len(lines), "references")
        if not self.lines:
            raise DataError("nothing to score: no lines")
        classes: dict[str, Any] = {"BLEU": BLEU, "chrF": CHRF, "chrF++": CHRF, "TER": TER}
        # `force` mutes sacrebleu's own warning about tokenised text: evaluate/guards.py has a sharper one.
        options: dict[str, dict[str, Any]] = {
            "BLEU": {"trg_lang": target_language, "force": True},
            "chrF++": {"word_order": 2},
        }
        one = [lines[:1] for lines in self.references]  # tells how many references there are; see `count`
        try:
            self._metrics = {name: classes[name](references=one, **options.get(name, {})) for name in names}
        except (ImportError, RuntimeError) as error:  # sacrebleu's tokenizers for some languages are extras
            raise DataError(f"BLEU for target language {target_language!r}: {error}") from error
        self._in_references: dict[str, list[Any]] = {}

    def add_mean(self, name: str, signature: str) -> None:
        """Adds a metric whose score is 100 times a mean over lines: its statistics are a line's value and 1."""
        self._metrics[name] = _Mean(signature)

    @property
    def names(self) -> list[str]:
        """Which metrics."""
        return list(self._metrics)

    def score(self, hypotheses: Sequence[str]) -> Scores:
        """Scores the translations of one system.

        Args:
            hypotheses: raw text, one for each reference.

        Raises:
            DataError: their number is another one.
        """
        return self.from_statistics(self.statistics(hypotheses), hypotheses)

    def statistics(self, hypotheses: Sequence[str]) -> Statistics:
        """Counts what scores are computed from, line by line.

        Args:
            hypotheses: raw text, one for each reference.

        Raises:
            DataError: their number is another one.
        """
        lines = self.checked(hypotheses)
        return {name: np.array([self.count(name, *row) for row in enumerate(lines)]) for name in self._metrics}

    def checked(self, hypotheses: Sequence[str]) -> list[str]:
        """Returns translations if there is one for each reference.

        Raises:
            DataError: their number is another one.
        """
        self._check(len(hypotheses), "translations")
        return list(hypotheses)

    def count(self, name: str, row: int, hypothesis: str) -> list[float]:
        """Returns the statistics of a metric, [counts], of one line's translation."""
        metric = self._metrics[name]
        if name not in self._in_references:  # large, and of no use to those who only score what was counted elsewhere
            self._in_references[name] = metric._cache_references(self.references)
        ours = metric._preprocess_segment(hypothesis)
        found = metric._compute_segment_statistics(ours, self._in_references[name][row])
        return [float(count) for count in found]

    def from_statistics(self, statistics: Statistics, hypotheses: Sequence[str]) -> Scores:
        """Scores the translations whose statistics are these."""
        rows = zip(hypotheses, *self.references, strict=True)
        equal = sum(hypothesis in references for hypothesis, *references in rows)
        return Scores(self.of_rows(statistics), equal / self.lines, self.lines, len(self.references))

    def of_rows(self, statistics: Statistics, rows: Sequence[int] | None = None) -> list[Score]:
        """Scores some of the lines alone, as if they were the test set; None: all."""
        chosen = slice(None) if rows is None else list(rows)
        return [
            Score(name, self.total(name, counts[chosen].sum(0)), self.signature(name))
            for name, counts in statistics.items()
        ]

    def total(self, name: str, counts: NDArray[Any] | list[float]) -> float:
        """Returns the score of summed statistics, [counts], of a metric."""
        return float(self._metrics[name]._compute_score_from_stats(counts).score)

    def signature(self, name: str) -> str:
        """Returns sacrebleu's signature of a metric."""
        return str(self._metrics[name].get_signature())

    def _check(self, n: int, what: str) -> None:
        if n != self.lines:
            raise DataError(f"{n:,} {what} for {self.lines:,} references: every line needs one")


@dataclass(frozen=True)
class _Mean:
    """A metric that is the mean of what lines have, with as much of the form of sacrebleu's as scoring asks for."""

    signature: str

    def _compute_score_from_stats(self, counts: Sequence[float]) -> Any:
        return SimpleNamespace(score=100 * counts[0] / counts[1])

    def get_signature(self) -> str:
        return self.signature


def score(hypotheses: Sequence[str], references: Sequence[str], names: Sequence[str] = METRICS) -> Scores:
    """Scores detokenised translations against one reference each.

    Args:
        hypotheses: translations, raw text.
        references: as many references, raw text.
        names: which metrics, of METRICS.

    Raises:
        DataError: there are no lines, or the numbers of lines differ.
    """
    return Metrics([references], names).score(hypotheses)


def sentence_chrf(hypothesis: str, references: Sequence[str]) -> list[float]:
    """Returns the chrF of one translation against each of its references alone, 0 to 100.

    The settings are those of chrF over a test set; against several references at once, chrF of a sentence is the
    highest of these values.
    """
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return [metric.sentence_score(hypothesis, [reference]).score for reference in references]
