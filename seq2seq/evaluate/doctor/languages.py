"""Sides in the wrong language: by the letters that the corpus itself has on each side, and by function words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from seq2seq.evaluate.doctor.checks import Finding, find
from seq2seq.evaluate.doctor.function_words import contradicts, guess_language, known, other_language
from seq2seq.evaluate.doctor.rows import examples_of, side_name
from seq2seq.evaluate.doctor.scan import Flags, Sample, Scanned

BITS = 15  # of the hash of three letters
FOLDS = 20  # parts of a corpus: no line is judged by what its own part taught, so that a block cannot justify itself
TOLD = 0.2  # nats a letter by which sides must differ on average for their languages to be told apart
SURE = 6.0  # nats by which a line must look like the other side
MOST = 0.5  # share of swapped pairs from which on the sides as such are swapped
LEAST_CHARS = 15  # of a line that can be judged by itself
UNLIKE = 2.5  # standard deviations (estimated by the median) by which a line of a side may differ from it ...
OUTLIER = 5.0  # ... and by which one that differs is an outlier
BLOCK = 40  # lines that are judged together ...
BLOCK_OUTLIER, BLOCK_GAP = 2.0, 0.7  # ... by their median: standard deviations and nats a letter below the usual
GUESSED = 5000  # lines that the language of a side is guessed from

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Grams:
    """Hashed sequences of three letters of some lines, and the line of each."""

    codes: Codes
    lines: Codes
    n: int

    def sums(self, values: Numbers) -> Numbers:
        """Adds up a value of each sequence by line: [n]."""
        return np.bincount(self.lines, values, minlength=self.n).astype(np.float64)


def _grams(lines: Sequence[str]) -> _Grams:
    text = re.sub(r"\d", "0", "\n".join(f" {line.lower()} " for line in lines))
    chars = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    ends = chars == ord("\n")
    # Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4) with large odd numbers.
    mixed = chars[:-2] * np.uint64(0x9E3779B1) + chars[1:-1] * np.uint64(0x85EBCA77) + chars[2:] * np.uint64(0xC2B2AE3D)
    codes = mixed * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - BITS)
    inside = ~(ends[:-2] | ends[1:-1] | ends[2:])
    return _Grams(codes[inside].astype(np.int64), ends.cumsum()[:-2][inside], len(lines))


@dataclass(frozen=True)
class Profile:
    """How often letters follow each other on both sides of a corpus.

    Attributes:
        counts: [FOLDS, sequences] of each side.
        norms: of each side the median log-probability a letter of its lines, and how that varies times the square
            root of their length: a mean over a line varies with that.
    """

    counts: tuple[Codes, ...]
    norms: tuple[tuple[float, float], ...] = ()

    def scores(self, grams: _Grams, side: int, own: bool) -> Numbers:
        """Returns the log-probability of each line of `grams` by the letters of a side: [n].

        Args:
            grams: of the lines.
            side: whose letters.
            own: whether the profile was learnt from these lines: then each is judged by the other folds.
        """
        total = self.counts[side].sum(axis=0)
        if not own:
            return grams.sums(_logs(total)[grams.codes])
        tables = np.stack([_logs(total - fold) for fold in self.counts[side]])
        return grams.sums(tables[_folds(grams.n)[grams.lines], grams.codes])

    def usual(self, side: int) -> tuple[float, float]:
        """Returns the norms of a side."""
        return self.norms[side]


def _logs(counts: Codes) -> Numbers:
    logs: Numbers = np.log(counts + 0.5) - np.log(counts.sum() + 0.5 * len(counts))
    return logs


def _folds(n: int) -> Codes:
    return np.arange(n) * FOLDS // max(1, n)


def learn_profile(sample: Sample) -> Profile:
    """Learns the letters of each side."""
    counts = []
    for lines in sample.texts:
        grams = _grams(lines)
        cells = _folds(grams.n)[grams.lines] * 2**BITS + grams.codes
        counts.append(np.bincount(cells, minlength=FOLDS * 2**BITS).reshape(FOLDS, 2**BITS))
    profile = Profile(tuple(counts))
    return replace(profile, norms=tuple(_norm(profile, _grams(lines), side) for side, lines in enumerate(sample.texts)))


def _norm(profile: Profile, grams: _Grams, side: int) -> tuple[float, float]:
    sizes = np.bincount(grams.lines, minlength=grams.n)
    usable = sizes >= LEAST_CHARS
    means = profile.scores(grams, side, own=True)[usable] / sizes[usable]
    usual = float(np.median(means)) if len(means) else 0.0
    return usual, _spread((means - usual) * np.sqrt(sizes[usable]))


@dataclass(frozen=True)
class Languages:
    """What was found about the languages of a corpus.

    Attributes:
        guessed: language that each side looks like, "" where it is not clear.
        swapped: whether each side looks like the other one of what was learnt from.
        findings: what is wrong.
    """

    guessed: list[str]
    swapped: bool
    findings: list[Finding]


def check_languages(scanned: Scanned, profile: Profile, own: bool) -> Languages:
    """Looks for sides, blocks and lines in the wrong language.

    Args:
        scanned: the corpus.
        profile: of its letters, or of those of the training corpus with these languages.
        own: whether it is the corpus's own.
    """
    sample = scanned.sample
    step = max(1, len(sample) // GUESSED)
    guessed = [guess_language(lines[::step]) for lines in sample.texts]
    grams = [_grams(lines) for lines in sample.texts]
    found = _expected(scanned, guessed)
    n_sides = len(grams)
    fits = [[_fit(profile, grams[side], side, by, own) for by in range(n_sides)] for side in range(n_sides)]
    wrong, swapped = [np.zeros(len(sample), dtype=bool)] * n_sides, False
    if n_sides == 2:
        wrong, swapped, more = _sides(scanned, fits, own)
        wanted = [known(code) for code in scanned.rows.languages]
        found += [each for each in more if each.check != "sides_swapped" or not (found or guessed == wanted)]
    for side in range(n_sides):
        found += _unlike(scanned, side, fits[side][side], wrong[side], guessed)
    return Languages(guessed, swapped, found)


@dataclass(frozen=True)
class _Fit:
    """How the lines of a side fit the letters of one.

    Attributes:
        scores: [n] nats, the log-probability of each line.
        sizes: [n] letters.
        gaps: [n] nats a letter above what lines that the letters were learnt from usually have.
        off: [n] the same in standard deviations (estimated by the median), which depend on the length.
        usable: [n] whether a line is long enough to be judged by itself.
    """

    scores: Numbers
    sizes: Codes
    gaps: Numbers
    off: Numbers
    usable: Flags


def _fit(profile: Profile, grams: _Grams, side: int, by: int, own: bool) -> _Fit:
    """Compares the lines of a side with the letters of one."""
    scores, sizes = profile.scores(grams, by, own and side == by), np.bincount(grams.lines, minlength=grams.n)
    usual, spread = profile.usual(by)
    gaps = scores / np.maximum(1, sizes) - usual
    usable = sizes >= LEAST_CHARS
    if side == by and not own and usable.any():  # other text of this language, to be compared with itself
        gaps -= np.median(gaps[usable])
        spread = max(spread, _spread(gaps[usable] * np.sqrt(sizes[usable])))
    return _Fit(scores, sizes, gaps, gaps * np.sqrt(sizes) / spread, usable)


def _spread(values: Numbers) -> float:
    """Returns the standard deviation, estimated by the median."""
    return max(1e-9, 1.4826 * float(np.median(np.abs(values)))) if len(values) else 1.0


def _expected(scanned: Scanned, guessed: list[str]) -> list[Finding]:
    """Compares what the sides look like with the languages that they should be in."""
    wanted = scanned.rows.languages
    wrong = [contradicts(code, seen) for code, seen in zip(wanted, guessed, strict=True)]
    crossed = [not seen or seen == known(code) for code, seen in zip(wanted, reversed(guessed), strict=True)]
    if len(wanted) == 2 and any(wrong) and all(crossed):
        detail = ", ".join(
            f"the {side_name(scanned, side)} should be {code} and looks like {guessed[side] or 'something else'}"
            for side, code in enumerate(wanted)
        )
        return find("sides_swapped", 1, 0, "corpora", detail, examples_of(scanned, scanned.sample.places))
    found = []
    for side in np.flatnonzero(wrong).tolist():
        detail = f"{side_name(scanned, side) or 'text'}: should be {wanted[side]}, looks like {guessed[side]}"
        examples = examples_of(scanned, scanned.sample.places, side)
        found += find("unexpected_language", 1, 0, "sides", detail, examples)
    return found


def _sides(scanned: Scanned, fits: list[list[_Fit]], own: bool) -> tuple[list[Flags], bool, list[Finding]]:
    """Looks for lines that look like the other side.

    Returns:
        Which lines of each side do, whether both sides do on the whole, and what is wrong.
    """
    # Nats by which each line looks like the other side rather than its own.
    leanings = [fits[side][1 - side].scores - fits[side][side].scores for side in (0, 1)]
    swapped = (leanings[0] > 0) & (leanings[1] > 0) & (leanings[0] + leanings[1] > SURE)
    nothing = np.zeros_like(swapped)
    size = max(1, sum(int(fits[side][side].sizes.sum()) for side in (0, 1)))
    if abs(sum(float(leaning.sum()) for leaning in leanings)) / size < TOLD:
        return [nothing, nothing], False, find("same_language", 1, 0, "corpora")
    places, n = scanned.sample.places, len(scanned.sample)
    if swapped.mean() > MOST:
        detail = "" if own else "compared with the training corpora of the same languages"
        found = find("sides_swapped", 1, 0, "corpora", detail, examples_of(scanned, places[swapped]))
        return [swapped, swapped], True, found
    # A third language may look like the other side a little, but is unlike both.
    like = [(leanings[side] > SURE) & (fits[side][1 - side].off > -UNLIKE) for side in (0, 1)]
    copies = np.array([source.strip() == target.strip() for source, target in zip(*scanned.sample.texts, strict=True)])
    found = []
    for check, flags in (
        ("swapped_pairs", swapped),
        ("source_looks_wrong", like[0] & ~like[1] & ~swapped & ~copies),
        ("target_looks_wrong", like[1] & ~like[0] & ~swapped & ~copies),
    ):
        found += find(check, int(flags.sum()), n, "pairs", "", examples_of(scanned, places[flags]))
    return [flags | swapped | copies for flags in like], False, found


def _unlike(scanned: Scanned, side: int, fit: _Fit, known_wrong: Flags, guessed: list[str]) -> list[Finding]:
    """Looks for lines and blocks with letters unlike those of their side, or words of another language."""
    sample, usable = scanned.sample, fit.usable & ~known_wrong
    if usable.sum() < 2 * BLOCK:
        return []
    language = guessed[side]
    words = [other_language(line, language) if language else "" for line in sample.texts[side]]
    outliers = usable & ((fit.off < -OUTLIER) | (np.array(words) != ""))
    name, places = side_name(scanned, side), sample.places
    languages = Counter(word for word, outlier in zip(words, outliers, strict=True) if word and outlier)
    seen = ", ".join(f"{n:,} look like {code}" for code, n in languages.most_common(3))
    detail = ": ".join(filter(None, [name, seen]))
    worst = np.flatnonzero(outliers)[np.argsort(fit.off[outliers], kind="stable")]
    found = find(
        "foreign", int(outliers.sum()), len(sample), "lines", detail, examples_of(scanned, places[worst], side)
    )
    low = _low_blocks(fit.gaps, fit.off, usable, outliers)
    if all(guessed):  # so that a third language can be told from both
        low |= _third_language(sample.texts[side], guessed)
    return found + _blocks(scanned, side, low)


def _low_blocks(gaps: Numbers, off: Numbers, usable: Flags, outliers: Flags) -> Flags:
    """Says of each `BLOCK` lines whether they are unlike the rest of their side on the whole."""
    low = []
    for begin in range(0, len(off) // BLOCK * BLOCK, BLOCK):
        here = slice(begin, begin + BLOCK)
        judged = usable[here]
        unlike = judged.sum() > BLOCK // 2 and (
            np.median(off[here][judged]) < -BLOCK_OUTLIER and np.median(gaps[here][judged]) < -BLOCK_GAP
        )
        low.append(unlike or outliers[here].mean() > MOST)
    return np.array(low, dtype=bool)


def _third_language(lines: Sequence[str], guessed: Sequence[str]) -> Flags:
    """Says of each `BLOCK` lines whether their function words are those of a language that neither side is in."""
    blocks = [lines[begin : begin + BLOCK] for begin in range(0, len(lines) // BLOCK * BLOCK, BLOCK)]
    return np.array([guess_language(block) not in ("", *guessed) for block in blocks], dtype=bool)


def _blocks(scanned: Scanned, side: int, low: Flags) -> list[Finding]:
    """Reports the runs of blocks that are unlike the rest of their side."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], low.astype(np.int8), [0]])))
    runs = [(begin * BLOCK, end * BLOCK - 1) for begin, end in edges.reshape(-1, 2).tolist()]
    places, place = scanned.sample.places, scanned.rows.place
    examples = []
    for begin, end in runs:
        (example,) = examples_of(scanned, places[begin : begin + 1], side)
        examples.append(replace(example, note=f"to about {place(int(places[end]), side)}"))
    total = sum(end - begin + 1 for begin, end in runs)
    return find("foreign_block", total, len(scanned.sample), "lines", side_name(scanned, side), examples)
