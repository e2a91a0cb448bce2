"""BLEU, chrF and TER by sacrebleu, each with its signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.errors import DataError


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
        exact: share of lines equal to their reference, 0 to 1.
        lines: number of lines.
    """

    metrics: list[Score]
    exact: float
    lines: int

    def __getitem__(self, name: str) -> float:
        """Returns the value of a metric by its name, in any case."""
        return next(score.value for score in self.metrics if score.name.lower() == name.lower())

    def text(self) -> str:
        """Returns a table of scores with their signatures."""
        rows = [f"{score.name:<6} {score.value:6.2f}   {score.signature}" for score in self.metrics]
        rows.append(f"exact  {100 * self.exact:6.2f}   share of the {self.lines:,} lines equal to their reference")
        return "\n".join(rows)

    def record(self) -> dict[str, Any]:
        """Returns the scores for JSON."""
        metrics = {score.name: {"score": score.value, "signature": score.signature} for score in self.metrics}
        return {"metrics": metrics, "exact": self.exact, "lines": self.lines}


def score(
    hypotheses: Sequence[str], references: Sequence[str], names: Sequence[str] = ("BLEU", "chrF", "TER")
) -> Scores:
    """Scores detokenised translations against one reference each.

    Args:
        hypotheses: translations, raw text.
        references: as many references, raw text.
        names: which metrics: BLEU, chrF, TER.

    Raises:
        DataError: there are no lines, or the numbers of lines differ.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if len(hypotheses) != len(references):
        raise DataError(f"{len(hypotheses):,} translations for {len(references):,} references: every line needs one")
    if not references:
        raise DataError("nothing to score: no lines")
    classes: dict[str, Any] = {"BLEU": BLEU, "chrF": CHRF, "TER": TER}
    metrics = []
    for name in names:
        metric = classes[name]()
        value = metric.corpus_score(list(hypotheses), [list(references)]).score
        metrics.append(Score(name, value, str(metric.get_signature())))
    equal = sum(hypothesis == reference for hypothesis, reference in zip(hypotheses, references, strict=True))
    return Scores(metrics, equal / len(references), len(references))
