"""Words that tend to stand in the same pairs, and what a value of two lines says about whether they belong together.

The words of a corpus are associated by how much more often than by chance they meet in its pairs: pointwise mutual
information, smoothed (Church & Hanks 1990). What a pair itself adds to the counts is taken off when it is judged.
IBM Model 1 (`seq2seq.data.lexicon`) tells more about single words; to tell whether lines belong together this suffices,
in a tenth of the time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

STEM = 6  # letters of a word that count, so that its forms are one
MOST_WORDS = 10  # of a line that are looked at, the rarest: they say most
SMOOTHING = 1.0  # times that any two words are taken to have met, and to have been expected to
MORE_THAN_CHANCE = 1.5  # times as often as expected must words meet that are associated
SLOTS = 22  # bits of the place of an association in the table
PIECE = 20_000  # pairs that are scored at once
BINS = 24  # of a calibration
FAR = 97  # rows between a source and the target of another pair, to see how pairs look that do not belong together

# A word, a number, a character of a script without spaces, or a punctuation mark.
_WORD = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|\\w+|[^\\w\\s]")

Table = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int64]


class Vocabulary:
    """The words of a side that occur in more than one of its lines; their number stands for none.

    Args:
        lines: of the side.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        counts: dict[str, int] = {}
        for line in lines:
            for word in _words(line):
                counts[word] = counts.get(word, 0) + 1
        frequent = sorted((n, word) for word, n in counts.items() if n > 1)
        self._ids = {word: i for i, (_, word) in enumerate(frequent)}  # rare words have low numbers
        self.none = len(frequent)

    def rows(self, lines: Sequence[str]) -> Table:
        """Returns the rarest words of each line that are known: [n, MOST_WORDS], filled up with `none`."""
        rows: Iterable[list[int]] = (
            sorted({self._ids[word] for word in _words(line) if word in self._ids})[:MOST_WORDS] for line in lines
        )
        padding = [self.none] * MOST_WORDS
        flat = chain.from_iterable(row + padding[len(row) :] for row in rows)
        return np.fromiter(flat, np.int32, len(lines) * MOST_WORDS).reshape(-1, MOST_WORDS)


def _words(line: str) -> set[str]:
    return {word[:STEM] for word in _WORD.findall(line.lower())}


class Associations:
    """Which words of two sides tend to stand in the same pairs.

    Args:
        sources: [n, MOST_WORDS] words of each source.
        targets: [n, MOST_WORDS] words of the target that belongs to it.
        sizes: number of words of each side.
    """

    def __init__(self, sources: Table, targets: Table, sizes: tuple[int, int]) -> None:
        self._none = sizes
        self._width = sizes[1] + 1
        counts = [
            np.bincount(side.ravel(), minlength=size + 1) for side, size in zip((sources, targets), sizes, strict=True)
        ]
        codes, met = _counted(sources, targets, sizes)
        expected = counts[0][codes // self._width] * counts[1][codes % self._width] / max(1, len(sources))
        order = np.argsort(met, kind="stable")
        order = order[met[order] > 1]
        codes, met, expected = codes[order], met[order], expected[order]
        # The last entry is that of words which are not associated.
        self._codes = np.append(codes, -1)
        self._values = np.append(_information(met, expected), 0.0)
        self._without_one = np.append(_information(met - 1, expected), 0.0)
        self._slots = np.full(2**SLOTS, len(codes), np.int32)
        self._slots[_slots(codes)] = np.arange(len(codes))  # of two in one place the more frequent one stays

    def scores(self, sources: Table, targets: Table, learnt: bool = False) -> Numbers:
        """Returns how strongly the words of pairs are associated, on average over the words of both sides: [n], nats.

        Args:
            sources: [n, MOST_WORDS].
            targets: [n, MOST_WORDS].
            learnt: whether the associations were learnt from these very pairs.
        """
        table = self._without_one if learnt else self._values
        scores = np.zeros(len(sources))
        for start in range(0, len(sources), PIECE):
            here = slice(start, start + PIECE)
            codes = sources[here, :, None].astype(np.int64) * self._width + targets[here, None, :]
            places = self._slots[_slots(codes)]
            places[self._codes[places] != codes] = len(self._codes) - 1
            values = table[places]
            n_words = (sources[here] < self._none[0]).sum(axis=1) + (targets[here] < self._none[1]).sum(axis=1)
            scores[here] = (values.max(axis=2).sum(axis=1) + values.max(axis=1).sum(axis=1)) / np.maximum(1, n_words)
        return scores


def _information(met: Codes, expected: Numbers) -> Numbers:
    """Returns pointwise mutual information, smoothed; 0 of words that met once or hardly more often than by chance."""
    kept = (met > 1) & (met > MORE_THAN_CHANCE * expected)
    return np.where(kept, np.log((met + SMOOTHING) / (expected + SMOOTHING)), 0.0)


def _slots(codes: Codes) -> Slots:
    """Returns places in a table: multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4)."""
    return (codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - SLOTS)).astype(np.int64)


def _counted(sources: Table, targets: Table, sizes: tuple[int, int]) -> tuple[Codes, Codes]:
    """Returns a code for each two words that meet in a pair, and in how many pairs they do."""
    parts = []
    for start in range(0, len(sources), PIECE):
        here = slice(start, start + PIECE)
        codes = sources[here, :, None].astype(np.int64) * (sizes[1] + 1) + targets[here, None, :]
        parts.append(codes[(sources[here, :, None] < sizes[0]) & (targets[here, None, :] < sizes[1])])
    return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)


@dataclass(frozen=True)
class Calibration:
    """What a value says: the log of how much more often pairs have it than lines that do not belong together.

    Attributes:
        edges: [BINS - 1] between the values that are not told apart.
        evidence: [BINS] nats.
    """

    edges: Numbers
    evidence: Numbers

    @classmethod
    def learn(cls, pairs: Numbers, others: Numbers) -> "Calibration":
        """Compares the values of pairs with those of lines that do not belong together."""
        edges = np.unique(np.quantile(np.concatenate([pairs, others]), np.linspace(0, 1, BINS + 1)[1:-1]))
        rates = []
        for values in (pairs, others):
            counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + 1.0
            rates.append(np.log(counts / counts.sum()))
        return cls(edges, rates[0] - rates[1])

    def __call__(self, values: Numbers) -> Numbers:
        """Returns the evidence of some values: [n] nats."""
        return self.evidence[np.searchsorted(self.edges, values, side="right")]
