"""Lines of a test set in groups that systems may do differently on: long and short ones, with numbers, with names."""

from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq.decode.protected import find_protected
from seq2seq.evaluate.testset import TestSet
from seq2seq.evaluate.words import units

LENGTHS = (0, 5, 10, 15, 20, 30, 40, 50)  # words: the upper ends of all groups but the last

_ENDS = frozenset(".!?:\u2026\u3002\uff01\uff1f")
_ABBREVIATION = 3  # letters that a word with a capital, such as Mr or St, has at most in front of its full stop


@dataclass(frozen=True)
class Group:
    """Lines that are alike in something.

    Attributes:
        label: in what.
        rows: which lines, from 0; at least one.
    """

    label: str
    rows: list[int]


@dataclass(frozen=True)
class Grouping:
    """All lines of a test set, each in one group.

    Attributes:
        title: by what they were grouped.
        note: one sentence that says how.
        groups: in the order in which they are shown.
    """

    title: str
    note: str
    groups: list[Group]


def group_lines(test: TestSet) -> list[Grouping]:
    """Returns the ways in which the lines of a test set fall into groups; by length they always do.

    By names only where the source is known, and where a single group would hold all lines that way is left out.
    """
    groupings = [_by_length(test), _by_numbers(test)]
    if test.source_lines is not None:
        groupings.append(_by_names(test.source_lines, test.reference_lines))
    return [grouping for i, grouping in enumerate(groupings) if i == 0 or len(grouping.groups) > 1]


def shared_names(source: str, reference: str) -> set[str]:
    """Returns the names that a line and its translation share, as far as capitals tell them.

    A word that only begins sentences, on both sides, may have its capital from there; and single letters are none.
    """
    ours, theirs = _capitalised(source), _capitalised(reference)
    return {word for word in ours.keys() & theirs.keys() if ours[word] or theirs[word]}


def _capitalised(text: str) -> dict[str, bool]:
    """Returns the words of two or more letters with a capital, and whether each stands within a sentence."""
    found: dict[str, bool] = {}
    before, begins = "", True
    for unit in units(text):
        if unit in _ENDS:
            short = unit == "." and before[:1].isupper() and len(before) <= _ABBREVIATION
            begins = begins or not short
        elif unit[0].isalnum():
            if unit[0].isupper() and len(unit) > 1:
                found[unit] = found.get(unit, False) or not begins
            begins = False
        before = unit
    return found


def _by_length(test: TestSet) -> Grouping:
    if test.source_lines is not None:
        side, lines = "the source", test.source_lines
    else:
        side = "the reference" if len(test.references) == 1 else "the first reference"
        lines = test.reference_lines[0]
    lengths = [len(units(line)) for line in lines]
    groups = []
    for low, high in zip((-1, *LENGTHS), (*LENGTHS, None), strict=True):
        rows = [i for i, n in enumerate(lengths) if n > low and (high is None or n <= high)]
        label = f"over {low}" if high is None else f"{low + 1} to {high}" if high else "0"
        groups += [Group(label, rows)] if rows else []
    return Grouping("Length", f"By the words of {side}; punctuation marks count as words.", groups)


def _by_numbers(test: TestSet) -> Grouping:
    if test.source_lines is None:
        where, sides = "a reference", test.reference_lines
    else:
        where, sides = "the source", [test.source_lines]
    has = [any(map(_has_number, lines)) for lines in zip(*sides, strict=True)]
    return Grouping("Numbers", f"By whether {where} holds a number in digits.", _halves(has, "numbers"))


def _by_names(source: Sequence[str], references: Sequence[Sequence[str]]) -> Grouping:
    rows = zip(source, *references, strict=True)
    has = [any(shared_names(line, other) for other in others) for line, *others in rows]
    note = "By whether source and reference share a word with a capital that does not only begin a sentence."
    return Grouping("Names", note, _halves(has, "names"))


def _halves(has: Sequence[bool], what: str) -> list[Group]:
    """Returns the lines that have something and those that have not."""
    groups = [Group(f"with {what}", [i for i, yes in enumerate(has) if yes])]
    groups.append(Group(f"without {what}", [i for i, yes in enumerate(has) if not yes]))
    return [group for group in groups if group.rows]


def _has_number(line: str) -> bool:
    return any(span.kind == "number" for span in find_protected(line))
