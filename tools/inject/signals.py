"""Runs that are asked to stop while they train, validate or save."""

import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from inject.check import Check, expect, where
from inject.compare import events, expect_same
from inject.corpus import write_recipe
from inject.launch import Launch, launch, train_command, train_to_the_end, trained_to
from seq2seq.model.folder import checkpoint_folders
from seq2seq.train.monitor import read_status

LAUNCHES, RANKED_LAUNCHES = 30, 20
GRACE = 5.0  # seconds beside those of a step and a save


@dataclass(frozen=True)
class Aim:
    """What a signal is to meet.

    Attributes:
        what: for the reports.
        train: keys of the recipe under which the run spends most of its time there.
        valid: pairs to validate with.
        behind: a step; the signal comes once it has been logged.
    """

    what: str
    train: dict[str, Any]
    valid: int
    behind: int

    @property
    def reached(self) -> str:
        """What has to happen before a signal meets it."""
        return f"step {self.behind} is logged"


AIMS = (
    Aim("training", {}, 12, 1),
    Aim("validation", {"max_steps": 8, "validate_every": 4, "checkpoint_every": 3, "average_last": 0}, 8000, 4),
    Aim("saving", {"max_steps": 40, "validate_every": 20, "checkpoint_every": 1}, 12, 1),
)


class SigTerm(Check):
    """Sends SIGTERM to the command at random moments after training began."""

    name = "sigterm"
    expected = (
        "SIGTERM while it trains, validates or saves: stops within a step, a save and "
        f"{GRACE:.0f} s, with code 143 and a checkpoint of its step; goes on to an undisturbed run's result"
    )
    planned = LAUNCHES
    ranks: ClassVar[int] = 1

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.runs = [Undisturbed(folder / aim.what, aim, self.ranks) for aim in AIMS]
        self.slowest = 0.0

    @property
    def note(self) -> str:
        """How long the slowest took."""
        return f"the slowest had ended after {self.slowest:.1f} s"

    def trial(self, number: int, random: Random) -> None:
        """Stops a run and starts it again."""
        run = self.runs[number % len(self.runs)]
        span = run.span
        while self._stop(run, random, random.uniform(0, span)):
            span /= 2  # it had finished before

    def _stop(self, undisturbed: "Undisturbed", random: Random, moment: float) -> bool:
        """Stops a run at a moment, seconds from where the aim is reached; returns whether it was over by then."""
        run = undisturbed.folder / "stopped"
        command = undisturbed.command(run)
        log = self.folder / "log"
        try:
            with launch(command, log) as running:
                running.wait_for(undisturbed.aim.reached, lambda: trained_to(run, undisturbed.aim.behind))
                time.sleep(moment)
                place = f"{undisturbed.aim.what}, {moment:.2f} s behind step {undisturbed.aim.behind}"
                sent = time.monotonic()
                with where(f"{place}, {self.send(running, random)}"):
                    code = running.wait()
                    taken = time.monotonic() - sent
                    if read_status(run).get("state") == "finished":
                        return True
                    self._expect_stopped(run, running, code)
                    self.slowest = max(self.slowest, taken)
                    allowed = undisturbed.step_and_save + GRACE
                    expect(taken <= allowed, f"it has ended after {taken:.1f} s, not within {allowed:.1f} s")
                with where(f"{place}, started again"):
                    train_to_the_end(command, run, log)
                    expect_same(run, undisturbed.run)
            return False
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def send(self, running: Launch, random: Random) -> str:
        """Sends the signal and returns to whom."""
        with suppress(ProcessLookupError):
            os.kill(running.process.pid, signal.SIGTERM)
        return "to the command"

    def expect_code(self, running: Launch, code: int) -> None:
        """Checks with which code the command ended."""
        expect(code == 128 + signal.SIGTERM, f"it ends with {code}: {running.last_words}")

    def _expect_stopped(self, run: Path, running: Launch, code: int) -> None:
        status = read_status(run)
        expect(status.get("state") == "interrupted", f"status.json says {status}: {running.last_words}")
        self.expect_code(running, code)
        newest = [folder.name for folder in checkpoint_folders(run)][-1:]
        step = f"step-{status['step']:08d}"
        expect(newest == [step], f"stopped at {step}, the newest checkpoint is {newest}")


class SigTermRanks(SigTerm):
    """Sends SIGTERM to torchrun or to one of its two ranks."""

    name = "sigterm-ranks"
    expected = "the same with two ranks, SIGTERM to torchrun or to one of them: all end, status.json says interrupted"
    planned = RANKED_LAUNCHES
    ranks = 2

    def send(self, running: Launch, random: Random) -> str:
        """Sends the signal to one of the three processes and returns to which."""
        whom = random.choice(["torchrun", "rank 0", "rank 1"])
        workers = running.workers()
        pid = running.process.pid if whom == "torchrun" else workers.get(int(whom[-1]))
        if pid is not None:  # a run that is over has no ranks
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self._whom, self._workers = whom, workers
        return f"to {whom}"

    def expect_code(self, running: Launch, code: int) -> None:
        """Checks the code of torchrun: one that has been told to stop itself always ends with 1."""
        allowed = (0, 1) if self._whom == "torchrun" else (0,)
        expect(code in allowed, f"torchrun ends with {code}: {running.last_words}")
        left = [rank for rank, pid in self._workers.items() if Path(f"/proc/{pid}").exists()]
        expect(not left, f"torchrun has ended, ranks {left} have not")


class Undisturbed:
    """A run that nobody stops, and how long what it does takes.

    Args:
        folder: for it, its corpus, and others like it.
        aim: what it spends its time with.
        ranks: processes that train together.

    Attributes:
        run: its folder.
        step_and_save: seconds of the longest step with all that comes behind it but validation.
        span: seconds from where the aim is reached, in which a signal meets it.
    """

    def __init__(self, folder: Path, aim: Aim, ranks: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.aim = aim
        self._ranks = ranks
        self._recipe = write_recipe(folder, aim.valid, train=aim.train)
        self.run = folder / "undisturbed"
        with launch(self.command(self.run), folder / "log") as running:
            running.wait_for(aim.reached, lambda: trained_to(self.run, aim.behind))
            begun = time.monotonic()
            code = running.wait()
            expect(code == 0, f"an undisturbed run ends with {code}: {running.last_words}")
            self.span = time.monotonic() - begun
        found = events(self.run)
        validated = {event["step"]: event["valid/seconds"] for event in found if "valid/seconds" in event}
        if aim.behind in validated:
            self.span = validated[aim.behind]
        trained = [event for event in found if "train/loss" in event]
        pairs = pairwise(trained)
        # An event tells when its step began.
        self.step_and_save = max(
            later["seconds"] - one["seconds"] for one, later in pairs if one["step"] not in validated
        )

    def command(self, run: Path) -> list[str]:
        """Returns the command that trains a run of the same recipe; all share a prepared corpus."""
        return train_command(self._recipe, run, ranks=self._ranks)
