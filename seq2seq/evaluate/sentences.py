"""All lines of test sets as data inside of a page: what its script shows side by side, filters and sorts."""

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from seq2seq.decode.alignment import Alignment
from seq2seq.evaluate.errors import ERRORS
from seq2seq.evaluate.evaluation import Evaluation
from seq2seq.evaluate.words import WORD, units

LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"  # of attention, from 0 to 1
MOST_WEIGHTS = 6_000_000  # of attention, over all lines of all systems; each is one character

# What could end a script or a line of it, though it stands in a string.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def tenths(evaluation: Evaluation) -> list[list[int]]:
    """Returns the chrF of each system's lines in tenths of a point, as lines are shown and compared."""
    return [[round(10 * value) for value in values] for values in evaluation.sentence_chrf]


def page_data(evaluations: Sequence[Evaluation]) -> tuple[dict[str, Any], int]:
    """Returns what the page's script needs, and of how many translations the attention was left out.

    Args:
        evaluations: one for each test set, of the same systems.
    """
    room, left_out, tests = MOST_WEIGHTS, 0, []
    for evaluation in evaluations:
        test = evaluation.test
        attention, used, missing = _attention(evaluation, room)
        room, left_out = room - used, left_out + missing
        lengths = [len(units(line)) for line in test.source_lines or test.reference_lines[0]]
        tests.append(
            {
                "title": test.title,
                "source": test.source_lines,
                "references": test.reference_lines,
                "systems": _distinct([system.hypotheses for system in evaluation.systems]),
                "lengths": lengths,
                "chrf": tenths(evaluation),
                "errors": evaluation.errors,
                "groups": [
                    {
                        "title": grouped.title,
                        "groups": [{"label": group.label, "rows": group.rows} for group in grouped.groups],
                    }
                    for grouped in evaluation.grouped
                ],
                "attention": attention,
            }
        )
    kinds = {kind.name: {"title": kind.title, "description": kind.description} for kind in ERRORS}
    return {"names": evaluations[0].names, "kinds": kinds, "word": WORD.pattern, "tests": tests}, left_out


def script_json(data: Any) -> Markup:
    """Returns data as JSON that stands safely inside of a script element, whatever texts it holds."""
    return Markup(json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES))


def _distinct(systems: Sequence[Sequence[str]]) -> list[list[str | int]]:
    """Returns the translations of each system; one that an earlier system has too as this system's index."""
    found: list[list[str | int]] = [[] for _ in systems]
    for row in zip(*systems, strict=True):
        for k, text in enumerate(row):
            first = row.index(text)
            found[k].append(first if first < k else text)
    return found


def _attention(evaluation: Evaluation, room: int) -> tuple[list[list[str | None] | None], int, int]:
    """Returns the weights of each system's lines, how many these are, and how many lines found no room.

    A system that is no model has none. A line without weights has "", one that found no room has None. Lines are
    taken in turn, of all systems each, so that those that have weights can be compared.
    """
    systems = evaluation.systems
    found: list[list[str | None] | None] = [[] if system.alignments else None for system in systems]
    used = missing = 0
    for i in range(len(systems[0].hypotheses)):
        for system, lines in zip(systems, found, strict=True):
            if lines is not None:
                weights = _weights(system.alignments[i])
                fits = used + len(weights) <= room
                lines.append(weights if fits else None)
                used, missing = used + len(weights) * fits, missing + (not fits)
    return found, used, missing


def _weights(alignment: Alignment) -> str:
    """Returns weights, row by row, each as one of LEVELS."""
    highest = len(LEVELS) - 1
    levels = (alignment.weights.clip(0, 1) * highest).round().astype(int)
    return "".join(LEVELS[level] for level in levels.ravel().tolist())
