"""Blocks of running text: which of them make up which optimizer step, on any number of ranks."""

import logging
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from seq2seq.data.batch import TokenBatch
from seq2seq.data.permutation import Indices, uniform
from seq2seq.data.pools import Place, Position
from seq2seq.data.streams import Mixture, Reader, pool_shares
from seq2seq.data.tokens import TokenStore, describe_text, no_text
from seq2seq.text.documents import Documents
from seq2seq.text.ids import EOS, UNK, Ids
from seq2seq.text.lines import is_blank
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

RESOLUTION = 2**53  # shares of corpora are told apart as finely as a float can
POOL_TOKENS = 2**21  # of a pool of streamed text, at least: what is shuffled together
POOL_STEPS = 16  # of a pool at least, so that steps are mixtures of several times their text
SKIPPED = 2**20  # tokens that are passed over at a time


class Blocks(Protocol):
    """Where blocks come from. The same position always gives the same ones, on every rank."""

    @property
    def tokens_per_epoch(self) -> float | None:
        """Tokens of all corpora; None where one is streamed."""

    def take(self, position: Position, n: int) -> tuple[list[Ids], Position]:
        """Returns the `n` blocks of the step at a position, and the position behind it."""

    def close(self) -> None:
        """Closes what is open of the corpora, until the next blocks are taken."""


class StoredBlocks:
    """Blocks that begin anywhere in text on disk where a whole one fits, drawn with replacement.

    Which ones follows from the seed, the number of the step and the number of the block in it alone. The epoch of a
    position counts how often as many tokens have been drawn as there are.

    Args:
        stores: a block comes from each with a chance proportional to its weight times its tokens. One that is shorter
            than a block is a shorter block, always the same, and so has fewer tokens drawn than its weight says.
        seed: of all draws.
        context: tokens that a block predicts; one more is read.
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
        blocks = [self._draw(position.step, i) for i in range(n)]
        tokens = position.tokens + sum(len(block) - 1 for block in blocks)
        return blocks, Position(int(tokens / self.tokens_per_epoch), step=position.step + 1, tokens=tokens)

    def close(self) -> None:
        """Does nothing: stores stay mapped."""

    def _draw(self, step: int, number: int) -> Ids:
        place = uniform(RESOLUTION, self.seed, step, number, 0)
        store = self.stores[int(np.searchsorted(self._ends, place, side="right"))]
        start = uniform(max(1, len(store.ids) - self.context), self.seed, step, number, 1)
        block: Ids = store.ids[start : start + self.context + 1]
        return block


class StreamedBlocks:
    """Blocks of corpora of which at least one is streamed: each takes its share of every pool, without end.

    The blocks of a corpus stand side by side in its text, so each token comes once in a pass. A pool goes on where the
    one before it has ended, within a document too, and its blocks are shuffled.

    Args:
        corpora: those of the recipe.
        tokenizer: cuts them.
        seed: of all permutations.
        context: tokens that a block predicts; one more is read.
        batch_tokens: of a step; a pool is made of whole steps.
    """

    def __init__(
        self, corpora: Sequence[Documents], tokenizer: Tokenizer, seed: int, context: int, batch_tokens: int
    ) -> None:
        per_step = blocks_per_step(batch_tokens, context)
        size = per_step * max(POOL_STEPS, -(-POOL_TOKENS // (per_step * context)))
        shares = pool_shares([corpus.weight for corpus in corpora], size)
        largest = shares.index(max(shares))
        shares[largest] = max(1, shares[largest] + size - sum(shares))  # what rounding has left over or taken too much
        sources = [_TextBlocks(corpus, tokenizer, seed, context) for corpus in corpora]
        self._mixture = Mixture(sources, shares, seed)
        self._last: tuple[Position, list[Ids], Position] | None = None  # where a pool begins, its blocks, what follows

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

    def close(self) -> None:
        """Closes the corpora, until the next pool is asked for."""
        self._mixture.close()

    def _pool(self, position: Position) -> tuple[list[Ids], Position]:
        """Returns the blocks of the pool at a position, and the position behind it; the last pool stays in memory."""
        if self._last is None or self._last[0] != position:
            self._last = position, *self._mixture.pool(position)
        return self._last[1:]


class _TextBlocks:
    """The text of one corpus as blocks side by side; see `data.streams.Source`.

    A place is that of the next token to predict. Where a document has been begun, it is encoded from its start again if
    reading does not simply go on.

    Args:
        corpus: the text.
        tokenizer: cuts it.
        seed: of the order in which a stream is read.
        context: tokens that a block predicts; one more is read.
    """

    def __init__(self, corpus: Documents, tokenizer: Tokenizer, seed: int, context: int) -> None:
        self._name = corpus.name
        self._reader = Reader(corpus, seed)
        self._tokenizer = tokenizer
        self._context = context
        self._open((0, 0, 0))

    def take(self, place: Place, n: int) -> tuple[list[Ids], Place]:
        """Returns the next `n` blocks from a place on, and the place behind them."""
        first = (*place, 0, 0, 0)[:3]
        if first != self._place:
            self._open(first)
        size = self._context
        ids = self._read(n * size)
        counts = {
            "documents": 1 + int(np.count_nonzero(ids[1:-1] == EOS)),  # or parts of them
            "tokens": n * size,
            "unknown": int(np.count_nonzero(ids[1:] == UNK)),
        }
        log.info("%s: a pool from row %s on: %s", self._name, f"{first[1]:,}", describe_text(counts))
        return [ids[start : start + size + 1] for start in range(0, n * size, size)], self._place

    def close(self) -> None:
        """Closes the corpus; if more is taken, it is opened again."""
        self._reader.close()
        self._open((-1, 0, 0))  # which is nowhere, so that what is asked for next is opened

    def _open(self, place: Place) -> None:
        """Begins to read at a place."""
        number, row, used = place
        self._rows: deque[Place] = deque()  # pass and row of each document in `_ids` that is not taken to its end
        documents = _documents(self._name, self._reader, (number, row), self._rows)
        self._ids = self._tokenizer.encode_running(documents)
        self._left: Ids = np.array([EOS], dtype=np.int32)  # the token before the next one, and what has been encoded
        self._place: Place = (number, row, 0)
        while used:
            skipped = min(used, SKIPPED)
            self._read(skipped)
            used -= skipped

    def _read(self, n: int) -> Ids:
        """Returns the token before the next one and the next `n`, and goes on behind them."""
        parts, missing = [self._left], n + 1 - len(self._left)
        while missing > 0:
            parts.append(next(self._ids))
            missing -= len(parts[-1])
        ids = np.concatenate(parts)
        ids, self._left = ids[: n + 1], ids[n:].copy()
        number, row, used = self._place
        ends = np.flatnonzero(ids[1:] == EOS).tolist()
        for _ in ends:
            number, row = self._rows.popleft()
        used = n - 1 - ends[-1] if ends else used + n
        self._place = (*self._rows[0], used) if used else (number, row + 1, 0)
        return ids


def _documents(name: str, reader: Reader[str], place: Place, rows: deque[Place]) -> Iterator[str]:
    """Yields the documents that are not blank from a pass and row on, without end, and notes in `rows` where they are.

    Raises:
        DataError: there are none.
    """
    last = place
    while True:
        (document,), place = reader.read(place, 1)
        if not is_blank(document):
            last = place
            rows.append((place[0], place[1] - 1))
            yield document
        elif place[0] > last[0] + 1:
            raise no_text(name)


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


def blocks_per_step(batch_tokens: int, context: int) -> int:
    """Returns how many whole blocks predict about `batch_tokens` tokens, at least one."""
    return max(1, round(batch_tokens / context))


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
        self.context = context
        self.per_step = blocks_per_step(batch_tokens, context)
        fitting = max(1, device_tokens // context)
        self._parts = min(self.per_step, max(world_size, -(-self.per_step // fitting)))

    @property
    def tokens_per_epoch(self) -> float | None:
        """Tokens of all corpora; None where one is streamed."""
        return self.blocks.tokens_per_epoch

    @property
    def tokens_per_step(self) -> int:
        """Tokens that a step predicts."""
        return self.per_step * self.context

    def steps(self, position: Position) -> Generator[BlockStep, None, None]:
        """Yields the steps from a position on, without end; closing this generator closes the corpora."""
        try:
            while True:
                blocks, position = self.blocks.take(position, self.per_step)
                parts = np.array_split(np.arange(len(blocks)), min(self._parts, len(blocks)))
                yield BlockStep(blocks, parts, sum(len(block) - 1 for block in blocks), position)
        finally:
            self.blocks.close()
