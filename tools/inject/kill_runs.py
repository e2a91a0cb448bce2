"""Runs that are killed at any moment and started again, by hand or by torchrun."""

import os
import shutil
import signal
import time
from collections.abc import Sequence
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
        moments: list[str] = []
        while not moments:  # a run that was over before it was killed says nothing
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            command = train_command(self.recipe, place / "run")
            for _ in range(random.randint(1, KILLS)):
                moment = random.uniform(0, self.seconds)
                with where(f"killed at {', '.join(moments)} and after {moment:.2f} s of about {self.seconds:.1f} s"):
                    if not self._kill(command, moment):
                        break
                moments.append(f"{moment:.2f} s")
        self.kills += len(moments)
        with where(f"killed at {', '.join(moments)} of about {self.seconds:.1f} s"):
            train_to_the_end(command, place / "run", self.folder / "log")
            expect_same(place / "run", self.undisturbed)

    def _kill(self, command: Sequence[str], moment: float) -> bool:
        """Starts the command and kills it after some seconds; returns whether it was running by then."""
        with launch(command, self.folder / "log") as running:
            time.sleep(moment)
            running.process.kill()
            code = running.wait()
            expect(code in (0, KILLED), f"it ends with {code}: {running.last_words}")
            return code == KILLED


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
                        self._kill(running, run, killed, random)
                with where(f"after {RANKED_KILLS} kills"):
                    code = running.wait()
                    expect(code == 0, f"it ends with {code}: {running.last_words}")
                    expect_same(run, self.undisturbed)
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def _kill(self, running: Launch, run: Path, gone: set[int], random: Random) -> None:
        """Kills one of the ranks that have been started since the last kill.

        Half of the kills come before training goes on, the others soon after, so that the run lasts for all of them.

        Args:
            running: the torchrun.
            run: the run folder.
            gone: processes that have been killed, or ended because of it; these ranks are added.
            random: draws the rank and the moment.
        """
        ranks: dict[int, int] = {}

        def started() -> bool:
            ranks.update({rank: pid for rank, pid in running.workers().items() if pid not in gone})
            return len(ranks) == 2

        running.wait_for("both ranks have been started again", started)
        since = time.time()
        limit = self.seconds / 2
        if random.random() < 0.5:
            running.wait_for("training goes on", lambda: logged_since(run, since))
            limit = self.seconds / (2 * RANKED_KILLS)
        time.sleep(random.uniform(0, limit))
        os.kill(ranks[random.randrange(2)], signal.SIGKILL)
        gone.update(ranks.values())


def logged_since(run: Path, moment: float) -> bool:
    """Says whether a run has logged something since a moment of the clock."""
    path = run / "metrics.jsonl"
    return path.exists() and path.stat().st_mtime > moment and path.stat().st_size > 0
