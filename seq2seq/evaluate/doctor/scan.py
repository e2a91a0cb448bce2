"""One pass over a corpus: what is kept of each row, and a sample of the text for all that needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from seq2seq.evaluate.doctor.checks import Finding
from seq2seq.evaluate.doctor.marks import MarkScan
from seq2seq.evaluate.doctor.reading import Rows, Texts
from seq2seq.text.lines import is_blank

SAMPLE, LETTERS = 200_000, 20_000_000  # rows whose text is kept at the most, and their characters
STRETCH = 1000  # rows that are kept or left out together, so that neighbours stay neighbours
FINAL = tuple(".!?…:;\"'”“’»«)。！？」』）।؟")  # ends of sentences and what may stand behind them  # noqa: RUF001

Counts = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Rows of a corpus, in their order: all, or stretches that are evenly spread.

    Attributes:
        places: [n] int64, index of each row in the corpus.
        texts: of each side, [n].
        whole: whether all rows are there.
    """

    places: Places
    texts: tuple[list[str], ...]
    whole: bool

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def next_to(self) -> Flags:
        """[n - 1], whether a row and the next one are neighbours in the corpus too."""
        flags: Flags = np.diff(self.places) == 1
        return flags


@dataclass
class Side:
    """What is kept of each row of a side.

    Attributes:
        chars: [n] characters, spaces at the ends not counted.
        words: [n] stretches between spaces.
        hashes: [n] of the stripped text; equal texts have equal hashes, within this process.
        blank: [n] whether nothing is visible.
        ends: [n] whether the last character ends a sentence.
    """

    chars: Counts
    words: Counts
    hashes: Hashes
    blank: Flags
    ends: Flags


@dataclass(frozen=True)
class Scanned:
    """What one pass over a corpus gave.

    Attributes:
        rows: the corpus.
        n: rows read.
        sides: what is kept of all rows.
        sample: the text of some or all of them.
        findings: what was wrong with files and characters.
        shown: texts of rows that are not in the sample but shown; see `texts_of`.
    """

    rows: Rows
    n: int
    sides: list[Side]
    sample: Sample
    findings: list[Finding]
    shown: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def pair_hashes(self) -> Hashes:
        """[n] of the whole rows."""
        mixed = self.sides[0].hashes.copy()
        for side in self.sides[1:]:
            mixed = (
                mixed * np.int64(-7046029254386353131) ^ side.hashes
            )  # an odd number with bits all over (2^64 / phi)
        return mixed

    def texts_of(self, indices: Sequence[int]) -> list[tuple[str, ...]]:
        """Returns all sides of some rows; of those that are not in the sample the corpus is read again."""
        places = np.searchsorted(self.sample.places, indices)
        missing = []
        for index, place in zip(indices, places.tolist(), strict=True):
            if place < len(self.sample) and self.sample.places[place] == index:
                self.shown[index] = tuple(side[place] for side in self.sample.texts)
            elif index not in self.shown:
                missing.append(index)
        first = 0
        for texts in self.rows.chunks() if missing else ():
            n = len(texts[0])
            for index in missing:
                if first <= index < first + n:
                    self.shown[index] = tuple(side[index - first] for side in texts)
            first += n
            if first > max(missing):
                break
        return [self.shown[index] for index in indices]


class _Sampler:
    """Keeps stretches of rows while they come: every one, then every second, then every fourth ..."""

    def __init__(self, n_sides: int) -> None:
        self._step = 1
        self._stretches: dict[int, list[list[str]]] = {}  # by number; the texts of each side
        self._n_sides = n_sides
        self._kept = self._letters = self._n = 0

    def add(self, texts: Texts) -> None:
        n = len(texts[0])
        for number in range(self._n // STRETCH, (self._n + n - 1) // STRETCH + 1):
            if number % self._step:
                continue
            begin, end = max(0, number * STRETCH - self._n), min(n, (number + 1) * STRETCH - self._n)
            kept = self._stretches.setdefault(number, [[] for _ in range(self._n_sides)])
            for side, lines in zip(kept, texts, strict=True):
                side += lines[begin:end]
            self._kept += end - begin
            self._letters += sum(sum(map(len, lines[begin:end])) for lines in texts)
        self._n += n
        while self._kept > SAMPLE or (self._letters > LETTERS and len(self._stretches) > 1):
            self._step *= 2
            self._stretches = {i: kept for i, kept in self._stretches.items() if i % self._step == 0}
            self._kept = sum(len(kept[0]) for kept in self._stretches.values())
            self._letters = sum(len(line) for kept in self._stretches.values() for side in kept for line in side)

    def sample(self) -> Sample:
        places = [i * STRETCH + np.arange(len(kept[0])) for i, kept in self._stretches.items()]
        texts = tuple(
            [line for kept in self._stretches.values() for line in kept[side]] for side in range(self._n_sides)
        )
        return Sample(np.concatenate([np.zeros(0, np.int64), *places]), texts, self._step == 1)


def scan(rows: Rows) -> Scanned:
    """Reads a corpus once: some 20 bytes a row and side are kept, and the text of some rows."""
    marks, sampler, n = MarkScan(rows), _Sampler(rows.n_sides), 0
    parts: list[list[Side]] = [[] for _ in range(rows.n_sides)]
    for texts in rows.chunks():
        for side, lines in enumerate(texts):
            marks.add(side, n, lines)
            parts[side].append(_measure(lines))
        sampler.add(texts)
        n += len(texts[0])
    found = rows.findings()
    bad = max([finding.count for finding in found if finding.check == "not_utf8"], default=0)
    # U+FFFD may be ours, in the place of bytes that are no text.
    found += [finding for finding in marks.findings() if finding.check != "replacement" or finding.count > bad]
    return Scanned(rows, n, list(map(_joined, parts)), sampler.sample(), found)


def _measure(lines: list[str]) -> Side:
    n, stripped = len(lines), [line.strip() for line in lines]
    return Side(
        np.fromiter(map(len, stripped), np.int32, n),
        np.fromiter((len(line.split()) for line in stripped), np.int32, n),
        np.fromiter(map(hash, stripped), np.int64, n),
        np.fromiter(map(is_blank, stripped), np.bool_, n),
        np.fromiter((line.endswith(FINAL) for line in stripped), np.bool_, n),
    )


def _joined(parts: list[Side]) -> Side:
    parts = parts or [_measure([])]
    names = ("chars", "words", "hashes", "blank", "ends")
    return Side(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
