"""A rank that hangs: neither computes nor ends, as on a machine that has lost its network."""

import os
import re
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from inject.check import Check, expect, where
from inject.compare import expect_same
from inject.corpus import write_recipe
from inject.launch import Launch, launch, train_command, train_to_the_end, trained_to

TRIALS = 10
TIMEOUT = 10  # seconds without a sign of life; what is told to the command
BEGUN = "training has begun"
GRACE = 40.0  # seconds beside these; torchrun gives those that it ends 30


class HungRank(Check):
    """Stops one of two ranks with SIGSTOP."""

    name = "hung-rank"
    expected = (
        f"one of two ranks stopped for good, --rank-timeout {TIMEOUT}: all end within {TIMEOUT + GRACE:.0f} s "
        "with its number in the message; goes on to an undisturbed run's result"
    )
    planned = TRIALS

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.recipe = write_recipe(folder)
        self.undisturbed = folder / "undisturbed"
        command = self._command(self.undisturbed)
        with launch(command, folder / "log") as running:
            running.wait_for(BEGUN, lambda: trained_to(self.undisturbed, 1))
            begun = time.monotonic()
            code = running.wait()
            expect(code == 0, f"an undisturbed run ends with {code}: {running.last_words}")
            self.seconds = time.monotonic() - begun
        self.slowest = 0.0

    @property
    def note(self) -> str:
        """How long the slowest took."""
        return f"the slowest had ended after {self.slowest:.1f} s"

    def trial(self, number: int, random: Random) -> None:
        """Stops a rank while it trains, and starts the run again when all have ended."""
        run = self.folder / "run"
        rank = number % 2
        moment = random.uniform(0, 0.4 * self.seconds)  # well before its end, however fast it is
        try:
            with launch(self._command(run), self.folder / "log") as running:
                running.wait_for(BEGUN, lambda: trained_to(run, 1))
                time.sleep(moment)
                with where(f"rank {rank} stopped {moment:.2f} s behind step 1"):
                    self._stop(running, rank)
            with where(f"rank {rank} stopped {moment:.2f} s behind step 1, started again"):
                train_to_the_end(self._command(run), run, self.folder / "log")
                expect_same(run, self.undisturbed)
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def _stop(self, running: Launch, rank: int) -> None:
        """Stops a rank and waits for what comes of it."""
        pid = running.workers()[rank]
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            code = running.wait(TIMEOUT + GRACE)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.slowest = max(self.slowest, time.monotonic() - stopped)
        expect(code != 0, "it ends with 0")
        message = rf"rank {rank}: no sign of life"
        expect(re.search(message, running.said) is not None, f"nowhere {message!r}: {running.last_words}")

    def _command(self, run: Path) -> list[str]:
        return train_command(self.recipe, run, "--rank-timeout", str(TIMEOUT), ranks=2)
