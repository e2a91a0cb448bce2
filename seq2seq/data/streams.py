"""Pools of corpora that are read as they come."""

import logging
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

import numpy as np

from seq2seq.data.permutation import shuffled
from seq2seq.data.pools import EncodedPool, Place, Pool, Position, Variation
from seq2seq.data.store import DROPPED, PairFilter, count, describe_counts
from seq2seq.errors import DataError
from seq2seq.text.context import Context
from seq2seq.text.corpora import Corpus
from seq2seq.text.hub import StreamedDataset
from seq2seq.text.ids import Ids
from seq2seq.text.lines import Pair

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Read = TypeVar("Read", covariant=True)
Item = TypeVar("Item")

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
        self._place: Place = ()  # pass and row of the next one of `_rows`

    def read(self, place: Place, size: int) -> tuple[list[Row], Place]:
        """Returns at most `size` rows from a pass and row on, at least one, and the pass and row behind them.

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

    def close(self) -> None:
        """Closes the corpus; if it is read again, it is opened again."""
        if isinstance(self._rows, Generator):
            self._rows.close()
        self._rows, self._place = iter(()), ()

    def _open(self, place: Place) -> None:
        self.close()
        number, row = place
        if isinstance(self._corpus, StreamedDataset):
            self._rows = self._corpus.rows(self._seed, number, row)
        else:
            self._rows = islice(self._corpus, row, None)


class Source(Protocol[Item]):
    """A corpus that is read as it comes and contributes to pools."""

    def take(self, place: Place, n: int) -> tuple[list[Item], Place]:
        """Returns the next `n` items from a place on, and the place behind them."""

    def close(self) -> None:
        """Closes the corpus; if more is taken, it is opened again."""


class Mixture(Generic[Item]):
    """Pools to which each of some corpora contributes its share, without end.

    Args:
        sources: the corpora.
        shares: items of a pool that come from each.
        seed: of all permutations.
    """

    def __init__(self, sources: Sequence[Source[Item]], shares: Sequence[int], seed: int) -> None:
        self._sources = sources
        self._shares = shares
        self._seed = seed

    def pool(self, position: Position) -> tuple[list[Item], Position]:
        """Returns the items of the pool at a position in random order, and the position behind the pool."""
        items: list[Item] = []
        places = []
        for c, (source, share) in enumerate(zip(self._sources, self._shares, strict=True)):
            found, place = source.take(position.rows[c] if c < len(position.rows) else (), share)
            items += found
            places.append(place)
        order = shuffled(np.arange(len(items)), len(items), self._seed, position.pool)
        return [items[i] for i in order], Position(pool=position.pool + 1, rows=tuple(places))

    def close(self) -> None:
        """Closes all corpora."""
        for source in self._sources:
            source.close()


def pool_shares(weights: Sequence[float], size: int) -> list[int]:
    """Returns how many of about `size` items of a pool come from each corpus, at least one."""
    total = sum(weights)
    return [max(1, round(size * weight / total)) for weight in weights]


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
        sources = [
            _Pairs(c, corpus, pair_filter, seed, variation)
            for c, (corpus, pair_filter) in enumerate(zip(corpora, filters, strict=True))
        ]
        self._mixture = Mixture(sources, pool_shares([corpus.weight for corpus in corpora], pool_size), seed)

    @property
    def tokens_per_epoch(self) -> None:
        """Unknown: a stream has no epochs."""

    def settle(self, position: Position) -> Position:
        """Returns the position: a stream has no end."""
        return position

    def pool(self, position: Position) -> tuple[Pool, Position]:
        """Returns the pool at a position, and the position behind it, rows included."""
        pairs, following = self._mixture.pool(position)
        return EncodedPool(pairs), following

    def close(self) -> None:
        """Closes the corpora, until the next pool is asked for."""
        self._mixture.close()


class _Pairs:
    """The pairs of one corpus that are trained on; see `Source`.

    Args:
        number: of the corpus in the recipe, from 0.
        corpus: where they come from.
        pair_filter: drops some.
        seed: of the order in which a stream is read.
        variation: encodes them anew; None: the filter's ids.
    """

    def __init__(
        self, number: int, corpus: Corpus, pair_filter: PairFilter, seed: int, variation: Variation | None
    ) -> None:
        self._number = number
        self._name = corpus.name
        self._reader = Reader(corpus, seed)
        self._filter = pair_filter
        self._variation = variation
        self._document = pair_filter.document()
        self._read: Place = ()  # pass and row behind the last pair that the document knows

    def take(self, place: Place, n: int) -> tuple[list[tuple[Ids, Ids]], Place]:
        """Returns the next `n` pairs from a place on, and the place behind them."""
        first = place = place or (0, 0)
        kept: list[tuple[Ids, Ids]] = []
        counts = dict.fromkeys(("read", *DROPPED), 0)
        while len(kept) < n:
            chunk, contexts, place = self._next(place, min(CHUNK, n - len(kept)))
            found = self._filter(chunk, contexts)
            count(counts, found)
            sources, targets = (ids.rows for ids in found.ids)
            for i in np.flatnonzero(found.reasons == 0).tolist():
                if self._variation is None:
                    kept.append((sources[i], targets[i]))
                else:
                    key = (self._number, place[0], place[1] - len(chunk) + i)
                    kept.append(self._variation.encode(chunk[i], self._filter.language, key, contexts[i]))
            if not kept and place[0] > first[0] + 1:
                raise DataError(f"{self._name}: no sentence pair left to train on")
        log.info("%s: a pool from row %s on: %s", self._name, f"{first[1]:,}", describe_counts(counts))
        return kept, place

    def _next(self, place: Place, n: int) -> tuple[list[Pair], list[Context], Place]:
        """Reads at most `n` pairs from a place on; returns them, their contexts and the place behind them."""
        number, row = place
        if place != self._read:
            self._document = self._filter.document()
            if back := min(self._filter.data.context, row):
                self._filter.read(self._reader.read((number, row - back), back)[0], self._document)
        chunk, behind = self._reader.read(place, n)
        if behind[1] == len(chunk):  # another pass has begun
            self._document = self._filter.document()
        self._read = behind
        return chunk, self._filter.read(chunk, self._document), behind

    def close(self) -> None:
        """Closes the corpus; if more is taken, it is opened again."""
        self._reader.close()
