"""Systems in processes of their own that take turns.

So each has the memory to itself and nothing of what the others set up: our training tells the C library how to keep
memory, which a peer's user does not. Those whose turn it is not wait, their freed memory given back.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from bench.options import say
from seq2seq.errors import Seq2SeqError
from seq2seq.memory import release_freed_memory

PAUSE = 0.2  # seconds between turns, in which the threads of the last one fall asleep


class System(Protocol):
    """What a worker measures."""

    def turn(self) -> float:
        """Does all of the work once and returns the seconds that it took."""

    def facts(self) -> dict[str, Any]:
        """Returns what else there is to say, after the last turn."""


class AnyPlan(Protocol):
    """What each worker is told."""

    @property
    def device(self) -> str:
        """Name of the device."""

    def build(self, name: str) -> System:
        """Returns a system by its name, `family-precision`."""


class Worker:
    """A process that has one system.

    Args:
        name: of the system.
        plan: what is measured.
    """

    def __init__(self, name: str, plan: AnyPlan) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")  # a fresh interpreter
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, name, plan), daemon=True)
        self._process.start()
        theirs.close()

    def turn(self) -> float:
        """Has the system take its turn and returns the seconds that it took."""
        time.sleep(PAUSE)
        return float(self._ask("turn"))

    def facts(self) -> dict[str, Any]:
        """Returns what the system says of itself, and the peak of its memory; see `peak_memory`."""
        return dict(self._ask("facts"))

    def profile(self, n_steps: int) -> dict[str, Any]:
        """Has our system take some steps and returns where their time went."""
        return dict(self._ask("profile", n_steps))

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def _ask(self, request: str, *args: Any) -> Any:
        try:
            self._connection.send((request, *args))
            failure, reply = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            raise Seq2SeqError(f"{self.name}: its process ended with {code} (-9: no memory was left)") from None
        if failure:
            raise Seq2SeqError(f"{self.name}: {failure}")
        return reply


@contextmanager
def workers(names: Sequence[str], plan: AnyPlan) -> Iterator[list[Worker]]:
    """Yields a worker for each system and ends them when the block does."""
    started: list[Worker] = []
    try:
        for name in names:
            started.append(Worker(name, plan))
        yield started
    finally:
        for worker in started:
            worker.close()


def take_turns(all_workers: Sequence[Worker], rounds: int, told: Callable[[float], str]) -> dict[str, list[float]]:
    """Lets all systems take turns, forwards and backwards, after a turn of each that warms it up.

    Args:
        all_workers: the systems.
        rounds: turns of each.
        told: makes of the seconds of a turn what is said of it on stderr.

    Returns:
        Seconds of each round, by the name of the system.
    """
    seconds: dict[str, list[float]] = {worker.name: [] for worker in all_workers}
    for worker in all_workers:
        say(f"warming up: {worker.name} {told(worker.turn())}")
    for i in range(rounds):
        for worker in all_workers if i % 2 == 0 else all_workers[::-1]:
            taken = worker.turn()
            seconds[worker.name].append(taken)
            say(f"round {i + 1} of {rounds}: {worker.name} {told(taken)}")
    return seconds


def serve(connection: Connection, name: str, plan: AnyPlan) -> None:
    """Answers requests until the other end is closed: what is done in a worker's process."""
    try:
        system = plan.build(name)
        while True:
            request, *args = connection.recv()
            reply = getattr(system, request)(*args)
            if request == "facts":
                reply |= peak_memory(plan.device)
            release_freed_memory()
            connection.send((None, reply))
    except (EOFError, KeyboardInterrupt):
        pass
    except Exception:
        connection.send((traceback.format_exc(), None))


def peak_memory(device: str) -> dict[str, int]:
    """Returns the most memory, in bytes, that this process has had.

    On the CPU that is all that was resident at once: interpreter, libraries, batches, model, gradients, optimizer and
    what the C library keeps (VmHWM). On a GPU also what torch had allocated there.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    peak = {"peak_resident_bytes": 1024 * int(line.split()[1])}
    if device.startswith("cuda"):
        import torch

        peak["peak_device_bytes"] = torch.cuda.max_memory_allocated(device)
    return peak
