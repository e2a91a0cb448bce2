"""Pools of corpora that are read as they come."""

import logging
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

import numpy as np

from seq2seq.data.permutation import shuffled
from seq2seq.data.pools import EncodedPool, Pool, Position, Variation
from seq2seq.data.store import DROPPED, PairFilter, describe_counts
from seq2seq.errors import DataError
from seq2seq.text.corpora import Corpus
from seq2seq.text.hub import StreamedDataset
from seq2seq.text.ids import Ids
from seq2seq.text.lines import Pair

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Read = TypeVar("Read", covariant=True)

CHUNK = 1000  # pairs that are encoded together


class Readable(Protocol[Read]):
    """What can be read again and again, always in the same order."""

    name: str

    def __iter__(self) -> Iterator[Read]:
        """Yields the rows."""


class Reader(Generic[Row]):
    """Reads a corpus pass after pass from any row, and goes on where it stopped if that is where it is asked to.

    A corpus that is not streamed is read in the order of its file.
    """

    def __init__(self, corpus: Readable[Row], seed: int) -> None:
        self._corpus = corpus
        self._seed = seed
        self._rows: Iterator[Row] = iter(())
        self._place = (-1, -1)  # pass and row of the next one of `_rows`

    def read(self, place: tuple[int, int], size: int) -> tuple[list[Row], tuple[int, int]]:
        """Returns at most `size` rows from a place on, at least one, and the place behind them.

        Raises:
            DataError: the corpus is empty.
        """
        if place != self._place:
            self._open(place)
        number, row = place
        chunk = list(islice(self._rows, size))
        if not chunk:
            if row == 0:
                raise DataError(f"{self._corpus.name}: has no rows")
            return self.read((number + 1, 0), size)
        self._place = (number, row + len(chunk))
        return chunk, self._place

    def _open(self, place: tuple[int, int]) -> None:
        number, row = place
        if isinstance(self._rows, Generator):
            self._rows.close()
        if isinstance(self._corpus, StreamedDataset):
            self._rows = self._corpus.rows(self._seed, number, row)
        else:
            self._rows = islice(self._corpus, row, None)


class StreamedPools:
    """Pools of corpora of which at least one is streamed: each takes its share of every pool, without end.

    Args:
        corpora: those of the recipe.
        filters: for each of them, which pairs are trained on.
        seed: of all permutations.
        pool_size: pairs of a pool.
        variation: encodes the pairs of a pool anew; None: the filters' ids.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        filters: Sequence[PairFilter],
        seed: int,
        pool_size: int,
        variation: Variation | None = None,
    ) -> None:
        self.seed = seed
        self.variation = variation
        self._filters = filters
        self._readers = [Reader(corpus, seed) for corpus in corpora]
        self._names = [corpus.name for corpus in corpora]
        total = sum(corpus.weight for corpus in corpora)
        self._shares = [max(1, round(pool_size * corpus.weight / total)) for corpus in corpora]

    @property
    def tokens_per_epoch(self) -> None:
        """Unknown: a stream has no epochs."""

    def settle(self, position: Position) -> Position:
        """Returns the position: a stream has no end."""
        return position

    def pool(self, position: Position) -> tuple[Pool, Position]:
        """Returns the pool at a position, and the position behind it, rows included."""
        pairs: list[tuple[Ids, Ids]] = []
        places = []
        for c in range(len(self._shares)):
            place = position.rows[c] if c < len(position.rows) else (0, 0)
            found, place = self._take(c, place)
            pairs += found
            places.append(place)
        order = shuffled(np.arange(len(pairs)), len(pairs), self.seed, position.pool)
        following = Position(pool=position.pool + 1, rows=tuple(places))
        return EncodedPool([pairs[i] for i in order]), following

    def _take(self, c: int, place: tuple[int, int]) -> tuple[list[tuple[Ids, Ids]], tuple[int, int]]:
        """Returns a corpus's share of a pool from a place on, and the place behind it."""
        first = place
        kept: list[tuple[Ids, Ids]] = []
        counts = dict.fromkeys(("read", *DROPPED), 0)
        while len(kept) < self._shares[c]:
            chunk, following = self._readers[c].read(place, min(CHUNK, self._shares[c] - len(kept)))
            for row, found in enumerate(self._filters[c](chunk), following[1] - len(chunk)):
                counts["read"] += 1
                if found.reason:
                    counts[found.reason] += 1
                elif found.ids is not None:
                    kept.append(self._vary(c, found.pair, found.ids, (following[0], row)))
            if not kept and following[0] > first[0] + 1:
                raise DataError(f"{self._names[c]}: no sentence pair left to train on")
            place = following
        log.info("%s: a pool from row %s on: %s", self._names[c], f"{first[1]:,}", describe_counts(counts))
        return kept, place

    def _vary(self, c: int, pair: Pair, ids: tuple[Ids, Ids], place: tuple[int, int]) -> tuple[Ids, Ids]:
        if self.variation is None:
            return ids
        return self.variation.encode(pair, self._filters[c].language, (c, *place))
