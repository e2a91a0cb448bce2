"""The report on an evaluation: what it shows as plain data, and one HTML file of it that needs nothing else."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seq2seq.evaluate.errors import ERRORS, ErrorKind
from seq2seq.evaluate.evaluation import Evaluation, GroupedScores
from seq2seq.evaluate.page import render_page
from seq2seq.evaluate.plots import GroupPlot, IntervalPlot, group_plot, interval_plot
from seq2seq.evaluate.sentences import page_data, script_json, tenths
from seq2seq.evaluate.significance import LEAST_LINES, LEVEL, Difference, draws, p_value
from seq2seq.evaluate.tables import Cell, marked_best, score_cells, score_heads
from seq2seq.evaluate.verdict import verdict

BINS = 20  # of the histograms, from chrF 0 to 100
SHOWN = 4  # systems whose translations are shown at first
GROUP_METRICS = ("BLEU", "chrF", "COMET")  # by which groups of lines are compared
PACKAGES = ("seq2seq", "sacrebleu", "numpy", "torch")


@dataclass(frozen=True)
class Comparison:
    """How a system differs from another one.

    Attributes:
        system: its index.
        differences: by metric, as far as they were tested.
        better: lines on which its chrF is higher, as shown.
        worse: lines on which it is lower.
        same: the others.
    """

    system: int
    differences: list[Difference]
    better: int
    worse: int
    same: int


@dataclass(frozen=True)
class Grouped:
    """Scores on groups of lines, with their plots; `values` are rows of cells: group, metric, system."""

    scores: GroupedScores
    metrics: list[str]
    values: list[list[list[Cell]]]
    plots: list[GroupPlot]


@dataclass(frozen=True)
class Histogram:
    """Lines of a system by chrF, in BINS bins, and the mean of their chrF: not chrF of the test set."""

    counts: list[int]
    mean: float


@dataclass(frozen=True)
class Part:
    """What the report shows of one test set.

    Attributes:
        evaluation: scores and warnings.
        verdict: what they mean, in sentences.
        heads: of the columns of scores.
        cells: of each system.
        plots: of the scores, by metric.
        comparisons: with the first system and with the best one, by index.
        grouped: scores on groups of lines.
        frequency: quality by frequency of words, if there is training text.
        errors: each kind with the number of lines of each system.
        histograms: of each system.
    """

    evaluation: Evaluation
    verdict: list[str]
    heads: list[str]
    cells: list[list[Cell | None]]
    plots: list[IntervalPlot]
    comparisons: dict[int, list[Comparison]]
    grouped: list[Grouped]
    frequency: GroupPlot | None
    errors: list[tuple[ErrorKind, list[int]]]
    histograms: list[Histogram]

    @property
    def tallest(self) -> int:
        """The largest count of all histograms, so that they can share a scale."""
        return max(max(histogram.counts) for histogram in self.histograms) or 1


@dataclass(frozen=True)
class Input:
    """A file that the scores depend on."""

    role: str
    name: str
    lines: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """All that a report shows.

    Attributes:
        parts: one for each test set.
        data: of all lines, for the page's script.
        left_out: translations whose attention found no room.
        inputs: files that were read.
        versions: of the programs that computed the scores.
        command: the command line, and `folder` where it was run.
    """

    parts: list[Part]
    data: dict[str, Any]
    left_out: int
    inputs: list[Input]
    versions: dict[str, str]
    command: str
    folder: str

    @property
    def names(self) -> list[str]:
        """Of the systems."""
        return self.parts[0].evaluation.names

    @property
    def warnings(self) -> list[str]:
        """Of all test sets; of several, with the name of each."""
        many = len(self.parts) > 1
        found = [(part.evaluation.test.title, warning) for part in self.parts for warning in part.evaluation.warnings]
        return [f"{title}: {warning}" if many else warning for title, warning in found]


def make_report(evaluations: Sequence[Evaluation], command: str) -> Report:
    """Gathers what a report shows.

    Args:
        evaluations: one for each test set, of the same systems in the same order.
        command: the command line that made it.
    """
    data, left_out = page_data(evaluations)
    versions = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    parts = [_part(evaluation) for evaluation in evaluations]
    return Report(parts, data, left_out, _inputs(evaluations), versions, command, str(Path.cwd()))


def render(report: Report) -> str:
    """Returns the report as one HTML page; all text of users is escaped."""
    return render_page(
        "report.html",
        report=report,
        command=report.command,
        data=script_json(report.data),
        draws=draws(),
        least=LEAST_LINES,
        level=LEVEL,
        p_value=p_value,
        shown=SHOWN,
    )


def _part(evaluation: Evaluation) -> Part:
    names, scores = evaluation.names, evaluation.scores
    heads = score_heads(evaluation, arrows=True)
    plots = [
        interval_plot(heads[i], names, [each.metrics[i] for each in scores]) for i in range(len(scores[0].metrics))
    ]
    bases = dict.fromkeys((0, evaluation.best)) if len(names) > 1 else {}
    kinds = [kind for kind in ERRORS if all(kind.name in found for found in evaluation.errors)]
    return Part(
        evaluation,
        verdict(evaluation),
        heads,
        score_cells(evaluation, digits=2),
        plots,
        {base: _comparisons(evaluation, base) for base in bases},
        [_grouped(names, scores) for scores in evaluation.grouped],
        _frequency(evaluation),
        [(kind, [len(found[kind.name]) for found in evaluation.errors]) for kind in kinds],
        [_histogram(values) for values in evaluation.sentence_chrf],
    )


def _comparisons(evaluation: Evaluation, base: int) -> list[Comparison]:
    """Compares all other systems with one of them, as far as they were tested."""
    chrf, found = tenths(evaluation), []
    for k in range(len(evaluation.systems)):
        tests = [evaluation.difference(metric.name, base, k) for metric in evaluation.scores[0].metrics]
        if k != base and any(tests):
            gains = [ours - theirs for ours, theirs in zip(chrf[k], chrf[base], strict=True)]
            better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
            found.append(Comparison(k, [each for each in tests if each], better, worse, len(gains) - better - worse))
    return found


def _grouped(names: Sequence[str], grouped: GroupedScores) -> Grouped:
    """Returns scores on groups with the best of each marked, and their plots; COMET is not plotted."""
    known = [score.name for score in grouped.groups[0].scores[0]]
    metrics = [name for name in GROUP_METRICS if name in known]
    values = []
    for group in grouped.groups:
        columns = [[scores[known.index(name)].value for scores in group.scores] for name in metrics]
        values.append([[Cell(*pair) for pair in zip(column, marked_best(column), strict=True)] for column in columns])
    labels, counts = [group.label for group in grouped.groups], [group.lines for group in grouped.groups]
    plots = []
    for i, name in enumerate(metrics[:2]):
        of_systems = [[row[i][k].value for row in values] for k in range(len(names))]
        title = f"{name} by {grouped.title.lower()}"
        plots.append(group_plot(title, "lines", labels, counts, names, of_systems, joined=grouped.title == "Length"))
    return Grouped(grouped, metrics, values, plots)


def _frequency(evaluation: Evaluation) -> GroupPlot | None:
    if not evaluation.frequency:
        return None
    buckets = [bucket for bucket in evaluation.frequency.buckets if bucket.words]
    values = [
        [None if (value := bucket.f_measures[k]) is None else 100 * value for bucket in buckets]
        for k in range(len(evaluation.systems))
    ]
    labels, counts = [bucket.label for bucket in buckets], [bucket.words for bucket in buckets]
    return group_plot("F-measure of words, %", "words", labels, counts, evaluation.names, values) if buckets else None


def _histogram(values: Sequence[float]) -> Histogram:
    counts = [0] * BINS
    for value in values:
        counts[min(int(value * BINS / 100), BINS - 1)] += 1
    return Histogram(counts, sum(values) / len(values))


def _inputs(evaluations: Sequence[Evaluation]) -> list[Input]:
    """Lists the files that the scores depend on, and the training text that was compared, each once."""
    inputs = []
    for evaluation in evaluations:
        test = evaluation.test
        found = [("source", test.source), *(("reference", file) for file in test.references)]
        found += [(f"translations of {system.name}", system.file) for system in evaluation.systems]
        inputs += [Input(role, file.name, len(file.lines), file.sha256) for role, file in found if file]
        inputs += [Input("training text", file.name, file.lines, file.sha256) for file in evaluation.overlaps]
    return list(dict.fromkeys(inputs))
