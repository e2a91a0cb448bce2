"""BLEU, chrF and TER by sacrebleu, each with its signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.errors import DataError

METRICS = ("BLEU", "chrF", "TER")


@dataclass(frozen=True)
class Score:
    """A score of a whole test set, 0 to 100 (TER may pass 100, and less is better), and how it was computed."""

    name: str
    value: float
    signature: str


@dataclass(frozen=True)
class Scores:
    """All scores of a test set.

    Attributes:
        metrics: BLEU, chrF and TER.
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

    def text(self) -> str:
        """Returns a table of scores with their signatures."""
        rows = [f"{score.name:<6} {score.value:6.2f}   {score.signature}" for score in self.metrics]
        rows.append(f"exact  {100 * self.exact:6.2f}   {self.exact_note}")
        return "\n".join(rows)

    @property
    def exact_note(self) -> str:
        """What the last line of a table of scores says about `exact`."""
        equal = "their reference" if self.references == 1 else f"one of their {self.references} references"
        return f"share of the {self.lines:,} lines equal to {equal}"

    def record(self) -> dict[str, Any]:
        """Returns the scores for JSON."""
        metrics = {score.name: {"score": score.value, "signature": score.signature} for score in self.metrics}
        return {"metrics": metrics, "exact": self.exact, "lines": self.lines}


class Metrics:
    """Metrics of detokenised translations against references, whose n-grams are counted once for all systems.

    Args:
        references: one or more lists of references, raw text, each with a reference for every line.
        names: which metrics: BLEU, chrF, TER.
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
        classes: dict[str, Any] = {"BLEU": BLEU, "chrF": CHRF, "TER": TER}
        # `force` mutes sacrebleu's own warning about tokenised text: evaluate/guards.py has a sharper one.
        options = {"BLEU": {"trg_lang": target_language, "force": True}}
        try:
            self._metrics = {name: classes[name](references=self.references, **options.get(name, {})) for name in names}
        except (ImportError, RuntimeError) as error:  # sacrebleu's tokenizers for some languages are extras
            raise DataError(f"BLEU for target language {target_language!r}: {error}") from error

    def score(self, hypotheses: Sequence[str]) -> Scores:
        """Scores the translations of one system.

        Args:
            hypotheses: raw text, one for each reference.

        Raises:
            DataError: their number is another one.
        """
        self._check(len(hypotheses), "translations")
        scores = []
        for name, metric in self._metrics.items():
            value = metric.corpus_score(list(hypotheses), None).score
            scores.append(Score(name, value, str(metric.get_signature())))
        rows = zip(hypotheses, *self.references, strict=True)
        equal = sum(hypothesis in references for hypothesis, *references in rows)
        return Scores(scores, equal / self.lines, self.lines, len(self.references))

    def _check(self, n: int, what: str) -> None:
        if n != self.lines:
            raise DataError(f"{n:,} {what} for {self.lines:,} references: every line needs one")


def score(hypotheses: Sequence[str], references: Sequence[str], names: Sequence[str] = METRICS) -> Scores:
    """Scores detokenised translations against one reference each.

    Args:
        hypotheses: translations, raw text.
        references: as many references, raw text.
        names: which metrics: BLEU, chrF, TER.

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
