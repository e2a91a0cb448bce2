"""Ranks: what the loop asks about the other processes of a training, one or many, and how they end together.

All of it has run with gloo on CPUs. Nothing has run with NCCL: that path is written for CUDA devices, not proven there.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from tqdm import tqdm

from seq2seq.errors import Seq2SeqError
from seq2seq.model.device import choose_device

POLL = 0.2  # seconds between two looks at what the other ranks say
HEAD_START = 2.0  # seconds that rank 0 has to speak first where all ranks fail alike
ANSWER = 2.0  # seconds within which every rank that still lives answers a roll call
PATIENCE = 10.0  # seconds within which every rank that still lives hears of a failure
FAILURE, ROLL_CALL = "failure", "roll call"  # keys in the store


class LostRankError(Seq2SeqError):
    """A rank has ended without saying why."""


@dataclass(frozen=True)
class Failure:
    """What all ranks end for: the rank that failed, its message for the user, and its exit code."""

    rank: int
    message: str
    exit_code: int


class Alarm:
    """Ends all ranks when one has failed, wherever the others are, with one message: that of the one that failed.

    A collective cannot be woken when a rank that it waits for has gone (gloo notices, NCCL may wait for hours), so a
    thread of each rank watches the store for a failure and ends its process. torchrun keeps the store, so it outlives
    the ranks. The one who fails leaves last: torchrun kills all as soon as one has left, and rank 0, which speaks and
    writes for all, must have done so by then.

    Args:
        store: of keys and values, seen by all ranks, over a connection that nothing else keeps busy.
        rank: of this process.
        world_size: number of processes.

    Attributes:
        on_failure: what rank 0 does with message and exit code, besides printing, when another rank has failed.
    """

    def __init__(self, store: Store, rank: int, world_size: int) -> None:
        self.rank = rank
        self.others = [other for other in range(world_size) if other != rank]
        self.on_failure: Callable[[str, int], None] = lambda message, exit_code: None
        self._store = store
        self._closing = Event()
        self._watcher = Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def sound(self, error: BaseException) -> SystemExit:
        """Tells all ranks that this one has failed, and returns what it is to leave with when they know."""
        failure = self._describe(error)
        if self.rank:
            self._heard([FAILURE], HEAD_START)
        mine = json.dumps(astuple(failure))
        if self._store.compare_set(FAILURE, "", mine) != mine.encode():
            self._watcher.join()  # another was first: this process ends as the others do
        if failure.exit_code == 1:
            traceback.print_exception(error)
        if not self.rank:
            _say(failure)
        with suppress(OSError):
            self._tell_torchrun(failure)
        self._heard([f"gone {other}" for other in self.others], PATIENCE)
        if self.rank and not self._store.check(["gone 0"]):
            _say(failure)
        return SystemExit(failure.exit_code)

    def lost(self, error: RuntimeError) -> BaseException:
        """Finds out who has left where a collective has failed with `error`, and returns what is to be raised."""
        self._store.set(ROLL_CALL, "")
        time.sleep(ANSWER)
        silent = [other for other in self.others if not self._store.check([f"here {other}"])]
        if any(self._store.check([f"gone {other}"]) for other in silent):
            return SystemExit(0)  # it was told to stop while the others were waiting for it, and has saved all
        if not silent:
            return error
        self.others = [other for other in self.others if other not in silent]
        return LostRankError(f"rank {silent[0]}: ended without a message; was it killed, or out of memory?")

    def close(self) -> None:
        """Ends the watch: this rank leaves, and nobody need wait for it."""
        self._closing.set()
        self._watcher.join()
        self._store.set(f"gone {self.rank}", "")

    def _describe(self, error: BaseException) -> Failure:
        """Returns a failure as a user is to see it; exit code 1 is a bug's."""
        me, text = f"rank {self.rank}", str(error).partition("\n")[0]
        match error:
            case LostRankError():
                message, code = str(error), error.exit_code
            case Seq2SeqError():
                message, code = f"{me}: {error}", error.exit_code
            case KeyboardInterrupt():
                message, code = f"{me}: stopped by Ctrl-C", 130
            case _ if _is_out_of_memory(error):
                message, code = f"{me}: out of memory; lower train.device_tokens ({text})", 2
            case OSError(filename=file, strerror=reason) if file:
                message, code = f"{me}: {file}: {reason}", 2
            case OSError():
                message, code = f"{me}: {text}", 2
            case _:
                message, code = f"{me} failed: {type(error).__name__}: {text}", 1
        return Failure(self.rank, message, code)

    def _heard(self, keys: list[str], seconds: float) -> None:
        """Returns when all keys are in the store, or after some seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._store.check(keys):
            time.sleep(POLL / 2)

    def _watch(self) -> None:
        """Waits for another rank's failure, and answers the roll calls of those who miss somebody."""
        while not self._closing.wait(POLL):
            try:
                if self._store.check([ROLL_CALL]):
                    self._store.set(f"here {self.rank}", "")
                failed = self._store.check([FAILURE])
            except dist.DistError:  # its keeper has been killed, and nobody is left to end the ranks
                self._leave(Failure(self.rank, "the ranks have lost torchrun; was it killed?", 2))
            if failed:
                failure = Failure(*json.loads(self._store.get(FAILURE)))
                if failure.rank == self.rank:
                    return
                self._leave(failure)

    def _leave(self, failure: Failure) -> NoReturn:
        """Ends this process for the failure of another."""
        try:
            if self.rank == 0:
                _say(failure)
            with suppress(OSError):  # a full disk must not keep the others waiting
                if self.rank == 0:
                    self.on_failure(failure.message, failure.exit_code)
                self._tell_torchrun(failure)
            self._store.set(f"gone {self.rank}", "")
        finally:
            os._exit(failure.exit_code)  # the main thread may be in a collective, which nothing can wake

    def _tell_torchrun(self, failure: Failure) -> None:
        """Leaves the message where torchrun looks for it: its own report, the last thing on the screen, then has it."""
        stamp = int(time.time()) + (failure.rank != self.rank)  # whole seconds; the earliest is blamed
        message = {"message": failure.message, "extraInfo": {"timestamp": str(stamp)}}
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps({"message": message}), encoding="utf-8")


def _is_out_of_memory(error: BaseException) -> bool:
    """Says whether a computation found no memory: torch has a class for CUDA and a plain RuntimeError for the CPU."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


def _say(failure: Failure) -> None:
    tqdm.write(f"error: {failure.message}", file=sys.stderr)  # above a progress bar, if there is one
    sys.stderr.flush()


class Ranks:
    """The processes that train together; with one process every method is trivial.

    Attributes:
        rank: of this process, from 0.
        world_size: number of processes.
        device: what this process computes on.
    """

    def __init__(self, device: torch.device, rank: int = 0, world_size: int = 1, alarm: Alarm | None = None) -> None:
        self.device = device
        self.rank = rank
        self.world_size = world_size
        self._alarm = alarm

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def on_failure(self, act: Callable[[str, int], None]) -> None:
        """Has rank 0 call `act` with message and exit code when another rank has failed, just before it ends itself."""
        if self._alarm:
            self._alarm.on_failure = act

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces float tensors by their sums over all ranks, in one message."""
        if self.world_size > 1:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            self._reduce(flat, dist.ReduceOp.SUM)
            for tensor, summed in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
                tensor.copy_(summed.view_as(tensor))

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        self.largest(0)

    def largest(self, flag: int) -> int:
        """Returns the largest flag of all ranks."""
        if self.world_size > 1:
            box = torch.tensor(int(flag), device=self.device)
            self._reduce(box, dist.ReduceOp.MAX)
            flag = int(box)
        return flag

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Lets rank 0 run the block before the others do: what it leaves on disk they find."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def _reduce(self, tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> None:
        try:
            dist.all_reduce(tensor, operation)
        except RuntimeError as error:
            raise (self._alarm.lost(error) if self._alarm else error) from None


@contextmanager
def join_ranks(device: str = "auto") -> Iterator[Ranks]:
    """Joins the processes that torchrun started, if it did, and leaves them at the end of the block.

    When the block fails on one of several ranks, it prints its message, and all of them exit.

    Args:
        device: `auto`, `cpu`, `cuda` ...; with several ranks on CUDA each takes the device of its local rank.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield Ranks(choose_device(device))
        return
    # The others wait while rank 0 tokenises a large corpus or translates a validation set.
    timeout = timedelta(hours=4)
    store, rank, world_size = next(rendezvous("env://"))
    alarm = Alarm(PrefixStore(f"alarm {os.environ['TORCHELASTIC_RESTART_COUNT']}", store), rank, world_size)
    try:
        if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
            device = f"cuda:{os.environ['LOCAL_RANK']}"
        chosen = choose_device(device)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timeout)
        yield Ranks(chosen, rank, world_size, alarm)
        dist.destroy_process_group()
    except (Exception, KeyboardInterrupt) as error:
        raise alarm.sound(error) from None
    finally:
        alarm.close()
