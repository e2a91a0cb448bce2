"""Measure what the detector of outputs that went wrong finds, and what it takes for wrong that is not.

    python tools/detector_scores.py SOURCE TARGET [--lines 1000] [--seed 1]

SOURCE and TARGET are clean parallel text. Each pair is damaged in every way that it can be: loops of words or whole
phrases, copies of the source, targets cut off, targets that go on with other sentences. Recall is told for each kind
and severity, false alarms for the clean pairs, and precision for a mixture in which as many pairs are damaged in each
way as are clean. Twice: with the detector's own limits of length, and with limits calibrated on the clean pairs.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from seq2seq.decode.detector import DEFAULT_LENGTHS, Kind, Lengths, inspect_output
from seq2seq.decode.protected import Separators, lost
from seq2seq.text.lines import Pair, is_blank, read_lines

Damage = Callable[[Pair, Sequence[Pair], random.Random], str | None]
SEPARATORS: tuple[Separators, ...] = ("exact", "any")


def loop(words: int, times: int, ends: bool) -> Damage:
    """Returns what repeats so many words of a target so many times in a row, and then ends or goes on."""

    def damage(pair: Pair, pairs: Sequence[Pair], draw: random.Random) -> str | None:
        target = pair[1].split()
        if len(target) < words:
            return None
        start = draw.randrange(len(target) - words + 1)
        repeated = target[start : start + words] * times
        return " ".join([*target[:start], *repeated, *([] if ends else target[start + words :])])

    return damage


def copy(share: float) -> Damage:
    """Returns what copies the source but for a share of the words, which are the target's."""

    def damage(pair: Pair, pairs: Sequence[Pair], draw: random.Random) -> str | None:
        source, target = (side.split() for side in pair)
        if source == target or not target:
            return None
        for place in draw.sample(range(len(source)), round(share * len(source))):
            source[place] = target[place % len(target)]
        return " ".join(source)

    return damage


def cut(share: float) -> Damage:
    """Returns what keeps only a share of a target's words."""

    def damage(pair: Pair, pairs: Sequence[Pair], draw: random.Random) -> str | None:
        target = pair[1].split()
        kept = int(share * len(target))
        return " ".join(target[:kept]) if kept else None

    return damage


def bloat(times: float) -> Damage:
    """Returns what adds other targets until one is so many times as long."""

    def damage(pair: Pair, pairs: Sequence[Pair], draw: random.Random) -> str | None:
        added = [pair[1]]
        while sum(map(len, added)) < times * len(pair[1]):
            added.append(draw.choice(pairs)[1])
        return " ".join(added)

    return damage


DAMAGES: dict[Kind, dict[str, Damage]] = {
    "repetition": {
        "1 word, 3 times": loop(1, 3, False),
        "1 word, 20 times": loop(1, 20, True),
        "2 words, 3 times": loop(2, 3, False),
        "3 words, twice": loop(3, 2, False),
        "3 words, 6 times": loop(3, 6, True),
        "5 words, twice": loop(5, 2, False),
        "5 words, 10 times": loop(5, 10, True),
    },
    "copy": {"whole": copy(0.0), "1 word of 10 changed": copy(0.1), "1 of 4 changed": copy(0.25)},
    "too_long": {"twice as long": bloat(2.0), "3 times": bloat(3.0), "5 times": bloat(5.0)},
    "too_short": {"half": cut(0.5), "a third": cut(1 / 3), "a sixth": cut(1 / 6)},
}


def report(pairs: Sequence[Pair], lengths: Lengths, seed: int) -> list[str]:
    """Returns the lines of a report on clean pairs and on damaged ones."""
    clean = Counter(flag.kind for source, target in pairs for flag in inspect_output(source, target, lengths=lengths))
    lines = ["kind        severity              recall  any flag  precision  false alarms"]
    for kind, severities in DAMAGES.items():
        for name, damage in severities.items():
            draw = random.Random(f"{seed} {kind} {name}")
            damaged = [(pair[0], text) for pair in pairs if (text := damage(pair, pairs, draw)) is not None]
            flags = [{flag.kind for flag in inspect_output(source, text, lengths=lengths)} for source, text in damaged]
            n, found, any_found = max(1, len(flags)), sum(kind in kinds for kinds in flags), sum(map(bool, flags))
            false = clean[kind] * len(damaged) / len(pairs)  # as many clean pairs as damaged ones
            precision = found / (found + false) if found else 0.0
            lines.append(f"{kind:<12}{name:<21}{found / n:7.1%}{any_found / n:10.1%}{precision:11.1%}"
                         f"  {clean[kind]:,} of {len(pairs):,}")  # fmt: skip
    for protect in SEPARATORS:
        n = sum(bool(lost(source, target, protect)) for source, target in pairs)
        lines.append(f"lost        numbers compared: {protect:<37}{n:,} of {len(pairs):,}")
    return lines


def speed(pairs: Sequence[Pair]) -> float:
    """Returns how many lines a second are inspected, protected text included."""
    started = time.perf_counter()
    for source, target in pairs:
        inspect_output(source, target, protect="exact")
    return len(pairs) / (time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="clean text, one sentence a line")
    parser.add_argument("target", type=Path, help="its translations")
    parser.add_argument("--lines", type=int, default=1000, help="pairs from the beginning")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    files = zip(read_lines(options.source), read_lines(options.target), strict=False)
    pairs = [pair for pair in islice(files, options.lines) if not (is_blank(pair[0]) or is_blank(pair[1]))]
    if not pairs:
        print(f"error: {options.source} and {options.target} hold no pair with text", file=sys.stderr)
        return 2
    for title, lengths in (("own limits", DEFAULT_LENGTHS), ("calibrated limits", Lengths.calibrated(pairs))):
        print(f"{title}: from {lengths.shortest:.2f} to {lengths.longest:.2f} times the source's length")
        print("\n".join(report(pairs, lengths, options.seed)) + "\n")
    print(f"{speed(pairs):,.0f} lines/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
