"""One evaluation: systems, their scores on a test set, and what makes them misleading."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seq2seq.evaluate.guards import Overlap, check_translations
from seq2seq.evaluate.metrics import Metrics, Scores
from seq2seq.evaluate.testset import TestSet, TextFile

NAME_WIDTH = 60  # of the first column of a table


@dataclass(frozen=True)
class System:
    """Translations and where they come from.

    Attributes:
        name: model or file, as the user gave it.
        hypotheses: its translations, raw text, one for each line of the test set.
        file: where they were read from; None for a model's.
        facts: what identifies a model and how it translated, in words.
        settings: a model's settings as a recipe.
        loss: of a model on the first reference, in nats per token, the end of sentence included.
    """

    name: str
    hypotheses: list[str] = field(repr=False)
    file: TextFile | None = None
    facts: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    loss: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """The scores of one or more systems on the same test set, in the order in which the systems were given.

    Attributes:
        test: the test set.
        systems: who translated.
        scores: of each system.
        overlaps: what was found in files of training text.
        warnings: what makes scores misleading.
    """

    test: TestSet
    systems: list[System]
    scores: list[Scores]
    overlaps: list[Overlap]
    warnings: list[str]

    def text(self) -> str:
        """Returns the scores as text: of one system in a column, of several in a row each; signatures once."""
        if len(self.systems) == 1:
            return self.scores[0].text()
        first = self.scores[0]
        names = [system.name for system in self.systems]
        width = min(max(len("system"), *map(len, names)), NAME_WIDTH)
        rows = [f"{'system':<{width}}" + "".join(f" {metric.name:>6}" for metric in first.metrics) + "  exact"]
        for name, scores in zip(names, self.scores, strict=True):
            values = [*(metric.value for metric in scores.metrics), 100 * scores.exact]
            rows.append(f"{name:<{width}}" + "".join(f" {value:6.2f}" for value in values))
        notes = [*((metric.name, metric.signature) for metric in first.metrics), ("exact", first.exact_note)]
        return "\n".join([*rows, "", *(f"{name:<6} {note}" for name, note in notes)])

    def record(self) -> dict[str, Any]:
        """Returns the evaluation for JSON: of one system flat, of several as a list."""
        records = [
            {"system": system.name, **scores.record()} for system, scores in zip(self.systems, self.scores, strict=True)
        ]
        record: dict[str, Any] = records[0] if len(records) == 1 else {"systems": records}
        record["warnings"] = self.warnings
        if self.overlaps:
            record["train"] = [
                {"file": found.name, "lines": found.lines, "sources": found.sources, "references": found.references}
                for found in self.overlaps
            ]
        return record


def evaluate(test: TestSet, systems: Sequence[System], overlaps: Sequence[Overlap] = ()) -> Evaluation:
    """Scores systems on a test set and looks for what makes the scores misleading.

    Args:
        test: the test set.
        systems: one or more.
        overlaps: what was found in files of training text.

    Raises:
        DataError: there are no lines, or numbers of lines differ.
    """
    metrics = Metrics(test.reference_lines, target_language=test.target_language)
    warnings = []
    for system in systems:
        found = check_translations(system.hypotheses, test.reference_lines, test.source_lines)
        warnings += [f"{system.name}: {warning}" for warning in found]
    warnings += [warning for overlap in overlaps for warning in overlap.warnings()]
    scores = [metrics.score(system.hypotheses) for system in systems]
    return Evaluation(test, list(systems), scores, list(overlaps), warnings)
