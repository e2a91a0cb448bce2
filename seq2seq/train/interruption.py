"""Signals that ask a training to save its state and leave."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType

from seq2seq.train.distributed import Ranks

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Interrupted(BaseException):  # `except Exception` must not take it for a failure
    """A signal ended the run; what there was to save is saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}; state saved, the same command goes on from here")
        self.signum = signum


class Interruption:
    """Notes a signal, for the loop to look at between two steps, or raises it at once where nothing would be lost.

    A batch system may send the same signal to torchrun and to its workers, and torchrun sends it to them again: only a
    person's second Ctrl-C, in front of a single process, ends the program without saving.

    Args:
        ranks: which all hear of a signal that one of them is sent.

    Attributes:
        signum: the first signal that has come; 0: none.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.signum = 0
        self._ranks = ranks
        self._raises = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Takes signals while the block runs."""
        handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            with self._passing_on() if self._ranks.world_size > 1 else nullcontext():
                yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @contextmanager
    def _passing_on(self) -> Iterator[None]:
        """Tells other ranks of signals that come here, and raises here those that come there.

        While a rank waits in a collective, Python calls no handler; the number of a signal comes through a pipe.
        """
        pipe = os.pipe()
        for end in pipe:
            os.set_blocking(end, False)

        def come() -> int:
            try:
                return next((number for number in os.read(pipe[0], 64) if number in SIGNALS), 0)
            except BlockingIOError:
                return 0

        before = signal.set_wakeup_fd(pipe[1], warn_on_full_buffer=False)
        self._ranks.pass_signals(come, lambda signum: os.kill(os.getpid(), signum))
        try:
            yield
        finally:
            self._ranks.pass_signals(None, None)
            signal.set_wakeup_fd(before)
            for end in pipe:
                os.close(end)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Lets a signal, also one that has come before, end the block with `Interrupted`."""
        before = self._raises
        try:
            self._raises = True
            if self.signum:
                raise Interrupted(self.signum)
            yield
        finally:
            self._raises = before

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._ranks.world_size == 1 and signum == signal.SIGINT:
            signal.signal(signum, signal.SIG_DFL)
            with suppress(OSError):  # not by the log, which may be at work just now
                os.write(sys.stderr.fileno(), b"\nstopping behind this step; Ctrl-C once more stops at once\n")
        self.signum = self.signum or signum
        if self._raises:
            self._raises = False
            raise Interrupted(signum)
