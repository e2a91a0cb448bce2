"""Steps prepared in the background, so that training never waits for text to be read and cut."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

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


class Ahead(Iterator[Item]):
    """Yields what a generator yields, taken from it by a thread that is up to `size` items ahead.

    An error of the generator is raised where its item would have come. An exception that a signal raises while an item
    is waited for loses nothing: the item is still to come.
    """

    def __init__(self, items: Generator[Item, None, None], size: int) -> None:
        self._items = items
        self._ready: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
        self._room = Semaphore(size)
        self._closed = False
        self._thread = Thread(target=self._fill, name="ahead", daemon=True)
        self._thread.start()

    def __next__(self) -> Item:
        found = self._ready.get()
        if isinstance(found, tuple):
            self._room.release()
            return found[0]
        self._ready.put(None)  # nothing more comes
        if found is None:
            raise StopIteration
        raise found

    def close(self, patience: float | None = None) -> None:
        """Ends the thread, which closes the generator, with whatever that holds open.

        Args:
            patience: seconds after which a generator that does not come to its next item is left to itself; None: it
                is waited for.
        """
        self._closed = True
        self._room.release()
        self._thread.join(patience)

    def _fill(self) -> None:
        end: BaseException | None = None
        try:
            with closing(self._items):
                while self._room.acquire() and not self._closed:
                    self._ready.put((next(self._items),))
        except StopIteration:
            pass
        except BaseException as error:
            end = error
        self._ready.put(end)


def own_micro_batches(step: Step, rank: int, world_size: int) -> Sequence[int]:
    """Returns the numbers of the micro-batches of a step that are a rank's."""
    return range(rank, len(step.micro_batches), world_size)


def ready_steps(
    steps: Generator[Step, None, None],
    batch_tokens: int,
    rank: int,
    world_size: int,
    prepare: Callable[[AnyBatch], AnyBatch],
) -> Ahead[Step]:
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
                numbers = own_micro_batches(step, rank, world_size)
                yield ReadyStep(step, {number: prepare(step.batch(number)) for number in numbers})

    return Ahead(prepared(), min(STEPS, max(2, TOKENS // batch_tokens)))
