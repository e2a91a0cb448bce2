"""The report on an evaluation: what it shows as plain data, and one HTML file of it that needs nothing else."""

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from importlib.metadata import version
from pathlib import Path

from seq2seq.evaluate.evaluation import Evaluation, System
from seq2seq.evaluate.metrics import Metrics, Scores, sentence_chrf
from seq2seq.evaluate.page import render_page
from seq2seq.evaluate.testset import TestSet
from seq2seq.text.lines import is_blank

SHOWN = 20  # sentences of a kind
SHOWN_LENGTH = 1000  # characters of a sentence
BINS = 20  # of the histogram, from chrF 0 to 100
LENGTHS = (0, 5, 10, 15, 20, 30, 40, 50)  # words: the upper ends of all buckets but the last

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MARKS = "!-/:-@\\[-`{-~\u00a1-\u00bf\u2010-\u205e\u3001-\u303f\uff01-\uff20"
# A word, a punctuation mark, or a character of a script without spaces; with the spaces before it.
WORD = re.compile(rf"\s*(?:[{_CJK}]|[{_MARKS}]|[^\s{_CJK}{_MARKS}]+)")


@dataclass(frozen=True)
class Piece:
    """A run of words, and whether the other side has it too."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Example:
    """One sentence of a system.

    Attributes:
        line: its number in the test set, from 1.
        chrf: against the nearest reference, 0 to 100.
        source: what was translated, if it is known.
        reference: the nearest reference; words that the translation lacks differ.
        others: the other references.
        hypothesis: the translation; words that the reference lacks differ.
    """

    line: int
    chrf: float
    source: str | None
    reference: list[Piece]
    others: list[str]
    hypothesis: list[Piece]


@dataclass(frozen=True)
class Block:
    """What the report shows of one system.

    Attributes:
        system: who translated.
        scores: of the whole test set.
        histogram: sentences by chrF, in BINS bins.
        mean: of the sentences' chrF, 0 to 100; not chrF of the test set.
        worst: sentences with the lowest chrF, the lowest first.
        best: sentences with the highest chrF, the highest first.
    """

    system: System
    scores: Scores
    histogram: list[int]
    mean: float
    worst: list[Example]
    best: list[Example]


@dataclass(frozen=True)
class Bucket:
    """Lines of like length: which ones, how many, and the scores that each system has on them."""

    label: str
    lines: int
    scores: list[Scores]


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
        evaluation: scores and warnings.
        blocks: one for each system.
        buckets: scores by length; `measured` says whether of the source or the reference.
        inputs: files that were read.
        versions: of the programs that computed the scores.
        command: the command line, and `folder` where it was run.
        created: date and time, UTC.
    """

    evaluation: Evaluation
    blocks: list[Block]
    buckets: list[Bucket]
    measured: str
    inputs: list[Input]
    versions: dict[str, str]
    command: str
    folder: str
    created: str

    @property
    def tallest(self) -> int:
        """The largest count of all histograms, so that they can share a scale."""
        return max(max(block.histogram) for block in self.blocks) or 1

    @property
    def summary(self) -> str:
        """One sentence with the result."""
        first = self.blocks[0].scores
        data = f"the {first.lines:,} lines of {self.evaluation.test.title}"
        if len(self.blocks) == 1:
            values = ", ".join(f"{score.name} {score.value:.1f}" for score in first.metrics)
            return f"{self.blocks[0].system.name} reaches {values} on {data}."
        best = max(self.blocks, key=lambda block: block.scores["BLEU"])
        highest = f"{best.system.name} has the highest BLEU, {best.scores['BLEU']:.1f}, on {data}"
        return f"Of {len(self.blocks)} systems, {highest}. Whether they differ by more than chance was not tested."


def make_report(evaluation: Evaluation, command: str) -> Report:
    """Gathers what a report shows.

    Args:
        evaluation: scores and warnings.
        command: the command line that made it.
    """
    test = evaluation.test
    return Report(
        evaluation,
        [_block(test, *row) for row in zip(evaluation.systems, evaluation.scores, strict=True)],
        _buckets(test, evaluation.systems),
        "source" if test.source else "reference",
        _inputs(evaluation),
        {"Python": platform.python_version(), **{name: version(name) for name in ("seq2seq", "sacrebleu", "torch")}},
        command,
        str(Path.cwd()),
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


def render(report: Report) -> str:
    """Returns the report as one HTML page; all text of users is escaped."""
    return render_page("report.html", report=report, evaluation=report.evaluation)


def mark_differences(reference: str, hypothesis: str) -> tuple[list[Piece], list[Piece]]:
    """Returns both sides in pieces, word by word marked where they differ."""
    sides = WORD.findall(reference), WORD.findall(hypothesis)
    before, after = ([word.strip() for word in side] for side in sides)
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for tag, *ends in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for side, found, start, end in zip(sides, pieces, ends[::2], ends[1::2], strict=True):
            text = "".join(side[start:end])
            space = text[: len(text) - len(text.lstrip())] if tag != "equal" else ""
            found += [Piece(space, False)] if space else []
            found += [Piece(text[len(space) :], tag != "equal")] if text else []
    return pieces


def _block(test: TestSet, system: System, scores: Scores) -> Block:
    """Scores a system's sentences one by one and picks those to show."""
    references = list(zip(*test.reference_lines, strict=True))
    values = [sentence_chrf(*row) for row in zip(system.hypotheses, references, strict=True)]
    chrf = [max(each) for each in values]
    histogram = [0] * BINS
    for value in chrf:
        histogram[min(int(value * BINS / 100), BINS - 1)] += 1
    filled = [i for i, row in enumerate(references) if not all(map(is_blank, (*row, system.hypotheses[i])))]
    # Of sentences with the same chrF the longer ones tell more.
    worst = sorted(filled, key=lambda i: (chrf[i], -len(references[i][0])))[: min(SHOWN, (len(filled) + 1) // 2)]
    rest = [i for i in filled if i not in worst]
    best = sorted(rest, key=lambda i: (-chrf[i], -len(references[i][0])))[:SHOWN]
    shown = [[_example(test, system, i, values[i]) for i in rows] for rows in (worst, best)]
    return Block(system, scores, histogram, sum(chrf) / len(chrf), *shown)


def _example(test: TestSet, system: System, i: int, values: Sequence[float]) -> Example:
    """Returns line `i` as the report shows it, given its chrF against each reference."""
    references = [_shown(lines[i]) for lines in test.reference_lines]
    nearest = references.pop(values.index(max(values)))
    reference, hypothesis = mark_differences(nearest, _shown(system.hypotheses[i]))
    source = _shown(test.source.lines[i]) if test.source else None
    return Example(i + 1, max(values), source, reference, references, hypothesis)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…"


def _buckets(test: TestSet, systems: Sequence[System]) -> list[Bucket]:
    """Scores all systems on lines of like length, in words of the source or else of the first reference."""
    lines = test.source_lines or test.reference_lines[0]
    buckets = []
    lengths = [len(WORD.findall(line)) for line in lines]
    for low, high in zip((-1, *LENGTHS), (*LENGTHS, None), strict=True):
        rows = [i for i, n in enumerate(lengths) if n > low and (high is None or n <= high)]
        if not rows:
            continue
        references = [[one[i] for i in rows] for one in test.reference_lines]
        metrics = Metrics(references, ("BLEU", "chrF"), test.target_language)
        scores = [metrics.score([system.hypotheses[i] for i in rows]) for system in systems]
        label = f"over {low}" if high is None else f"{low + 1} to {high}" if high else "0"
        buckets.append(Bucket(label, len(rows), scores))
    return buckets


def _inputs(evaluation: Evaluation) -> list[Input]:
    """Lists the files that the scores depend on, and the training text that was compared."""
    test = evaluation.test
    found = [("source", test.source), *(("reference", file) for file in test.references)]
    found += [("translations", system.file) for system in evaluation.systems]
    inputs = [Input(role, file.name, len(file.lines), file.sha256) for role, file in found if file]
    return inputs + [Input("training text", file.name, file.lines, file.sha256) for file in evaluation.overlaps]
