"""The order of examples: which pairs make up which optimizer step, on any number of ranks."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seq2seq.data.batch import Batch
from seq2seq.data.store import PairStore

Indices = npt.NDArray[np.int64]

# Target tokens of sentences of like length that stay together: large enough for efficient products, small enough
# that a step of the paper's 25,000 tokens mixes several lengths.
CHUNK_TOKENS = 4096


def shuffled(indices: Indices, n: int, *key: int) -> Indices:
    """Returns where a random permutation of 0 to n - 1, chosen by `key`, sends the given indices.

    A Feistel network with cycle walking (Black & Rogaway 2002): any part of the permutation of any number of
    examples is there at once, without memory, on every machine alike.
    """
    half = np.uint64(max(1, (max(n - 1, 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    out = indices.astype(np.uint64)
    todo = np.arange(len(out))
    while len(todo):
        left, right = out[todo] >> half, out[todo] & mask
        for round_key in range(10):  # fewer are visibly uneven where n is small
            left, right = right, left ^ (_mix(right, *key, round_key) & mask)
        out[todo] = (left << half) | right
        todo = todo[out[todo] >= n]
    return out.astype(np.int64)


def _mix(values: npt.NDArray[np.uint64], *key: int) -> npt.NDArray[np.uint64]:
    """Hashes values with a key (the finaliser of MurmurHash3 after each number of the key)."""
    with np.errstate(over="ignore"):
        for number in key:
            values = values ^ np.uint64((number * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) % 2**64)
            values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
            values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
            values = values ^ (values >> np.uint64(33))
    return values


def derive_seed(seed: int, *parts: int | str) -> int:
    """Returns a seed for torch that depends on all parts: no generator state needs to be stored."""
    digest = hashlib.blake2b("/".join(map(str, (seed, *parts))).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True)
class Position:
    """A place in the order of examples, from 0."""

    epoch: int = 0
    pool: int = 0
    step: int = 0


@dataclass(frozen=True)
class Step:
    """What one optimizer step trains on.

    Attributes:
        micro_batches: global indices of pairs, one array for each micro-batch of any rank.
        n_tokens: real target tokens of all of them.
        next: the position behind this step.
    """

    micro_batches: list[Indices]
    n_tokens: int
    next: Position


class TrainingData:
    """Sentence pairs of all corpora in the order in which they are trained on.

    The order follows from `seed` and the position alone; how steps are cut into micro-batches follows from
    `device_tokens` and the number of ranks.

    Args:
        stores: the tokenised corpora.
        seed: of all permutations.
        pool_size: pairs that are sorted by length together.
        batch_tokens: real target tokens of a step.
        device_tokens: padded tokens of the longer side that one micro-batch may hold.
        world_size: ranks; each step has at least as many micro-batches if it has as many pairs.
    """

    def __init__(
        self,
        stores: Sequence[PairStore],
        seed: int,
        pool_size: int,
        batch_tokens: int,
        device_tokens: int,
        world_size: int = 1,
    ) -> None:
        self.stores = stores
        self.seed = seed
        self.batch_tokens = batch_tokens
        self.device_tokens = device_tokens
        self.world_size = world_size
        self._shares = [max(1, round(store.weight * len(store))) for store in stores]  # pairs of each in an epoch
        self._starts = np.cumsum([0, *map(len, stores)])  # global index of each corpus's first pair
        self.pairs_per_epoch = sum(self._shares)
        self.tokens_per_epoch = sum(
            share * int(store.target_lengths.sum()) / len(store)
            for share, store in zip(self._shares, stores, strict=True)
        )
        self.pools_per_epoch = -(-self.pairs_per_epoch // pool_size)
        self._source_lengths = np.concatenate([store.source_lengths for store in stores])
        self._target_lengths = np.concatenate([store.target_lengths for store in stores])

    def steps(self, position: Position) -> Iterator[Step]:
        """Yields the steps from a position on, without end.

        A position behind the end of its pool or epoch (the recipe may have changed) stands for the next one.
        """
        epoch, pool, first = position.epoch, position.pool, position.step
        while True:
            if pool >= self.pools_per_epoch:
                epoch, pool, first = epoch + 1, 0, 0
            plan = self._plan(epoch, pool)
            following = Position(epoch, pool + 1) if pool + 1 < self.pools_per_epoch else Position(epoch + 1)
            for i in range(first, len(plan)):
                micro_batches = self._micro_batches(plan[i])
                n_tokens = int(sum(self._target_lengths[rows].sum() for rows in micro_batches))
                yield Step(micro_batches, n_tokens, Position(epoch, pool, i + 1) if i + 1 < len(plan) else following)
            epoch, pool, first = following.epoch, following.pool, 0

    def batch(self, rows: Indices) -> Batch:
        """Returns the pairs of a micro-batch as tensors."""
        corpora = np.searchsorted(self._starts, rows, side="right") - 1
        pairs = [self.stores[c][i] for c, i in zip(corpora, rows - self._starts[corpora], strict=True)]
        return Batch.from_ids([source for source, _ in pairs], [target for _, target in pairs])

    def pool(self, epoch: int, pool: int) -> Indices:
        """Returns the global indices of a pool's pairs, in random order."""
        n, pools = self.pairs_per_epoch, self.pools_per_epoch
        places = shuffled(np.arange(pool * n // pools, (pool + 1) * n // pools), n, self.seed, epoch)
        ends = np.cumsum(self._shares)
        corpora = np.searchsorted(ends, places, side="right")
        out = np.empty_like(places)
        for c, (share, store) in enumerate(zip(self._shares, self.stores, strict=True)):
            chosen = corpora == c
            # Each corpus is gone through pass by pass, each pass in an order of its own: with weight 0.5 every
            # pair comes once in two epochs, with weight 2 twice in one.
            passes, within = np.divmod(epoch * share + places[chosen] - (ends[c] - share), len(store))
            for number in np.unique(passes):
                this = passes == number
                within[this] = shuffled(within[this], len(store), self.seed, c, int(number))
            out[chosen] = self._starts[c] + within
        return out

    def _plan(self, epoch: int, pool: int) -> list[list[Indices]]:
        """Cuts a pool into steps, each a list of chunks of pairs of like length."""
        rows = self.pool(epoch, pool)
        # By target length, and within it by source length, up and down in turn: neighbours are alike on both sides.
        source, target = self._source_lengths[rows], self._target_lengths[rows]
        rows = rows[np.lexsort((np.where(target % 2, -source, source), target))]
        tokens = self._target_lengths[rows].cumsum()
        n_steps = max(1, round(tokens[-1] / self.batch_tokens))
        per_step = max(1, round(self.batch_tokens / CHUNK_TOKENS))
        cuts = np.searchsorted(tokens, np.arange(1, n_steps * per_step) * (tokens[-1] / (n_steps * per_step)))
        chunks = np.split(rows, cuts)
        order = shuffled(np.arange(len(chunks)), len(chunks), self.seed, epoch, pool, 1)
        steps = [[chunks[i] for i in order[k : k + per_step]] for k in range(0, len(order), per_step)]
        return [step for step in steps if any(map(len, step))]

    def _micro_batches(self, chunks: list[Indices]) -> list[Indices]:
        """Cuts the chunks of a step so that each part fits on a device and each rank gets one."""
        parts = [part for chunk in chunks if len(chunk) for part in self._fit(chunk)]
        while len(parts) < self.world_size and max(map(len, parts)) > 1:
            largest = max(range(len(parts)), key=lambda i: len(parts[i]))
            parts[largest : largest + 1] = np.array_split(parts[largest], 2)
        return parts

    def _fit(self, chunk: Indices) -> list[Indices]:
        """Cuts a chunk into as few equal parts as fit on a device."""
        widths = np.maximum(self._source_lengths[chunk], self._target_lengths[chunk])
        parts = 1
        while any(
            len(part) > 1 and len(part) * part.max() > self.device_tokens for part in np.array_split(widths, parts)
        ):
            parts += 1
        return np.array_split(chunk, parts)
