"""Faults that lengths and hashes of all rows show: blanks, copies, repetitions, lengths that do not fit."""

from collections.abc import Sequence

import numpy as np

from seq2seq.evaluate.doctor.checks import SHOWN, Example, Finding, Severity, find
from seq2seq.evaluate.doctor.scan import Flags, Places, Scanned

SPREADS = 3.5  # standard deviations (estimated by the median) beyond which a length ratio is an outlier ...
LEAST_SPREAD = 0.12  # ... which are at least so large, in logarithms
CUT_OFF = 0.3  # logarithm by which a target without its punctuation must be too short to seem cut off
USUAL = 0.8  # share of the sources' ends that targets must share for that to mean anything
LEAST_LINE = 40  # characters of a line of one language whose repetition is no chance
LONG, TIMES = 1000, 10  # characters of a very long line, and times the line at 99 %
JOINED, LEAST_CHARS, WITH_SPACES = 2.5, 20, 15  # times the usual length of words; of what; usual where there are spaces


def check_rows(scanned: Scanned, running: bool = False) -> list[Finding]:
    """Returns what is wrong with single rows and with rows that are repeated.

    Args:
        scanned: the corpus.
        running: whether it is running text, in which blank and repeated lines mean nothing.
    """
    if not scanned.n and scanned.findings:  # which say why
        return []
    if not scanned.n or all(side.blank.all() for side in scanned.sides):
        return find("no_text", 1, 0, "corpora")
    found = [*_lines(scanned)]
    if len(scanned.sides) == 1:
        return found if running else [*found, *_blank_lines(scanned), *_repeated_lines(scanned)]
    return [*_blanks(scanned), *_copies(scanned), *_repetitions(scanned), *_ratios(scanned), *found]


def examples_of(scanned: Scanned, indices: Places | Sequence[int], side: int | None = None) -> list[Example]:
    """Returns the first rows of some as examples; one side of them or all."""
    chosen = [int(i) for i in indices[:SHOWN]]
    texts = scanned.texts_of(chosen)
    return [
        Example(scanned.rows.place(i, side or 0), text if side is None else (text[side],))
        for i, text in zip(chosen, texts, strict=True)
    ]


def _find(
    scanned: Scanned,
    check: str,
    flags: Flags,
    unit: str = "pairs",
    side: int | None = None,
    detail: str = "",
    at_most: Severity = "error",
) -> list[Finding]:
    places = np.flatnonzero(flags)
    examples = examples_of(scanned, places, side) if len(places) else []
    return find(check, len(places), scanned.n, unit, detail, examples, at_most)


def side_name(scanned: Scanned, side: int) -> str:
    """Returns how a side is called in findings."""
    return ("source", "target")[side] if len(scanned.sides) > 1 else ""


def _blank_lines(scanned: Scanned) -> list[Finding]:
    return _find(scanned, "blank", scanned.sides[0].blank, "lines")


def _repeated_lines(scanned: Scanned) -> list[Finding]:
    side = scanned.sides[0]
    return _find(scanned, "repeated_lines", repeated(side.hashes) & ~side.blank, "lines")


def _blanks(scanned: Scanned) -> list[Finding]:
    source, target = (side.blank for side in scanned.sides)
    one = source ^ target
    detail = f"{(source & ~target).sum():,} sources and {(target & ~source).sum():,} targets"
    return [*_find(scanned, "one_blank", one, detail=detail), *_find(scanned, "both_blank", source & target)]


def _copies(scanned: Scanned) -> list[Finding]:
    source, target = scanned.sides
    return _find(scanned, "copies", (source.hashes == target.hashes) & ~source.blank)


def repeated(hashes: Places) -> Flags:
    """Says of each row whether it has stood before it: [n]."""
    flags = np.ones(len(hashes), dtype=bool)
    flags[np.unique(hashes, return_index=True)[1]] = False
    return flags


def _repetitions(scanned: Scanned) -> list[Finding]:
    source, target = scanned.sides
    text = ~source.blank & ~target.blank
    pairs = repeated(scanned.pair_hashes) & text
    found = _find(scanned, "duplicates", pairs)
    for check, side in (("repeated_source", source), ("repeated_target", target)):
        found += _find(scanned, check, repeated(side.hashes) & text & ~pairs)
    return found


def _ratios(scanned: Scanned) -> list[Finding]:
    """Looks for targets whose length does not fit the source's: by the logarithm of the ratio of characters."""
    source, target = scanned.sides
    text = ~source.blank & ~target.blank
    if not text.any():
        return []
    off = log_ratios(scanned)
    off -= np.median(off[text])
    spread = max(LEAST_SPREAD, 1.4826 * float(np.median(np.abs(off[text]))))
    usual = (source.ends & target.ends & text).sum() >= USUAL * max(1, (source.ends & text).sum())
    cut = text & source.ends & ~target.ends & (off < -CUT_OFF) & bool(usual)
    # Of very short texts anything may be said in a word or two.
    long_enough = text & (np.maximum(source.chars, target.chars) >= LEAST_CHARS)
    return [
        *_find(scanned, "short_target", long_enough & (off < -SPREADS * spread)),
        *_find(scanned, "long_target", long_enough & (off > SPREADS * spread)),
        *_find(scanned, "cut_off", cut),
    ]


def log_ratios(scanned: Scanned) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Returns the logarithm of target over source characters: [n]; blank sides count as one character."""
    source, target = (np.log(np.maximum(1, side.chars)) for side in scanned.sides)
    ratios: np.ndarray[tuple[int], np.dtype[np.float64]] = target - source
    return ratios


def _lines(scanned: Scanned) -> list[Finding]:
    """Looks for lines that are too long, or lack their spaces."""
    found = []
    for number, side in enumerate(scanned.sides):
        detail, text = side_name(scanned, number), ~side.blank
        if not text.any():
            continue
        longest = max(LONG, TIMES * float(np.percentile(side.chars[text], 99)))
        found += _find(scanned, "long_lines", side.chars > longest, "lines", number, detail)
        per_word = side.chars / np.maximum(1, side.words)
        usual = float(np.median(per_word[text]))
        if usual < WITH_SPACES:
            joined = (per_word > JOINED * usual) & (side.chars > LEAST_CHARS) & (side.chars <= longest)
            found += _find(scanned, "joined_words", joined, "lines", number, detail)
    return found


def check_overlap(scanned: Scanned, training: Sequence[Scanned]) -> list[Finding]:
    """Looks for rows to test with that stand in the training corpora too."""
    same_sides = [other for other in training if len(other.sides) == len(scanned.sides)]
    if not same_sides:
        return []
    text = ~scanned.sides[0].blank
    if len(scanned.sides) == 1:  # short lines stand in many texts
        text &= scanned.sides[0].chars >= LEAST_LINE
    pairs = np.isin(scanned.pair_hashes, np.concatenate([other.pair_hashes for other in same_sides])) & text
    found = _find(scanned, "test_pairs_seen", pairs, "pairs" if len(scanned.sides) > 1 else "lines")
    if len(scanned.sides) > 1:
        seen = np.concatenate([other.sides[0].hashes for other in same_sides])
        sources = np.isin(scanned.sides[0].hashes, seen) & text & ~pairs
        found += _find(scanned, "test_sources_seen", sources, "sources")
    return found
