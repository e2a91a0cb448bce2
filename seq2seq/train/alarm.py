"""How ranks end together when one of them has failed.

All of it has run with gloo on CPUs. Nothing has run with NCCL: that path is written for CUDA devices, not proven there.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NoReturn

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store
from tqdm import tqdm

from seq2seq.errors import Seq2SeqError, explain_error

POLL = 0.2  # seconds between two looks at what the other ranks say
HEAD_START = 2.0  # seconds that rank 0 has to speak first where all ranks fail alike
ANSWER = 2.0  # seconds within which every rank that still lives answers a roll call
PATIENCE = 10.0  # seconds within which every rank that still lives hears of a failure
BEAT = 1.0  # seconds between two signs of life of a rank
SUSPENDED = 10.0  # seconds by which a sign of life is late only in a process that does not run
FAILURE, ROLL_CALL, SIGNAL = "failure", "roll call", "signal"  # keys in the store


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

    The same threads give signs of life, so that a rank that hangs is noticed, and pass on signals: a rank that waits in
    a collective cannot tell the others what it was asked for.

    Args:
        store: of keys and values, seen by all ranks, over a connection that nothing else keeps busy.
        rank: of this process.
        world_size: number of processes.
        timeout: seconds without a sign of life after which a rank counts as failed.

    Attributes:
        on_failure: what rank 0 does with message and exit code, besides printing, when another rank has failed.
    """

    def __init__(self, store: Store, rank: int, world_size: int, timeout: float) -> None:
        self.rank = rank
        self.others = [other for other in range(world_size) if other != rank]
        self.on_failure: Callable[[str, int], None] = lambda message, exit_code: None
        self._signals: tuple[Callable[[], int], Callable[[int], None]] | None = None
        self._listening = Lock()
        self._store = store
        self._timeout = timeout
        self._stopping = False
        self._beats = 0
        self._next_beat = 0.0
        self._seen: dict[int, tuple[bytes, float]] = {}  # by rank its newest sign of life, and when it was new
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

    def listen(self, signals: tuple[Callable[[], int], Callable[[int], None]] | None) -> None:
        """Has all ranks hear of a signal that one of them was sent; see `Ranks.pass_signals`."""
        with self._listening:
            with suppress(dist.DistError):
                self._pass_signals_on()  # what has just come
            self._signals = signals

    def close(self) -> None:
        """Ends the watch: this rank leaves, and nobody need wait for it."""
        self._closing.set()
        self._watcher.join()
        self._store.set(f"gone {self.rank}", "")

    def _describe(self, error: BaseException) -> Failure:
        """Returns a failure as a user is to see it; exit code 1 is a bug's."""
        if isinstance(error, LostRankError):
            return Failure(self.rank, str(error), error.exit_code)
        explained = explain_error(error)
        if explained is None:
            return Failure(self.rank, f"rank {self.rank} failed: {type(error).__name__}: {error}", 1)
        message, code = explained
        return Failure(self.rank, f"rank {self.rank}: {message}", code)

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
                with self._listening:
                    self._pass_signals_on()
                failed = self._store.check([FAILURE])
                hung = None if failed else self._hung()
            except dist.DistError:  # its keeper has been killed, and nobody is left to end the ranks
                self._leave(Failure(self.rank, "the ranks have lost torchrun; was it killed?", 2))
            if hung is not None:
                message = f"rank {hung}: no sign of life for {self._timeout:.0f} s; is it stopped, or its machine gone?"
                mine = json.dumps(astuple(Failure(self.rank, message, 2)))
                failed = True
                if self._store.compare_set(FAILURE, "", mine) == mine.encode():
                    self._leave(Failure(self.rank, message, 2), speaker=True)
            if failed:
                failure = Failure(*json.loads(self._store.get(FAILURE)))
                if failure.rank == self.rank:
                    return
                self._leave(failure)

    def _pass_signals_on(self) -> None:
        """Tells the others of a signal that this rank was sent, and hears of theirs."""
        if self._signals is None:
            return
        come, act = self._signals
        if signum := come():
            self._store.compare_set(SIGNAL, "", str(signum))
        if not self._stopping and self._store.check([SIGNAL]):
            self._stopping = True
            act(int(self._store.get(SIGNAL)))

    def _hung(self) -> int | None:
        """Gives a sign of life now and then, and returns a rank that has given none for too long.

        Rank 0 watches all others, and they watch it.
        """
        now = time.monotonic()
        if now < self._next_beat:
            return None
        if now > self._next_beat + SUSPENDED:  # this process was stopped itself, and perhaps all were
            self._seen.clear()
        self._next_beat, self._beats = now + BEAT, self._beats + 1
        self._store.set(f"beat {self.rank}", str(self._beats))
        for other in [0] if self.rank else self.others:
            if not self._store.check([f"beat {other}"]) or self._store.check([f"gone {other}"]):
                continue  # not there yet, or no more
            beat = self._store.get(f"beat {other}")
            if beat != self._seen.get(other, (b"", 0.0))[0]:
                self._seen[other] = beat, now
            elif now - self._seen[other][1] > self._timeout:
                return other
        return None

    def _leave(self, failure: Failure, speaker: bool = False) -> NoReturn:
        """Ends this process for the failure of another; rank 0, or who has noticed that it hangs, speaks for all."""
        speaker = speaker or self.rank == 0
        try:
            if speaker:
                _say(failure)
            with suppress(OSError):  # a full disk must not keep the others waiting
                if speaker:
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


def _say(failure: Failure) -> None:
    tqdm.write(f"error: {failure.message}", file=sys.stderr)  # above a progress bar, if there is one
    sys.stderr.flush()
