"""Steps prepared in the background, so that training never waits for text to be read and cut."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar, cast

from seq2seq.data.batch import AnyBatch
from seq2seq.data.order import Step
from seq2seq.data.permutation import Indices
from seq2seq.data.pools import Position

Item = TypeVar("Item")

TOKENS = 2**22  # of steps that are ready at once at the most, some 100 MB
STEPS = 16  # that are ready at once at the most: a thread that runs on and on takes the interpreter from the others


@dataclass(frozen=True)
class ReadyStep:
    """A step whose micro-batches are tensors already; see `order.Step`.

    Attributes:
        step: the step.
        batches: of one rank, by their numbers.
    """

    step: Step
    batches: dict[int, AnyBatch]

    @property
    def micro_batches(self) -> Sequence[object]:
        """What each micro-batch of any rank is made of."""
        return self.step.micro_batches

    @property
    def n_tokens(self) -> int:
        """Tokens that all of them predict."""
        return self.step.n_tokens

    @property
    def next(self) -> Position:
        """The position behind the step."""
        return self.step.next

    def batch(self, number: int) -> AnyBatch:
        """Returns a micro-batch of the rank as tensors."""
        return self.batches[number]

    def lengths(self) -> dict[str, Indices]:
        """Returns how many tokens the examples have from which it was drawn."""
        return self.step.lengths()


def ahead(items: Generator[Item, None, None], size: int) -> Generator[Item, None, None]:
    """Yields what a generator yields, taken from it by a thread that is up to `size` items ahead.

    An error of the generator is raised where its item would have come. Closed, it ends the thread and closes the
    generator, with whatever that holds open.
    """
    end = object()
    thread = ThreadPoolExecutor(1, "ahead")
    try:
        pending = deque(thread.submit(next, items, end) for _ in range(size))
        while (item := pending.popleft().result()) is not end:
            pending.append(thread.submit(next, items, end))
            yield cast(Item, item)
    finally:
        thread.shutdown(cancel_futures=True)
        items.close()


def ready_steps(
    steps: Generator[Step, None, None],
    batch_tokens: int,
    rank: int,
    world_size: int,
    prepare: Callable[[AnyBatch], AnyBatch],
) -> Generator[Step, None, None]:
    """Yields steps with the micro-batches of a rank as tensors, made and prepared in the background.

    Args:
        steps: on each rank the same.
        batch_tokens: of a step, about.
        rank: of this process.
        world_size: ranks.
        prepare: what else is done with a micro-batch.
    """

    def prepared() -> Generator[Step, None, None]:
        with closing(steps):  # and with them the streams they are read from
            for step in steps:
                numbers = range(rank, len(step.micro_batches), world_size)
                yield ReadyStep(step, {number: prepare(step.batch(number)) for number in numbers})

    return ahead(prepared(), min(STEPS, max(2, TOKENS // batch_tokens)))
