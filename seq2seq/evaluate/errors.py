"""Lines on which a translation went wrong in a way that a program can see, beside what references do.

What equals a reference is never an error, and where references differ, what one of them does is right. All rules look
at the text alone, without dictionaries: they miss many errors, but take little for one that is none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seq2seq.decode.detector import inspect_output
from seq2seq.decode.protected import find_protected, plain_number
from seq2seq.evaluate.words import units
from seq2seq.text.lines import is_blank

Lines = Sequence[str]

RATIO = 2.0  # words of a translation to a reference's, or the other way round, from which on a length is wrong ...
SLACK = 5  # ... if they also differ by so many words
IN_WORDS = 12  # whole numbers up to this one are often written as words

# Thousands set apart by plain spaces, which may also be two numbers; and decimals with nothing in front.
_SPACED = re.compile(r"(?<!\d)\d{1,3}(?: \d{3})+(?!\d)")
_BARE = re.compile(r"(?<![\w.,])[.,](?=\d)")


@dataclass(frozen=True)
class ErrorKind:
    """A way in which a translation goes wrong.

    Attributes:
        name: one word, for records.
        title: for reports.
        description: one sentence that says what counts.
    """

    name: str
    title: str
    description: str


ERRORS = (
    ErrorKind("empty", "Empty", "There is no translation, though neither the source nor a reference is empty."),
    ErrorKind("untranslated", "Untranslated", "Most words are those of the source, which is so in no reference."),
    ErrorKind("repeated", "Repetition", "Words are repeated as in neither the source nor a reference."),
    ErrorKind(
        "too_short",
        "Too short",
        f"There are fewer than half the words of the shortest reference, and at least {SLACK} fewer.",
    ),
    ErrorKind(
        "too_long",
        "Too long",
        f"There are more than twice the words of the longest reference, and at least {SLACK} more.",
    ),
    ErrorKind(
        "numbers",
        "Numbers",
        "A number that source and references have in digits is missing, or there is one that none of them has.",
    ),
    ErrorKind(
        "protected",
        "Addresses and placeholders",
        "A URL, e-mail address, placeholder or tag that source and references have is missing, or there is another.",
    ),
)


def find_errors(hypotheses: Lines, references: Sequence[Lines], source: Lines | None = None) -> dict[str, list[int]]:
    """Returns for each kind of `ERRORS`, by its name, the lines that have such an error, from 0.

    Untranslated lines are looked for only where the source is known; the kind is left out where it is not.

    Args:
        hypotheses: translations, raw text.
        references: one list or several, each as long; without any, lengths and numbers are compared with the source.
        source: what was translated, if it is known.
    """
    found: dict[str, list[int]] = {kind.name: [] for kind in ERRORS}
    sides = ([] if source is None else [source]) + list(references)
    for i, (hypothesis, *others) in enumerate(zip(hypotheses, *sides, strict=True)):
        given = None if source is None else others[0]
        for kind in _line_errors(hypothesis, others[len(sides) - len(references) :], given):
            found[kind].append(i)
    if source is None:
        del found["untranslated"]
    return found


def _line_errors(hypothesis: str, references: Lines, source: str | None) -> list[str]:
    """Returns the kinds of errors of one line."""
    if hypothesis.strip() in [line.strip() for line in references]:
        return []
    sides = [*references] if source is None else [source, *references]
    if is_blank(hypothesis):
        return [] if any(map(is_blank, sides)) else ["empty"]
    found = []
    if source is not None and _is_copy(source, hypothesis) and not any(_is_copy(source, line) for line in references):
        found.append("untranslated")
    if all(_repeats(line, hypothesis) for line in sides):
        found.append("repeated")
    found += _wrong_length(hypothesis, references or sides)
    if _wrong_numbers(hypothesis, sides):
        found.append("numbers")
    ours, theirs = _protected(hypothesis), [_protected(line) for line in sides]
    if _lost(ours, theirs) or _added(ours, theirs):
        found.append("protected")
    return found


def _is_copy(source: str, translation: str) -> bool:
    """Says whether a translation is the source or made of its words."""
    if source.split() == translation.split():
        return any(char.isalpha() for char in source)
    return "copy" in _flags(source, translation)


def _repeats(other: str, hypothesis: str) -> bool:
    """Says whether a translation loops where another text does not."""
    return "repetition" in _flags(other, hypothesis)


def _flags(source: str, translation: str) -> list[str]:
    return [flag.kind for flag in inspect_output(source, translation)]


def _wrong_length(hypothesis: str, others: Lines) -> list[str]:
    n, lengths = len(units(hypothesis)), [len(units(line)) for line in others]
    if RATIO * n < min(lengths) and n + SLACK <= min(lengths):
        return ["too_short"]
    if n > RATIO * max(lengths) and n >= max(lengths) + SLACK:
        return ["too_long"]
    return []


def _wrong_numbers(hypothesis: str, sides: Lines) -> bool:
    """Says whether numbers are missing or too many, however spaces between digits are understood."""
    texts = [hypothesis, *sides]
    joined = [_SPACED.sub(lambda found: found[0].replace(" ", ""), text) for text in texts]
    return _numbers_differ(texts) and (joined == texts or _numbers_differ(joined))


def _numbers_differ(texts: Lines) -> bool:
    """Says whether the first text lacks a number of all others, or has one of none.

    A small number may be missing as it is written as a word, or be there where the others write a word: it differs
    only where one of them stands for another.
    """
    ours, *others = (set(_numbers(text)) for text in texts)
    missing, surplus = _lost(ours, others), _added(ours, others)
    small = [{value for value in values if _is_small(value)} for values in (missing, surplus)]
    return bool(missing - small[0] or surplus - small[1] or all(small))


def _numbers(text: str) -> Iterator[str]:
    """Yields the numbers of a text, each written in one way; the parts of dates and the like one by one."""
    for span in find_protected(_BARE.sub("0.", text)):
        if span.kind == "number":
            value = plain_number(span.text)
            parts = re.split("[-.]", value) if "-" in value or value.count(".") > 1 else [value]
            for part in parts:
                whole, _, decimals = part.partition(".")
                whole = str(int(whole)) if len(whole) == 2 else whole  # as hours and days are written
                yield ".".join(filter(None, [whole, decimals.rstrip("0")]))


def _is_small(value: str) -> bool:
    return len(value) <= 2 and value.isdigit() and int(value) <= IN_WORDS


def _protected(text: str) -> set[str]:
    return {span.text for span in find_protected(text) if span.kind != "number"}


def _lost(ours: set[str], others: Sequence[set[str]]) -> set[str]:
    """Returns what all others have and we have not."""
    return set.intersection(*others) - ours


def _added(ours: set[str], others: Sequence[set[str]]) -> set[str]:
    """Returns what we have and none of the others has."""
    return ours.difference(*others)
