"""Saves that are killed: before each of their operations on files, with torn files, and at random moments."""

import os
import signal
import time
from pathlib import Path
from random import Random
from statistics import median

from inject.check import Check, expect, where
from inject.points import CONTENT, KILLED, find_points, fresh_copy, kill_before
from inject.process import Say, fork, wait
from inject.saves import SCENARIOS, Saves, Scenario
from seq2seq.train.checkpoint import newest_checkpoint

ROUNDS = 20  # kills at each operation
MOMENTS = 1000  # kills at random moments


class KillSavePoints(Check):
    """Kills a save before each of its operations on files."""

    name = "kill-save-points"
    expected = (
        "a save killed before each of its file operations: old or new checkpoint, bit for bit; the next save works"
    )

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.saves = Saves(folder / "saves")
        self.points = [point for scenario in SCENARIOS for point in find_points(self.saves, scenario, folder)]
        self.planned = ROUNDS * len(self.points)
        self.littered = 0

    def trial(self, number: int, random: Random) -> None:
        """Kills at one point, in this round with this round's content."""
        point = self.points[number % len(self.points)]
        content = CONTENT + number // len(self.points)
        with where(str(point)), fresh_copy(point.base) as run:
            unsynced = kill_before(self.saves, run, point.scenario, content, point.number)
            self.damage(run, unsynced, random)
            self.saves.expect_whole(run, point.scenario, content)
            self.littered += not self.saves.expect_saving_works(run, point.scenario, content)

    @property
    def note(self) -> str:
        """How many operations there are, and whether something is left for the user to delete."""
        points = f"{len(self.points)} operations in {len(SCENARIOS)} kinds of saves, {ROUNDS} times each"
        return f"{points}{litter(self.littered)}"

    def damage(self, run: Path, unsynced: set[int], random: Random) -> None:
        """Does to the files what else the fault brings: a kill nothing."""


class TornSave(KillSavePoints):
    """Kills a save before each of its operations, and takes from the disk what need not have reached it."""

    name = "torn-save"
    expected = "the same, and every file not yet synced is cut at a random length, as by a power failure"

    def damage(self, run: Path, unsynced: set[int], random: Random) -> None:
        """Cuts every file that may not have reached the disk, wherever it lies now."""
        for path in sorted(run.rglob("*")):
            size = path.stat().st_size
            if path.is_file() and path.stat().st_ino in unsynced and size:
                os.truncate(path, random.randrange(size))


class KillSaveRandom(Check):
    """Kills saves at random moments."""

    name = "kill-save-random"
    expected = "a save killed at a random moment, perhaps twice or three times: the same"
    planned = MOMENTS

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.saves = Saves(folder / "saves")
        self.seconds: dict[str, float] = {}
        for scenario in SCENARIOS:
            self.saves.before(scenario, folder / scenario.name)
            self.seconds[scenario.name] = median(self._undisturbed(scenario) for _ in range(9))
        self.littered = 0

    def trial(self, number: int, random: Random) -> None:
        """Kills a save, and after that, without a look at the folder, perhaps a second and a third one."""
        scenario = SCENARIOS[number % len(SCENARIOS)]
        with fresh_copy(self.folder / scenario.name) as run:
            moments = []
            for _ in range(random.randint(1, 3)):
                newest_checkpoint(run)  # as every start does
                moments.append(self._kill(run, scenario, random))
            told = ", then ".join(f"{1000 * moment:.2f} ms" for moment in moments)
            with where(f"{scenario.name}, killed after {told} of about {1000 * self.seconds[scenario.name]:.0f} ms"):
                self.saves.expect_whole(run, scenario, CONTENT)
                self.littered += not self.saves.expect_saving_works(run, scenario, CONTENT)

    @property
    def note(self) -> str:
        """How long the saves are, and whether something is left for the user to delete."""
        seconds = self.seconds.values()
        return f"a save takes {1000 * min(seconds):.0f} to {1000 * max(seconds):.0f} ms{litter(self.littered)}"

    def _kill(self, run: Path, scenario: Scenario, random: Random) -> float:
        """Kills a save at a random moment and returns that moment, in seconds from its beginning."""
        limit = self.seconds[scenario.name]
        while True:
            moment = random.uniform(0, limit)
            pid, reading = fork(lambda say: self._save(run, scenario, say))
            os.read(reading, 1)
            time.sleep(moment)
            os.kill(pid, signal.SIGKILL)
            code, _ = wait(pid, reading)
            if code == KILLED:
                return moment
            expect(code == 0, f"the save ended with {code} before it was killed")
            limit *= 0.8  # it had ended already

    def _save(self, run: Path, scenario: Scenario, say: Say) -> None:
        say(b"!")
        started = time.perf_counter()
        self.saves.save(run, scenario.step, CONTENT, scenario.keep)
        say(str(time.perf_counter() - started).encode())

    def _undisturbed(self, scenario: Scenario) -> float:
        """Returns the seconds that a save takes when nobody kills it."""
        with fresh_copy(self.folder / scenario.name) as run:
            pid, reading = fork(lambda say: self._save(run, scenario, say))
            code, sent = wait(pid, reading)
            expect(code == 0, f"an undisturbed save ended with {code}")
            return float(sent[1:])


def litter(trials: int) -> str:
    """Returns what there is to say of folders that nobody reads and nobody deletes."""
    return f"; in {trials:,} trials hidden folders stayed behind" if trials else ""
