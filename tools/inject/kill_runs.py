"""Runs that are killed at any moment and started again, by hand or by torchrun."""

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from inject.check import Check, expect, where
from inject.compare import expect_same
from inject.corpus import write_recipe
from inject.launch import Launch, launch, train_command, train_to_the_end

KILLED = -signal.SIGKILL
RUNS = 50
KILLS = 3  # of a run at most
RANKED_RUNS = 2
RANKED_KILLS = 10  # of each of these runs


class KillRun(Check):
    """Kills the command at random moments between its start and its end, and starts it again."""

    name = "kill-run"
    expected = "a run killed at random moments: the same command goes on, and gives what an undisturbed run gives"
    planned = RUNS

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.recipe = write_recipe(folder)
        self.undisturbed = folder / "undisturbed/run"
        self.undisturbed.parent.mkdir()
        command = train_command(self.recipe, self.undisturbed)
        self.seconds = train_to_the_end(command, self.undisturbed, folder / "log")
        self.kills = 0

    @property
    def note(self) -> str:
        """How often runs were killed."""
        return f"{self.kills} kills; an undisturbed run takes {self.seconds:.0f} s"

    def trial(self, number: int, random: Random) -> None:
        """Kills a run one to three times; its corpus is prepared anew too."""
        place = self.folder / "trial"
        place.mkdir()
        run = place / "run"
        command = train_command(self.recipe, run)
        moments: list[str] = []
        try:
            for _ in range(random.randint(1, KILLS)):
                with launch(command, self.folder / "log") as running:
                    moment = random.uniform(0, self.seconds)
                    time.sleep(moment)
                    running.process.kill()
                    code = running.wait()
                    moments.append(f"{moment:.2f} s")
                    self.kills += code == KILLED
                    with where(f"started again after kills at {', '.join(moments)}"):
                        expect(code in (0, KILLED), f"it ends with {code}: {running.last_words}")
                if code == 0:
                    break
            with where(f"after kills at {', '.join(moments)} of about {self.seconds:.1f} s"):
                train_to_the_end(command, run, self.folder / "log")
                expect_same(run, self.undisturbed)
        finally:
            shutil.rmtree(place)


class KillRank(Check):
    """Kills one of two ranks again and again, while torchrun starts both again."""

    name = "kill-rank"
    expected = (
        f"one of two ranks killed {RANKED_KILLS} times, and started again by torchrun: an undisturbed run's result"
    )
    planned = RANKED_RUNS

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.recipe = write_recipe(folder)
        self.undisturbed = folder / "undisturbed"
        command = train_command(self.recipe, self.undisturbed, ranks=2)
        self.seconds = train_to_the_end(command, self.undisturbed, folder / "log")

    def trial(self, number: int, random: Random) -> None:
        """Kills ranks of one run until no kill is left."""
        run = self.folder / "run"
        command = train_command(self.recipe, run, ranks=2, restarts=RANKED_KILLS)
        try:
            with launch(command, self.folder / "log") as running:
                killed: set[int] = set()
                for i in range(RANKED_KILLS):
                    with where(f"kill {i + 1}"):
                        killed |= self._kill(running, run, killed, random)
                with where(f"after {RANKED_KILLS} kills"):
                    code = running.wait()
                    expect(code == 0, f"it ends with {code}: {running.last_words}")
                    expect_same(run, self.undisturbed)
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def _kill(self, running: Launch, run: Path, before: set[int], random: Random) -> set[int]:
        """Kills one of the ranks that have been started since, and returns the numbers of their processes.

        Half of the kills come before training goes on, the others soon after, so that the run lasts for all of them.
        """
        alive = running.wait_for(lambda: len(set(running.workers().values()) - before) == 2)
        expect(alive, f"not started again: {running.last_words}")
        workers = {rank: pid for rank, pid in running.workers().items() if pid not in before}
        started = time.time()
        share = self.seconds / (2 * RANKED_KILLS)
        if random.random() < 0.5:
            running.wait_for(lambda: logged_since(run, started))
        else:
            share = self.seconds / 2
        time.sleep(random.uniform(0, share))
        with suppress(ProcessLookupError):
            os.kill(workers[random.randrange(2)], signal.SIGKILL)
        return set(workers.values())


def logged_since(run: Path, moment: float) -> bool:
    """Says whether a run has logged something since a moment of the clock."""
    path = run / "metrics.jsonl"
    return path.exists() and path.stat().st_mtime > moment and path.stat().st_size > 0
