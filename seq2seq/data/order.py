"""The order of examples: which pairs make up which optimizer step, on any number of ranks."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from seq2seq.data.batch import AnyBatch, Batch
from seq2seq.data.permutation import Indices, shuffled
from seq2seq.data.pools import Pool, Pools, Position

# Target tokens of sentences of like length that stay together: large enough for efficient products, small enough
# that a step of the paper's 25,000 tokens mixes several lengths.
CHUNK_TOKENS = 4096


class Step(Protocol):
    """What one optimizer step trains on, whatever the task.

    Attributes:
        micro_batches: what each micro-batch of any rank is made of.
        n_tokens: tokens that all of them predict.
        next: the position behind this step.
    """

    @property
    def micro_batches(self) -> Sequence[object]:
        """See above."""

    @property
    def n_tokens(self) -> int:
        """See above."""

    @property
    def next(self) -> Position:
        """See above."""

    def batch(self, number: int) -> AnyBatch:
        """Returns a micro-batch as tensors."""

    def lengths(self) -> dict[str, Indices]:
        """Returns how many tokens the examples from which it was drawn have, by what they are; none if all alike."""


@dataclass(frozen=True)
class PairStep:
    """Sentence pairs of one optimizer step.

    Attributes:
        pool: where its pairs are.
        micro_batches: indices of pairs of the pool, one array for each micro-batch of any rank.
        n_tokens: real target tokens of all of them.
        next: the position behind this step.
    """

    pool: Pool
    micro_batches: list[Indices]
    n_tokens: int
    next: Position

    def batch(self, number: int) -> Batch:
        """Returns the pairs of a micro-batch as tensors."""
        pairs = [self.pool.ids(int(i)) for i in self.micro_batches[number]]
        return Batch.from_ids([source for source, _ in pairs], [target for _, target in pairs])

    def lengths(self) -> dict[str, Indices]:
        """Returns how many tokens the two sides of the pool's pairs have."""
        return {"source_tokens": self.pool.source_lengths, "target_tokens": self.pool.target_lengths}


class TrainingData:
    """Sentence pairs of all corpora in the order in which they are trained on.

    The order follows from `seed` and the position alone; how steps are cut into micro-batches follows from
    `device_tokens` and the number of ranks.

    Args:
        pools: the pairs.
        seed: of all permutations.
        batch_tokens: real target tokens of a step.
        device_tokens: padded tokens of the longer side that one micro-batch may hold.
        world_size: ranks; each step has at least as many micro-batches if it has as many pairs.
    """

    def __init__(self, pools: Pools, seed: int, batch_tokens: int, device_tokens: int, world_size: int = 1) -> None:
        self.pools = pools
        self.seed = seed
        self.batch_tokens = batch_tokens
        self.device_tokens = device_tokens
        self.world_size = world_size

    @property
    def tokens_per_epoch(self) -> float | None:
        """Target tokens of an epoch; None where a corpus is streamed."""
        return self.pools.tokens_per_epoch

    @property
    def tokens_per_step(self) -> int:
        """Target tokens of a step, about."""
        return self.batch_tokens

    def steps(self, position: Position) -> Generator[PairStep, None, None]:
        """Yields the steps from a position on, without end; closing this generator closes the corpora.

        A position behind the end of its pool or epoch (the recipe may have changed) stands for the next one.
        """
        try:
            while True:
                position = self.pools.settle(position)
                pool, following = self.pools.pool(position)
                plan = self._plan(pool, position)
                for i in range(position.step, len(plan)):
                    micro_batches = self._micro_batches(pool, plan[i])
                    n_tokens = int(sum(pool.target_lengths[rows].sum() for rows in micro_batches))
                    behind = replace(position, step=i + 1) if i + 1 < len(plan) else following
                    yield PairStep(pool, micro_batches, n_tokens, behind)
                position = following
        finally:
            self.pools.close()

    def _plan(self, pool: Pool, position: Position) -> list[list[Indices]]:
        """Cuts a pool into steps, each a list of chunks of pairs of like length."""
        rows = by_length(pool)
        tokens = pool.target_lengths[rows].cumsum()
        n_steps = max(1, round(tokens[-1] / self.batch_tokens))
        per_step = max(1, round(self.batch_tokens / CHUNK_TOKENS))
        cuts = np.searchsorted(tokens, np.arange(1, n_steps * per_step) * (tokens[-1] / (n_steps * per_step)))
        chunks = np.split(rows, cuts)
        order = shuffled(np.arange(len(chunks)), len(chunks), self.seed, position.epoch, position.pool, 1)
        steps = [[chunks[i] for i in order[k : k + per_step]] for k in range(0, len(order), per_step)]
        return [step for step in steps if any(map(len, step))]

    def _micro_batches(self, pool: Pool, chunks: Sequence[Indices]) -> list[Indices]:
        """Cuts the chunks of a step so that each part fits on a device and each rank gets one."""
        parts = [part for chunk in chunks if len(chunk) for part in self._fit(pool, chunk)]
        while len(parts) < self.world_size and max(map(len, parts)) > 1:
            largest = max(range(len(parts)), key=lambda i: len(parts[i]))
            parts[largest : largest + 1] = np.array_split(parts[largest], 2)
        return parts

    def _fit(self, pool: Pool, chunk: Indices) -> list[Indices]:
        """Cuts a chunk into as few equal parts as fit on a device."""
        widths = np.maximum(pool.source_lengths[chunk], pool.target_lengths[chunk])
        parts = 1
        while any(
            len(part) > 1 and len(part) * part.max() > self.device_tokens for part in np.array_split(widths, parts)
        ):
            parts += 1
        return np.array_split(chunk, parts)


def by_length(pool: Pool) -> Indices:
    """Returns the pairs of a pool by target length, and within it by source length, up and down in turn.

    So neighbours are alike on both sides.
    """
    source, target = pool.source_lengths, pool.target_lengths
    return np.lexsort((np.where(target % 2, -source, source), target))
