"""Pools: the pairs that are sorted by length together. An epoch is a sequence of pools."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from seq2seq.config import DataSettings, NoiseSettings
from seq2seq.data.permutation import Indices, derive_seed, shuffled
from seq2seq.data.store import PairStore, drop_reasons
from seq2seq.text.context import Context
from seq2seq.text.ids import IdRows, Ids
from seq2seq.text.lines import Pair
from seq2seq.text.noise import add_noise
from seq2seq.text.tokenizer import Tokenizer

# Where a corpus is read on: the pass over it, the row in it and, of running text, how many tokens of the document in
# that row have been read already. Numbers that are missing are 0.
Place = tuple[int, ...]


@dataclass(frozen=True)
class Position:
    """A place in the order of examples, from 0.

    There are three orders. Pairs on disk come in epochs made of pools made of steps. Where a corpus is streamed there
    are pools of steps, and no epochs. Blocks of text on disk are drawn step by step; there are no pools.

    Attributes:
        epoch: passes over all corpora so far; of text on disk, how often as many tokens as it has have been drawn.
        pool: of the epoch; of streams, of the run.
        step: of the pool; of text on disk, of the run.
        rows: of streams, for each corpus the place at which its part of the pool begins; empty at the beginning.
        tokens: of text on disk, those drawn so far.
    """

    epoch: int = 0
    pool: int = 0
    step: int = 0
    rows: tuple[Place, ...] = ()
    tokens: int = 0


class Pool(Protocol):
    """Pairs in random order.

    Attributes:
        source_lengths: [n] int64, tokens of each source, eos included.
        target_lengths: [n] int64, tokens of each target, eos included.
    """

    source_lengths: Indices
    target_lengths: Indices

    def ids(self, index: int) -> tuple[Ids, Ids]:
        """Returns source and target ids of a pair, each ending in eos."""


class Pools(Protocol):
    """Where pools come from. The same position always gives the same pool, on every rank."""

    @property
    def tokens_per_epoch(self) -> float | None:
        """Target tokens of an epoch, before sampling; None where a corpus is streamed."""

    def settle(self, position: Position) -> Position:
        """Returns a position, or the next epoch's first if it lies behind the last pool of its epoch."""

    def pool(self, position: Position) -> tuple[Pool, Position]:
        """Returns the pool at a settled position, and the position behind the pool."""

    def close(self) -> None:
        """Closes what is open of the corpora, until the next pool is asked for."""


@dataclass(frozen=True)
class Variation:
    """Encodes pairs anew each time they come: noise, then subword sampling.

    Attributes:
        tokenizer: cuts them.
        data: noise, and the limits that a variation must not pass.
        alpha: of subword sampling; 0: none.
        seed: of all variations.
    """

    tokenizer: Tokenizer
    data: DataSettings
    alpha: float
    seed: int

    def encode(self, pair: Pair, language: str, key: tuple[int, ...], context: Context = ()) -> tuple[Ids, Ids]:
        """Returns source and target ids; which variation follows from `key`.

        One that is longer than training pairs may be is not taken: then the pair comes as it is. Noise is that of the
        pair, its context has none; subwords are sampled of the context, too.
        """
        noisy = add_noise(pair, self.data.noise, (self.seed, *key))
        if not self.alpha:
            ids = self._plain(noisy, language, context)
        else:
            seed = derive_seed(self.seed, "subwords", *key)
            ids = self.tokenizer.sample(noisy, language, self.alpha, seed, context, self.data.max_length)
        source, target = (IdRows(side, np.array([len(side)])) for side in ids)
        lengths = self.tokenizer.without_context(source).lengths, target.lengths
        return self._plain(pair, language, context) if drop_reasons(*lengths, self.data).any() else ids

    def _plain(self, pair: Pair, language: str, context: Context) -> tuple[Ids, Ids]:
        source = self.tokenizer.source_rows([pair[0]], language, [context], self.data.max_length)
        return source.rows[0], self.tokenizer.encode_target([pair[1]])[0]


def varies(alpha: float, noise: NoiseSettings) -> bool:
    """Says whether pairs are encoded anew each time they come."""
    return bool(alpha) or any(noise.model_dump().values())


class EncodedPool:
    """A pool whose pairs were encoded for it."""

    def __init__(self, pairs: Sequence[tuple[Ids, Ids]]) -> None:
        self._pairs = pairs
        self.source_lengths = np.array([len(source) for source, _ in pairs], dtype=np.int64)
        self.target_lengths = np.array([len(target) for _, target in pairs], dtype=np.int64)

    def ids(self, index: int) -> tuple[Ids, Ids]:
        """Returns source and target ids of a pair, each ending in eos."""
        return self._pairs[index]


class _PoolOfStores:
    """A pool whose pairs stay in their stores until they are asked for."""

    def __init__(self, stores: Sequence[PairStore], corpora: Indices, within: Indices) -> None:
        self._stores = stores
        self._corpora = corpora
        self._within = within
        self.source_lengths = np.empty_like(within)
        self.target_lengths = np.empty_like(within)
        for c, store in enumerate(stores):
            here = corpora == c
            self.source_lengths[here] = store.source_lengths[within[here]]
            self.target_lengths[here] = store.target_lengths[within[here]]

    def ids(self, index: int) -> tuple[Ids, Ids]:
        """Returns source and target ids of a pair, each ending in eos."""
        return self._stores[int(self._corpora[index])].ids(int(self._within[index]))


class StoredPools:
    """Pools of corpora that are on disk.

    Args:
        stores: of ids, or of text if there is a variation.
        seed: of all permutations.
        pool_size: pairs of a pool.
        temperature: T in the share of each corpus, (weight * pairs)^(1/T).
        variation: encodes the pairs of a pool; None: the stores' ids as they are.
    """

    def __init__(
        self,
        stores: Sequence[PairStore],
        seed: int,
        pool_size: int,
        temperature: float = 1.0,
        variation: Variation | None = None,
    ) -> None:
        self.stores = stores
        self.seed = seed
        self.variation = variation
        self._shares = epoch_shares([store.weight * len(store) for store in stores], temperature)
        self.pairs_per_epoch = sum(self._shares)
        self.pools_per_epoch = -(-self.pairs_per_epoch // pool_size)

    @cached_property
    def tokens_per_epoch(self) -> float:
        """Target tokens of an epoch, before sampling."""
        means = [int(store.target_lengths.sum()) / len(store) for store in self.stores]
        return float(np.dot(self._shares, means))

    def settle(self, position: Position) -> Position:
        """Returns a position, or the next epoch's first if it lies behind the last pool of its epoch."""
        return position if position.pool < self.pools_per_epoch else Position(position.epoch + 1)

    def pool(self, position: Position) -> tuple[Pool, Position]:
        """Returns the pool at a settled position, and the position behind the pool."""
        epoch, number = position.epoch, position.pool
        n, pools = self.pairs_per_epoch, self.pools_per_epoch
        places = shuffled(np.arange(number * n // pools, (number + 1) * n // pools), n, self.seed, epoch)
        ends = np.cumsum(self._shares)
        corpora = np.searchsorted(ends, places, side="right")
        passes, within = np.empty_like(places), np.empty_like(places)
        for c, (share, store) in enumerate(zip(self._shares, self.stores, strict=True)):
            here = corpora == c
            in_order = epoch * share + places[here] - (ends[c] - share)
            passes[here], within[here] = pass_by_pass(in_order, len(store), self.seed, c)
        pool: Pool
        if self.variation is None:
            pool = _PoolOfStores(self.stores, corpora, within)
        else:
            places_in_passes = zip(corpora.tolist(), passes.tolist(), within.tolist(), strict=True)
            pool = EncodedPool([self._vary(*place) for place in places_in_passes])
        return pool, self.settle(Position(epoch, number + 1))

    def close(self) -> None:
        """Does nothing: stores stay mapped."""

    def _vary(self, corpus: int, number: int, index: int) -> tuple[Ids, Ids]:
        """Encodes a pair as it comes in one pass over its corpus."""
        assert self.variation is not None
        store = self.stores[corpus]
        pair, context = store.text_in_context(index)
        return self.variation.encode(pair, store.language, (corpus, number, index), context)


def epoch_shares(sizes: Sequence[float], temperature: float) -> list[int]:
    """Returns how many pairs of each corpus come in an epoch.

    Args:
        sizes: weight times pairs of each corpus; an epoch has as many pairs as their sum.
        temperature: T; shares are proportional to size^(1/T) (Arivazhagan et al. 2019).
    """
    if temperature == 1:
        return [max(1, round(size)) for size in sizes]
    heated = np.array(sizes) ** (1 / temperature)
    shares = sum(sizes) * heated / heated.sum()
    return [max(1, round(share)) for share in shares.tolist()]


def pass_by_pass(places: Indices, n: int, seed: int, corpus: int) -> tuple[Indices, Indices]:
    """Returns which pair of a corpus stands at each place of an endless sequence of passes over its `n` pairs.

    Each pass has an order of its own: with weight 0.5 every pair comes once in two epochs, with weight 2 twice in one.

    Returns:
        The pass of each place, and the pair.
    """
    passes, within = np.divmod(places, n)
    for number in np.unique(passes):
        this = passes == number
        within[this] = shuffled(within[this], n, seed, corpus, int(number))
    return passes, within
