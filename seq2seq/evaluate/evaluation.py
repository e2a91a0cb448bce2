"""One evaluation: systems, their scores on a test set, whether and where they differ, and what misleads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seq2seq.decode.alignment import Alignment
from seq2seq.errors import DataError
from seq2seq.evaluate.comet import Comet
from seq2seq.evaluate.counting import count_systems
from seq2seq.evaluate.errors import find_errors
from seq2seq.evaluate.frequency import Frequency
from seq2seq.evaluate.groups import group_lines
from seq2seq.evaluate.guards import Overlap, check_translations, unspaced
from seq2seq.evaluate.metrics import Metrics, Score, Scores, Statistics
from seq2seq.evaluate.significance import Difference, best_system, bootstrap, compare, draws, with_intervals
from seq2seq.evaluate.testset import TestSet, TextFile

LARGEST_LOSS = 700.0  # of which the exponential is a number


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
        alignments: of a model's translations with the source, by cross-attention, if they were asked for.
    """

    name: str
    hypotheses: list[str] = field(repr=False)
    file: TextFile | None = None
    facts: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    loss: float | None = None
    alignments: list[Alignment] = field(default_factory=list, repr=False)

    @property
    def perplexity(self) -> float | None:
        """Of a model on the first reference, per token."""
        if self.loss is None:
            return None
        return math.inf if self.loss > LARGEST_LOSS else math.exp(self.loss)


@dataclass(frozen=True)
class GroupScores:
    """Lines that are alike in something, which ones, from 0, and the scores that each system has on them."""

    label: str
    rows: list[int]
    scores: list[list[Score]]

    @property
    def lines(self) -> int:
        """How many."""
        return len(self.rows)


@dataclass(frozen=True)
class GroupedScores:
    """The scores of all systems on groups of lines, by what the lines were grouped, and how, in a sentence."""

    title: str
    note: str
    groups: list[GroupScores]


@dataclass(frozen=True)
class Evaluation:
    """What was found about one or more systems on the same test set, in the order in which the systems were given.

    Attributes:
        test: the test set.
        systems: who translated.
        scores: of each system.
        sentence_chrf: of each system's lines, 0 to 100.
        differences: between pairs of systems, by each metric.
        grouped: scores on groups of lines.
        errors: of each system, lines from 0 by the kind of error.
        frequency: quality by how often training text has a word, if there is any.
        overlaps: what was found in files of training text.
        warnings: what makes scores misleading.
    """

    test: TestSet
    systems: list[System]
    scores: list[Scores]
    sentence_chrf: list[list[float]]
    differences: list[Difference]
    grouped: list[GroupedScores]
    errors: list[dict[str, list[int]]]
    frequency: Frequency | None
    overlaps: list[Overlap]
    warnings: list[str]

    @property
    def names(self) -> list[str]:
        """Of the systems."""
        return [system.name for system in self.systems]

    @property
    def best(self) -> int:
        """Index of the system with the highest BLEU, the first of equals."""
        return best_system(self.scores)

    def difference(self, metric: str, first: int, second: int) -> Difference | None:
        """Returns how the second system differs from the first, if the pair was tested."""
        for found in self.differences:
            if found.metric == metric and {found.first, found.second} == {first, second}:
                return found if found.first == first else found.turned()
        return None

    def record(self) -> dict[str, Any]:
        """Returns the evaluation for JSON: of one system flat, of several as a list."""
        records = [self._system(k) for k in range(len(self.systems))]
        record: dict[str, Any] = records[0] if len(records) == 1 else {"systems": records}
        record["test"] = {
            "title": self.test.title,
            "files": [{"name": file.name, "lines": len(file.lines), "sha256": file.sha256} for file in self.test.files],
        }
        record["draws"] = draws()
        if self.differences:
            record["differences"] = [each.record(self.names) for each in self.differences]
        record["groups"] = [
            {
                "by": grouped.title,
                "groups": [
                    {
                        "label": group.label,
                        "lines": group.lines,
                        "scores": [{score.name: score.value for score in scores} for scores in group.scores],
                    }
                    for group in grouped.groups
                ],
            }
            for grouped in self.grouped
        ]
        if self.frequency:
            record["frequency"] = {
                "files": self.frequency.files,
                "buckets": [vars(bucket) for bucket in self.frequency.buckets],
            }
        record["warnings"] = self.warnings
        if self.overlaps:
            record["train"] = [
                {"file": found.name, "lines": found.lines, "sources": found.sources, "references": found.references}
                for found in self.overlaps
            ]
        return record

    def _system(self, k: int) -> dict[str, Any]:
        """Returns for JSON what was found about one system."""
        system, errors = self.systems[k], self.errors[k]
        record: dict[str, Any] = {"system": system.name, **self.scores[k].record()}
        record["errors"] = {name: [row + 1 for row in rows] for name, rows in errors.items()}
        if system.loss is not None:
            # JSON has no infinity, which a model reaches that finds a reference impossible.
            values = {"loss": system.loss, "perplexity": system.perplexity or 0.0}
            record |= {name: value if math.isfinite(value) else None for name, value in values.items()}
        if system.file:
            record["sha256"] = system.file.sha256
        if system.facts:
            record["model"] = system.facts
        return record


def evaluate(
    test: TestSet,
    systems: Sequence[System],
    overlaps: Sequence[Overlap] = (),
    frequency: Frequency | None = None,
    comet: Comet | None = None,
    processes: int = 1,
) -> Evaluation:
    """Scores systems on a test set, tests their differences, and looks for what makes the scores misleading.

    Args:
        test: the test set.
        systems: one or more.
        overlaps: what was found in files of training text.
        frequency: quality by how often training text has a word.
        comet: model of COMET, if it scores too.
        processes: at most, to count with; see `count_systems`.

    Raises:
        DataError: there are no lines, numbers of lines differ, or there is no source for COMET.
    """
    references = test.reference_lines
    metrics = Metrics(references, target_language=test.target_language)
    hypotheses = [metrics.checked(system.hypotheses) for system in systems]
    statistics = count_systems(references, hypotheses, test.target_language, processes)
    if comet:
        _add_comet(comet, test, metrics, statistics, hypotheses)
    samples = bootstrap(metrics, statistics)
    scores = [
        with_intervals(metrics.from_statistics(*pair), drawn)
        for pair, drawn in zip(zip(statistics, hypotheses, strict=True), samples, strict=True)
    ]
    grouped = []
    for grouping in group_lines(test):
        groups = [
            GroupScores(group.label, group.rows, [metrics.of_rows(each, group.rows) for each in statistics])
            for group in grouping.groups
        ]
        grouped.append(GroupedScores(grouping.title, grouping.note, groups))
    warnings = unspaced(references, metrics.signature("BLEU")) + [
        f"{system.name}: {warning}"
        for system in systems
        for warning in check_translations(system.hypotheses, references, test.source_lines)
    ]
    return Evaluation(
        test,
        list(systems),
        scores,
        [[metrics.total("chrF", row) for row in each["chrF"].tolist()] for each in statistics],
        compare(metrics, statistics, scores, samples),
        grouped,
        [find_errors(lines, references, test.source_lines) for lines in hypotheses],
        frequency,
        list(overlaps),
        warnings + [warning for overlap in overlaps for warning in overlap.warnings()],
    )


def _add_comet(
    comet: Comet, test: TestSet, metrics: Metrics, statistics: Sequence[Statistics], hypotheses: Sequence[list[str]]
) -> None:
    """Adds COMET, which is scored line by line, to the metrics and their statistics."""
    if test.source_lines is None:
        raise DataError(f"COMET reads the source too, and {test.title} has none")
    for each, lines in zip(statistics, hypotheses, strict=True):
        found = comet.score(test.source_lines, lines, test.reference_lines)
        each["COMET"] = np.array([[value, 1.0] for value in found.sentences])
        metrics.add_mean("COMET", found.signature)
