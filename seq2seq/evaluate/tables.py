"""Evaluations as tables: text for a terminal, Markdown and LaTeX for papers; no score without its signature."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seq2seq.evaluate.errors import ERRORS
from seq2seq.evaluate.evaluation import Evaluation
from seq2seq.evaluate.metrics import LESS_IS_BETTER, Scores
from seq2seq.evaluate.significance import LEAST_LINES, LEVEL, SAMPLES, TRIALS, Difference, p_value, seed
from seq2seq.evaluate.verdict import verdict

NAME_WIDTH = 60  # of the first column of a text

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    char: "\\" + char for char in "&%$#_{}"
}


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes:
        value: itself.
        margin: half the width of its 95 % interval, if it is known.
        differs: whether it is significantly different from that of the first system.
        is_best: whether no system has a better one, to the digits shown, and some a worse one.
    """

    value: float
    is_best: bool = False
    margin: float | None = None
    differs: bool = False


def scores_text(scores: Scores) -> str:
    """Returns the scores of one system in a column, with signatures."""
    rows = [(score.name, _text(Cell(score.value, margin=score.margin)), score.signature) for score in scores.metrics]
    rows.append(("exact", _text(Cell(100 * scores.exact)), scores.exact_note))
    width = max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:<6} {value:<{width}}   {note}" for name, value, note in rows)


def text(evaluation: Evaluation) -> str:
    """Returns an evaluation as text: of one system in a column, of several in a row each, with tests of differences."""
    first = evaluation.scores[0]
    if len(evaluation.systems) == 1:
        system = evaluation.systems[0]
        parts = [scores_text(first)]
        if system.loss is not None:
            parts.append(
                f"loss   {system.loss:.4f} nats per token of the reference, perplexity {system.perplexity:.2f}"
            )
        found = [f"{kind} {n:,}" for kind, (n,) in _errors(evaluation).items()]
        return "\n".join([*parts, _intervals(), *([f"lines  with errors: {', '.join(found)}"] if found else [])])
    names = [name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…" for name in evaluation.names]
    rows = [[name, *(_text(cell) for cell in row)] for name, row in zip(names, score_cells(evaluation), strict=True)]
    table = _columns([["system", *score_heads(evaluation)], *rows])
    notes = [f"{score.name:<6} {score.signature}" for score in first.metrics] + [f"exact  {first.exact_note}"]
    parts = [*table, "", *_tests(evaluation, names), *verdict(evaluation), "", *notes, _intervals()]
    if errors := _errors(evaluation):
        counts = [[name, *map(str, row)] for name, row in zip(names, zip(*errors.values(), strict=True), strict=True)]
        parts += ["", *_columns([["lines with", *errors], *counts])]
    return "\n".join(parts)


def markdown(evaluation: Evaluation) -> str:
    """Returns an evaluation as a table in Markdown: the best of each column bold."""

    def cell(one: Cell | None) -> str:
        if one is None:
            return ""
        value = f"{one.value:.1f}" + (f" ± {one.margin:.1f}" if one.margin is not None else "")
        return (f"**{value}**" if one.is_best else value) + ("\\*" if one.differs else "")

    def escaped(name: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", name)

    rows = [["System", *score_heads(evaluation, arrows=True)], [":---", *("---:" for _ in score_heads(evaluation))]]
    cells = zip(evaluation.names, score_cells(evaluation), strict=True)
    rows += [[escaped(name), *map(cell, row)] for name, row in cells]
    table = [f"| {' | '.join(row)} |" for row in rows]
    title = f"{escaped(evaluation.test.title)}, {evaluation.scores[0].lines:,} lines"
    notes = [f"- {score.name}: `{score.signature}`" for score in evaluation.scores[0].metrics]
    return "\n".join([title, "", *table, "", *(f"{note}  " for note in _notes(evaluation, "\\*")), "", *notes])


def latex(evaluation: Evaluation) -> str:
    """Returns an evaluation as a table in LaTeX, for the package booktabs: the best of each column bold."""

    def cell(one: Cell | None) -> str:
        if one is None:
            return ""
        value = f"{one.value:.1f}"
        told = (rf"\textbf{{{value}}}" if one.is_best else value) + ("$^*$" if one.differs else "")
        return told + (rf" {{\small$\pm${one.margin:.1f}}}" if one.margin is not None else "")

    heads = [
        _escape(head).replace("↑", r"$\uparrow$").replace("↓", r"$\downarrow$")
        for head in score_heads(evaluation, True)
    ]
    cells = zip(evaluation.names, score_cells(evaluation), strict=True)
    body = [" & ".join([_escape(name), *map(cell, row)]) + r" \\" for name, row in cells]
    signatures = [f"{score.name}: \\texttt{{{_escape(score.signature)}}}" for score in evaluation.scores[0].metrics]
    title = f"{_escape(evaluation.test.title)}, {evaluation.scores[0].lines:,} lines."
    caption = " ".join([title, *map(_escape, _notes(evaluation, "*")), "; ".join(signatures) + "."])
    caption = caption.replace("±", r"$\pm$")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
            r"\toprule",
            " & ".join(["System", *heads]) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{caption}}}",
            r"\end{table}",
        ]
    )


FORMATS: dict[str, Callable[[Evaluation], str]] = {"text": text, "markdown": markdown, "latex": latex}


def score_heads(evaluation: Evaluation, arrows: bool = False) -> list[str]:
    """Returns the names of all columns but the first."""
    heads = [score.name for score in evaluation.scores[0].metrics] + (["Exact, %"] if arrows else ["exact"])
    if any(system.loss is not None for system in evaluation.systems):
        heads.append("Perplexity" if arrows else "perplexity")
    if not arrows:
        return heads
    return [f"{head} {'↓' if head in (*LESS_IS_BETTER, 'Perplexity') else '↑'}" for head in heads]


def score_cells(evaluation: Evaluation, digits: int = 1) -> list[list[Cell | None]]:
    """Returns the numbers of each system, in the order of the columns; which are best is seen to so many digits."""
    columns: list[list[Cell | None]] = []
    for i, score in enumerate(evaluation.scores[0].metrics):
        column = [scores.metrics[i] for scores in evaluation.scores]
        best = marked_best([each.value for each in column], digits, less=score.name in LESS_IS_BETTER)
        tests = [evaluation.difference(score.name, 0, k) for k in range(len(column))]
        columns.append(
            [
                Cell(each.value, is_best, each.margin, found is not None and found.is_significant)
                for each, is_best, found in zip(column, best, tests, strict=True)
            ]
        )
    exact = [100 * scores.exact for scores in evaluation.scores]
    columns.append([Cell(*pair) for pair in zip(exact, marked_best(exact, digits), strict=True)])
    perplexities = [system.perplexity for system in evaluation.systems]
    if any(value is not None for value in perplexities):
        # Not marked: perplexities of models with different tokenizers do not compare.
        columns.append([None if value is None else Cell(value) for value in perplexities])
    return [list(row) for row in zip(*columns, strict=True)]


def marked_best(values: Sequence[float], digits: int = 1, less: bool = False) -> list[bool]:
    """Says of each value whether none is better, to the digits shown, unless all are equal."""
    shown = [round(-value if less else value, digits) for value in values]
    return [value == max(shown) > min(shown) for value in shown]


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"{cell.value:6.2f}" + (f" ± {cell.margin:4.2f}" if cell.margin is not None else "")


def _tests(evaluation: Evaluation, names: Sequence[str]) -> list[str]:
    """Returns the tests of differences, for each system that others were tested against."""
    parts = []
    for i in dict.fromkeys((0, evaluation.best)):
        rows = []
        for k, name in enumerate(names):
            found = [evaluation.difference(metric.name, i, k) for metric in evaluation.scores[0].metrics]
            if k != i and all(found):
                rows.append([name, *(_difference(each) for each in found if each)])
        head = [f"against {names[i]}", *(metric.name for metric in evaluation.scores[0].metrics)]
        parts += [*_columns([head, *rows]), ""]
    told = "differences and their p-values by paired bootstrap and by approximate randomisation; "
    return [*parts, f"{told}*: both below {LEVEL:g}, and {LEAST_LINES} lines or more differ", ""]


def _errors(evaluation: Evaluation) -> dict[str, list[int]]:
    """Returns how many lines of each system have the errors that a program can see, by those that any has."""
    counts = {kind.title.lower(): [len(found.get(kind.name, [])) for found in evaluation.errors] for kind in ERRORS}
    return {kind: values for kind, values in counts.items() if any(values)}


def _difference(found: Difference) -> str:
    if found.value == 0:
        return "the same "
    star = "*" if found.is_significant else " "
    return f"{found.value:+.2f} ({p_value(found.bootstrap)}, {p_value(found.randomisation)}){star}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [f"{row[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _intervals() -> str:
    return f"±      95 % interval, {SAMPLES:,} bootstrap samples of the lines, seed {seed()}"


def _notes(evaluation: Evaluation, star: str) -> list[str]:
    """Returns what explains a table, in sentences."""
    notes = [f"±: 95 % interval by {SAMPLES:,} bootstrap samples (seed {seed()})."]
    if evaluation.differences:
        told = f"{star}: different from {evaluation.names[0]} by both paired tests, p < {LEVEL:g} "
        told += f"and on {LEAST_LINES} lines or more (bootstrap, "
        notes.append(f"{told}{SAMPLES:,} samples; approximate randomisation, {TRIALS:,} trials).")
    return notes


def _escape(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
