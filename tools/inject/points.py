"""The moments between a save's operations on files, found by recording them, and how a save is killed at one."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inject.check import expect
from inject.operations import Operations
from inject.process import Say, fork, wait
from inject.saves import Saves, Scenario
from seq2seq.train.checkpoint import newest_checkpoint

CONTENT = 1000  # of what is saved; those below stand for the steps that are there already
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Point:
    """The moment before one of a save's operations.

    Attributes:
        scenario: the save.
        base: the run folder that it meets.
        number: of the operation, from 0.
        name: of the operation.
        total: number of the save's operations.
    """

    scenario: Scenario
    base: Path
    number: int
    name: str
    total: int

    def __str__(self) -> str:
        return f"{self.scenario.name}, before operation {self.number + 1} of {self.total} ({self.name})"


def find_points(saves: Saves, scenario: Scenario, folder: Path) -> list[Point]:
    """Records the operations of a save, and keeps the run folder that it meets.

    Where the scenario says that a save has been killed before, it was killed where that leaves most behind.
    """
    base = folder / scenario.name
    saves.before(scenario, base)
    names = record(saves, base, scenario)
    if scenario.killed:
        left = {}
        for number in range(len(names)):
            with fresh_copy(base) as run:
                kill_before(saves, run, scenario, CONTENT - 1, number)
                left[number] = len(list(run.rglob("*")))
        kill_before(saves, base, scenario, CONTENT - 1, max(left, key=left.__getitem__))
        newest_checkpoint(base)  # as every start does
        names = record(saves, base, scenario)
    return [Point(scenario, base, number, name, len(names)) for number, name in enumerate(names)]


def record(saves: Saves, base: Path, scenario: Scenario) -> list[str]:
    """Returns the names of the operations of a save into a copy of a run folder."""

    def save(run: Path, say: Say) -> None:
        names: list[str] = []
        Operations(run, names.append).watch()
        saves.save(run, scenario.step, CONTENT, scenario.keep)
        say(json.dumps(names).encode())

    with fresh_copy(base) as run:
        code, sent = wait(*fork(lambda say: save(run, say)))
    expect(code == 0, f"an undisturbed save ended with {code}")
    names: list[str] = json.loads(sent)
    return names


def kill_before(saves: Saves, run: Path, scenario: Scenario, content: int, number: int) -> set[int]:
    """Kills a save before one of its operations.

    Returns:
        Numbers (inodes) of the files that it had written and not yet synced.

    Raises:
        Unexpected: the save ended in another way.
    """

    def save(say: Say) -> None:
        left = number

        def before(name: str) -> None:
            nonlocal left
            if not left:
                say(json.dumps(sorted(operations.unsynced)).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        operations = Operations(run, before)
        operations.watch()
        saves.save(run, scenario.step, content, scenario.keep)

    code, sent = wait(*fork(save))
    expect(code == KILLED, f"the save ended with {code}, not by being killed")
    return set(json.loads(sent))


@contextmanager
def fresh_copy(base: Path) -> Iterator[Path]:
    """Yields a copy of a run folder for one trial."""
    run = base.with_name("run")
    shutil.copytree(base, run)
    try:
        yield run
    finally:
        shutil.rmtree(run)
