"""Outputs that went wrong, told by text alone: loops, copies of the source, lengths out of proportion, lost numbers.

A detector for single lines, behind the search; for whole files `evaluate/guards.py` says what seems wrong. It knows no
language: it compares a translation with its source. Languages written without spaces are looked at by character.
"""

import math
import re
import statistics
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seq2seq.decode.protected import Separators, find_protected, lost
from seq2seq.text.lines import Pair, is_blank

Kind = Literal["empty", "repetition", "copy", "too_long", "too_short", "lost"]

# Scripts without spaces, and how many letters of another script one of their characters says about as much as.
_IDEOGRAPH, _KANA, _OTHERS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff", "\u3040-\u30ff\uac00-\ud7af", "\u0e00-\u0eff"
_WEIGHTS = ((re.compile(f"[{_IDEOGRAPH}]"), 3.0), (re.compile(f"[{_KANA}]"), 2.0))
_NO_SPACES = f"{_IDEOGRAPH}\u3001-\u30ff{_OTHERS}\u1000-\u109f\u1780-\u17ff\uff00-\uffef"
_MAY_HAVE_NO_SPACES = re.compile("[\u0e00-\U0010ffff]")  # all of them come late
_HAS_NO_SPACES = re.compile(f"[{_NO_SPACES}]")
_UNIT = re.compile(rf"[{_NO_SPACES}]|[^\s{_NO_SPACES}]+")
_MARKS = string.punctuation + "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2026\u2013\u2014\u00a1\u00bf"

# A loop inside a word: so many times a piece of so few characters, and so many of them altogether.
_INNER_LOOP, _INNER_LENGTH = re.compile(r"(.{1,20}?)\1{4,}"), 16

# How often units of so many words stand in a row for that to be a loop; of longer ones as of the longest.
_WORD_LOOPS = (3, 3, 2)
_CHARACTER_LOOPS = (6, 4, 4, 3, 3, 3, 3, 2)
_SEEN_BEFORE = 0.4  # share of n-grams that have stood before, from which on a text is filled with repetitions ...
_WORD_GRAM, _CHARACTER_GRAM, _LEAST_GRAMS = 3, 5, 8  # ... n for words and characters, and n-grams of the text
_COPIED, _LEAST_COPIED = 0.8, 4  # share of words that also stand in the source, and how many must
_LEAST_CAPITALS = 6  # as many where all is in capitals, and of characters in scripts without spaces
_SPREADS, _LEAST_SPREAD = 3.5, 0.12  # calibrated limits: standard deviations of the logarithm of the ratio


class Flag(NamedTuple):
    """Something that seems wrong with a translation, and what was seen."""

    kind: Kind
    detail: str


@dataclass(frozen=True)
class Lengths:
    """Within which lengths a translation fits its source.

    Lengths are visible characters, of which an ideograph counts as three and a syllable as two. A limit is a ratio
    times the source's length, and `slack` characters beyond: of short texts anything may be said in a word or two.
    The defaults hold for any two languages; those of `calibrated` are narrower.

    Attributes:
        shortest: least ratio of translation to source.
        longest: largest ratio.
        slack: characters, 0 or more.
    """

    shortest: float = 0.4
    longest: float = 2.5
    slack: float = 10.0

    @classmethod
    def calibrated(cls, pairs: Iterable[Pair], slack: float = 10.0) -> "Lengths":
        """Returns the limits that fit good translations, such as those that a model was validated with.

        Raises:
            ValueError: no pair has text on both sides.
        """
        text = [pair for pair in pairs if not (is_blank(pair[0]) or is_blank(pair[1]))]
        if not text:
            raise ValueError("lengths cannot be calibrated without text")
        ratios = [math.log(visible_length(target) / visible_length(source)) for source, target in text]
        middle = statistics.median(ratios)
        spread = max(_LEAST_SPREAD, 1.4826 * statistics.median(abs(ratio - middle) for ratio in ratios))
        return cls(math.exp(middle - _SPREADS * spread), math.exp(middle + _SPREADS * spread), slack)


DEFAULT_LENGTHS = Lengths()


def inspect_output(
    source: str,
    translation: str,
    *,
    lengths: Lengths = DEFAULT_LENGTHS,
    same_language: bool = False,
    protect: Separators | None = None,
) -> list[Flag]:
    """Returns what seems wrong with a translation, each kind at most once; nothing if all seems well.

    Args:
        source: raw text.
        translation: raw text.
        lengths: limits of its length.
        same_language: whether source and translation are one language, so that a copy may be right.
        protect: whether numbers, addresses and the like that were lost are flagged, and how numbers are compared;
            see `protected.lost`. None: they are not.
    """
    if is_blank(translation):
        return [] if is_blank(source) else [Flag("empty", "the source is not")]
    before, after = _Side.of(source), _Side.of(translation)
    found = [_repetition(before, after), _length(source, translation, lengths)]
    if not same_language:
        found.append(_copy(before, after))
    if protect and (missing := lost(source, translation, protect)):
        found.append(Flag("lost", " ".join(missing)))
    return [flag for flag in found if flag]


def visible_length(text: str) -> float:
    """Returns the visible characters of a text, ideographs and syllables weighted."""
    length = float(sum(map(len, text.split())))
    if not _is_spaced(text):
        for pattern, weight in _WEIGHTS:
            length += (weight - 1) * len(pattern.findall(text))
    return length


def _length(source: str, translation: str, lengths: Lengths) -> Flag | None:
    before, after = visible_length(source), visible_length(translation)
    if after > lengths.longest * before + lengths.slack:
        return Flag("too_long", f"{after:g} characters for {before:g}")
    if after + lengths.slack < lengths.shortest * before:
        return Flag("too_short", f"{after:g} characters for {before:g}")
    return None


class _Side(NamedTuple):
    """A text, its words in lower case without the punctuation around them, and whether these are mostly characters."""

    text: str
    units: list[str]
    by_character: bool

    @classmethod
    def of(cls, text: str) -> "_Side":
        spaced = _is_spaced(text)
        words = text.lower().split() if spaced else _UNIT.findall(text.lower())
        by_character = not spaced and 2 * len(_HAS_NO_SPACES.findall(text)) > len(words)
        return cls(text, [word.strip(_MARKS) or word for word in words], by_character)

    def seen_before(self) -> float:
        """Returns the share of n-grams that have stood before."""
        n = _CHARACTER_GRAM if self.by_character else _WORD_GRAM
        total = len(self.units) - n + 1
        if total < _LEAST_GRAMS:
            return 0.0
        return 1 - len(set(zip(*(self.units[i:] for i in range(n)), strict=False))) / total

    def repeats(self, period: int, times: int) -> bool:
        """Says whether something stands in a row nearly so many times, and makes up half of so many units."""
        return any(n >= max(2, times - 1) and 2 * n * size >= times * period for size, n in _loops(self.units))


def _is_spaced(text: str) -> bool:
    """Says whether all of a text is surely in scripts that set spaces between words."""
    return text.isascii() or not _MAY_HAVE_NO_SPACES.search(text)


def _repetition(source: _Side, translation: _Side) -> Flag | None:
    """Looks for loops and for text that is filled with repetitions, unless the source repeats likewise."""
    what, least = ("characters", _CHARACTER_LOOPS) if translation.by_character else ("words", _WORD_LOOPS)
    for period, times in _loops(translation.units):
        if times >= least[min(period, len(least)) - 1] and not source.repeats(period, times):
            return Flag("repetition", f"{period} {what} {times} times in a row")
    share = translation.seen_before()
    if share >= _SEEN_BEFORE and source.seen_before() < share / 2:
        return Flag("repetition", f"{share:.0%} of its {what} repeat others")
    if max(map(len, translation.units), default=0) >= _INNER_LENGTH:
        inner = _inner_loop(translation.text)
        if inner and 2 * len(_inner_loop(source.text)) < len(inner):
            return Flag("repetition", f"{inner[:12]}... goes on for {len(inner)} characters")
    return None


def _loops(units: Sequence[str]) -> list[tuple[int, int]]:
    """Returns periods in units and how often, in a row, what is so long stands at the most; the most often first.

    A period is noticed by units that have stood so long before, and not since.
    """
    last: dict[str, int] = {}
    gaps: dict[int, int] = {}
    for place, unit in enumerate(units):
        if unit in last:
            gap = place - last[unit]
            gaps[gap] = gaps.get(gap, 0) + 1
        last[unit] = place
    found = []
    for period, n in gaps.items():
        if 2 * n < period:
            continue
        run = longest = 0
        for one, other in zip(units, units[period:], strict=False):
            run = run + 1 if one == other else 0
            if run > longest:
                longest = run
        if longest >= period:
            found.append((period, longest // period + 1))
    return sorted(found, key=lambda loop: -loop[1])


def _inner_loop(text: str) -> str:
    """Returns the longest loop of pieces of a word, or nothing."""
    loops = (found[0] for word in text.split() if len(word) >= _INNER_LENGTH for found in _INNER_LOOP.finditer(word))
    return max((loop for loop in loops if len(loop) >= _INNER_LENGTH), key=len, default="")


def _copy(source: _Side, translation: _Side) -> Flag | None:
    """Looks for translations that are made of the source's words, most of them.

    Words that begin with a capital may be names, which stay as they are, and so does what is protected; where no word
    is in small letters those in capitals count, but there must be more of them.
    """
    units = set(source.units)
    shared = sum([unit in units for unit in translation.units])
    if shared < _LEAST_COPIED or 4 * shared < len(translation.units):  # as is nearly always so: no need to look closer
        return None
    before, after = _plain_words(source.text), _plain_words(translation.text)
    small = any(word[0].islower() for word in after)
    common = sum((Counter(before) & Counter(after)).values())
    if common < (_LEAST_COPIED if small else _LEAST_CAPITALS):
        return None
    if common < _COPIED * len(after) or 2 * common < len(before):
        return None
    return Flag("copy", f"{common} of {len(after)} words stand in the source")


def _plain_words(text: str) -> list[str]:
    """Returns the words that a translation changes: those in small letters, else in capitals, but nothing protected."""
    for span in reversed(find_protected(text)):
        text = text[: span.start] + " " + text[span.end :]
    words = [word for unit in _UNIT.findall(text) if (word := unit.strip(_MARKS)) and word[0].isalpha()]
    return [word for word in words if not word[0].isupper()] or [word.lower() for word in words if word.isupper()]
