"""Blocks of running text: which of them make up which optimizer step, on any number of ranks."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from seq2seq.data.batch import TokenBatch
from seq2seq.data.permutation import Indices, shuffled, uniform
from seq2seq.data.pools import Position
from seq2seq.data.streams import Reader
from seq2seq.data.tokens import TokenStore, describe_text, pack
from seq2seq.errors import DataError
from seq2seq.text.documents import Documents
from seq2seq.text.ids import EOS, Ids
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

RESOLUTION = 2**53  # shares of corpora are told apart as finely as a float can
POOL_TOKENS = 2**21  # of a pool of streamed text, at least: what is shuffled together
POOL_STEPS = 16  # of a pool at least: what does not fill a step is left out, so it must be little
CHUNK = 100  # documents of a stream that are encoded together


class Blocks(Protocol):
    """Where blocks come from. The same position always gives the same ones, on every rank."""

    @property
    def tokens_per_epoch(self) -> float | None:
        """Tokens of all corpora; None where one is streamed."""

    def take(self, position: Position, n: int) -> tuple[list[Ids], Position]:
        """Returns the `n` blocks of the step at a position, and the position behind it."""


class StoredBlocks:
    """Blocks that begin anywhere in text on disk, drawn with replacement.

    Which ones follows from the seed, the number of the step and the number of the block in it alone. The epoch of a
    position counts how often as many tokens have been drawn as there are.

    Args:
        stores: a token of each is drawn with a chance proportional to the store's weight.
        seed: of all draws.
        context: tokens that a block predicts; one more is read. A store that is shorter is one block.
    """

    def __init__(self, stores: Sequence[TokenStore], seed: int, context: int) -> None:
        self.stores = stores
        self.seed = seed
        self.context = context
        sizes = np.array([store.weight * store.counts["tokens"] for store in stores])
        self._ends = (RESOLUTION * (sizes / sizes.sum()).cumsum()).round()

    @property
    def tokens_per_epoch(self) -> float:
        """Tokens of all corpora, times their weights."""
        return sum(store.weight * store.counts["tokens"] for store in self.stores)

    def take(self, position: Position, n: int) -> tuple[list[Ids], Position]:
        """Returns the `n` blocks of the step at a position, and the position behind it."""
        step = position.step + 1
        epoch = int(step * n * self.context / self.tokens_per_epoch)
        return [self._draw(position.step, i) for i in range(n)], Position(epoch=epoch, step=step)

    def _draw(self, step: int, number: int) -> Ids:
        place = uniform(RESOLUTION, self.seed, step, number, 0)
        store = self.stores[int(np.searchsorted(self._ends, place, side="right"))]
        start = uniform(max(1, len(store.ids) - self.context), self.seed, step, number, 1)
        block: Ids = store.ids[start : start + self.context + 1]
        return block


class StreamedBlocks:
    """Blocks of corpora of which at least one is streamed: each takes its share of every pool, without end.

    A pool is documents from a row of each corpus on, packed and cut into blocks that are shuffled. Each comes once in
    a pass. Less than a block at the end of a corpus's part and less than a step at the end of a pool are left out.

    Args:
        corpora: those of the recipe.
        tokenizer: cuts them.
        seed: of all permutations.
        context: tokens that a block predicts; one more is read.
        batch_tokens: of a step, which is never made of two pools.
    """

    def __init__(
        self, corpora: Sequence[Documents], tokenizer: Tokenizer, seed: int, context: int, batch_tokens: int
    ) -> None:
        self.seed = seed
        self.context = context
        self._tokenizer = tokenizer
        self._readers = [Reader(corpus, seed) for corpus in corpora]
        self._names = [corpus.name for corpus in corpora]
        total = sum(corpus.weight for corpus in corpora)
        size = max(POOL_TOKENS, POOL_STEPS * batch_tokens) / context
        self._shares = [max(1, round(size * corpus.weight / total)) for corpus in corpora]
        self._pool = lru_cache(maxsize=1)(self._read)

    @property
    def tokens_per_epoch(self) -> None:
        """Unknown: a stream has no epochs."""

    def take(self, position: Position, n: int) -> tuple[list[Ids], Position]:
        """Returns the `n` blocks of the step at a position, and the position behind it."""
        blocks, following = self._pool(replace(position, step=0))
        start = position.step * n
        if start + 2 * n <= len(blocks):
            following = replace(position, step=position.step + 1)
        elif start + n > len(blocks) and start:  # the recipe may have changed
            return self.take(following, n)
        return blocks[start : start + n], following

    def _read(self, pool: Position) -> tuple[list[Ids], Position]:
        """Returns the blocks of the pool at a position, and the position behind it, rows included."""
        blocks: list[Ids] = []
        places = []
        for c in range(len(self._shares)):
            found, place = self._part(c, pool.rows[c] if c < len(pool.rows) else (0, 0))
            blocks += found
            places.append(place)
        order = shuffled(np.arange(len(blocks)), len(blocks), self.seed, pool.pool)
        return [blocks[i] for i in order], Position(pool=pool.pool + 1, rows=tuple(places))

    def _part(self, c: int, place: tuple[int, int]) -> tuple[list[Ids], tuple[int, int]]:
        """Returns a corpus's blocks of a pool from a place on, and the place behind them."""
        first = place
        packed: list[Ids] = [np.array([EOS])]
        counts = {"documents": 0, "tokens": 0, "bytes": 0}
        while counts["tokens"] < self._shares[c] * self.context:
            documents, place = self._readers[c].read(place, CHUNK)
            for document, ids in pack(documents, self._tokenizer):
                packed.append(ids)
                counts["documents"] += 1
                counts["tokens"] += len(ids)
                counts["bytes"] += len(document.encode())
            if not counts["documents"] and place[0] > first[0] + 1:
                raise DataError(f"{self._names[c]}: no text")
        log.info("%s: a pool from row %s on: %s", self._names[c], f"{first[1]:,}", describe_text(counts))
        ids = np.concatenate(packed)
        starts = range(0, len(ids) - self.context, self.context)
        return [ids[start : start + self.context + 1] for start in starts], place


@dataclass(frozen=True)
class BlockStep:
    """Blocks of one optimizer step.

    Attributes:
        blocks: ids of each; those of a store stay there until they are asked for.
        micro_batches: numbers of blocks, one array for each micro-batch of any rank.
        n_tokens: tokens that all blocks predict.
        next: the position behind this step.
    """

    blocks: list[Ids]
    micro_batches: list[Indices]
    n_tokens: int
    next: Position

    def batch(self, number: int) -> TokenBatch:
        """Returns a micro-batch as tensors."""
        return TokenBatch.from_ids([self.blocks[i] for i in self.micro_batches[number]])

    def lengths(self) -> dict[str, Indices]:
        """Returns nothing: all blocks are alike."""
        return {}


class BlockData:
    """Blocks of all corpora in the order in which they are trained on.

    Args:
        blocks: where they come from.
        context: tokens that a block predicts.
        batch_tokens: tokens that a step predicts, rounded to whole blocks.
        device_tokens: tokens that one micro-batch may hold.
        world_size: ranks; each step has at least as many micro-batches if it has as many blocks.
    """

    def __init__(
        self, blocks: Blocks, context: int, batch_tokens: int, device_tokens: int, world_size: int = 1
    ) -> None:
        self.blocks = blocks
        self.per_step = max(1, round(batch_tokens / context))
        fitting = max(1, device_tokens // context)
        self._parts = min(self.per_step, max(world_size, -(-self.per_step // fitting)))

    @property
    def tokens_per_epoch(self) -> float | None:
        """Tokens of all corpora; None where one is streamed."""
        return self.blocks.tokens_per_epoch

    def steps(self, position: Position) -> Iterator[BlockStep]:
        """Yields the steps from a position on, without end."""
        while True:
            blocks, position = self.blocks.take(position, self.per_step)
            parts = np.array_split(np.arange(len(blocks)), min(self._parts, len(blocks)))
            yield BlockStep(blocks, parts, sum(len(block) - 1 for block in blocks), position)
