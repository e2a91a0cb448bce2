"""Full disks: a limit to the size of files, and where one can be mounted a small file system that is full."""

import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from random import Random

from inject.check import Check, describe, expect, where
from inject.compare import expect_same, warnings_of_program
from inject.corpus import write_recipe
from inject.launch import launch, limit_files, train_command, train_to_the_end
from inject.operations import Operations
from inject.points import CONTENT, Point, find_points, fresh_copy
from inject.process import Say, fork, wait
from inject.saves import SCENARIOS, Saves, Scenario
from seq2seq.errors import explain_error
from seq2seq.model.folder import checkpoint_folders
from seq2seq.train.checkpoint import newest_checkpoint
from seq2seq.train.monitor import read_status

LIMITED, MOUNTED, LAUNCHED = 60, 60, 4  # trials of each kind
NEW_NAMESPACES = 0x00020000 | 0x10000000  # CLONE_NEWNS, CLONE_NEWUSER
PAGE = resource.getpagesize()
ROOM = 1 << 20  # bytes of the small file system
STEPS = 40
SHORT = {"max_steps": STEPS, "validate_every": STEPS // 4, "checkpoint_every": STEPS // 4}
WIDE = {"d_model": 64, "d_feedforward": 128}  # weights larger than all else that a run writes


class DiskFull(Check):
    """Takes the room on the disk from a save, and from a run."""

    name = "disk-full"
    expected = "a save without room: the error names the path, nothing temporary is left, the old checkpoint is whole"

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.saves = Saves(folder / "saves")
        scenarios = [scenario for scenario in SCENARIOS if not scenario.killed]
        self.points = [find_points(self.saves, scenario, folder) for scenario in scenarios]
        self.mounted = MOUNTED if can_mount(folder) else 0
        self.planned = LIMITED + self.mounted + LAUNCHED

    @property
    def note(self) -> str:
        """How the disk was full."""
        mounted = f"{self.mounted} on a full file system" if self.mounted else "none on a full one: not permitted here"
        return f"{LIMITED} saves in which files cannot grow, {mounted}, {LAUNCHED} launches of the command"

    def trial(self, number: int, random: Random) -> None:
        """Saves, or launches the command, without room."""
        if number >= LIMITED + self.mounted:
            self._launch(random)
            return
        points = self.points[number % len(self.points)]
        if number < LIMITED:
            self.save_without_growth(random.choice(points))
        else:
            self.save_on_full_disk(points[0], random)

    def save_without_growth(self, point: Point) -> None:
        """Saves while no file can grow from a point on.

        Raises:
            Unexpected: what is on the disk, or what is said, is not as it has to be.
        """
        with where(f"no more room: {point}"), fresh_copy(point.base) as run:
            self._in_child(lambda: self._save_without_room(point.scenario, run, limited(run, point.number)))

    def save_on_full_disk(self, point: Point, random: Random) -> None:
        """Saves on a file system where not all of it finds room.

        Raises:
            Unexpected: as above.
        """
        with fresh_copy(point.base) as run:
            self.saves.save(run, point.scenario.step, CONTENT)
            needed = sum(-(-size // PAGE) for size in file_sizes(run / point.scenario.place))
        free = PAGE * random.randrange(needed)
        with where(f"{point.scenario.name}, {free:,} bytes free"):
            self._in_child(lambda: self._mount_and_save(point, free))

    def _mount_and_save(self, point: Point, free: int) -> None:
        """Saves on a file system of its own, which ends with this process."""
        mount(self.folder / "small")
        run = self.folder / "small/run"
        shutil.copytree(point.base, run)
        self._save_without_room(point.scenario, run, filled(run.parent, free))

    def _save_without_room(self, scenario: Scenario, run: Path, full: AbstractContextManager[None]) -> None:
        """Saves without room, or with enough of it, and then with all.

        Raises:
            Unexpected: what is on the disk, or what is said, is not as it has to be.
        """
        told = None
        with full:
            try:
                self.saves.save(run, scenario.step, CONTENT, scenario.keep)
            except OSError as error:
                told, _ = explain_error(error) or ("nothing", 0)
                left = [path.name for path in (*run.glob(".*.tmp"), *run.glob("checkpoints/.*.tmp"))]
                expect(not left, f"{left} stayed behind")
        if told is None:
            self.saves.expect_saved(run, scenario, CONTENT)
        self.saves.expect_whole(run, scenario, CONTENT)
        self.saves.expect_saving_works(run, scenario, CONTENT)
        expect(told is None or str(run) in told, f"the error names no path: {told}")

    def _in_child(self, act: Callable[[], None]) -> None:
        """Does a trial in a process that may lose its room.

        Raises:
            Unexpected: what was raised there.
        """

        def attempt(say: Say) -> None:
            try:
                act()
            except Exception as error:
                say(describe(error).encode())

        code, sent = wait(*fork(attempt))
        expect(not sent, sent.decode())
        expect(code == 0, f"the process ended with {code}")

    def _launch(self, random: Random) -> None:
        """Lets a run go on without room for its checkpoints, and then with it."""
        halves = self.halves
        limit = random.randrange(halves.largest // 2, halves.largest)
        with where(f"the command, files of {limit:,} bytes at most"), fresh_copy(halves.first) as run:
            (newest,) = checkpoint_folders(run)[-1:]
            with launch(halves.going_on(run), self.folder / "log", file_size=limit) as running:
                code = running.wait()
                expect(code == 2, f"it ends with {code}: {running.last_words}")
                expect(str(run) in running.last_words, f"the error names no path: {running.last_words}")
            status = read_status(run)
            expect(status.get("state") == "failed", f"status.json says {status}")
            with warnings_of_program() as warnings:
                found = newest_checkpoint(run)
            expect(found is not None and found.folder == newest, "the old checkpoint is gone")
            expect(not warnings, f"a warning: {warnings[:1]}")
            expect(not list(run.glob("checkpoints/.*.tmp")), "a temporary folder stayed behind")
            train_to_the_end(halves.going_on(run), run, self.folder / "log")
            expect_same(run, halves.whole)

    @cached_property
    def halves(self) -> "Halves":
        """What the launches start from."""
        return Halves(self.folder / "halves")


class Halves:
    """A run that has come half the way, and the same run at its end, both undisturbed.

    Args:
        folder: for both and their corpus.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._recipe = write_recipe(folder, model=WIDE, tokenizer={"type": "characters"}, train=SHORT)
        self.first, self.whole = folder / "first", folder / "whole"
        command = train_command(self._recipe, self.first, f"train.max_steps={STEPS // 2}")
        train_to_the_end(command, self.first, folder / "log")
        shutil.copytree(self.first, self.whole)
        train_to_the_end(self.going_on(self.whole), self.whole, folder / "log")

    @property
    def largest(self) -> int:
        """Bytes of the weights."""
        return (self.first / "best/model.safetensors").stat().st_size

    def going_on(self, run: Path) -> list[str]:
        """Returns the command that trains a copy of the first half to the end."""
        return train_command(self._recipe, run, "--accept", "train.max_steps")


@contextmanager
def limited(folder: Path, number: int) -> Iterator[None]:
    """Lets this process, which can only do this once, write no byte from an operation on until the block ends.

    Args:
        folder: where the operations are counted.
        number: of the operation, from 0.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    names: list[str] = []

    def count(name: str) -> None:
        names.append(name)
        if len(names) == number + 1:
            limit_files(0)

    Operations(folder, count).watch()
    try:
        yield
    finally:
        names += [""] * number  # whatever is done later on is not counted
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def filled(place: Path, free: int) -> Iterator[None]:
    """Leaves so many bytes free on a small file system while the block runs."""
    filler = place / "filler"
    room = os.statvfs(place)
    filler.write_bytes(bytes(room.f_bavail * room.f_frsize - free))
    try:
        yield
    finally:
        filler.unlink()


def mount(place: Path) -> None:
    """Mounts a small file system in memory that only this process sees.

    Raises:
        OSError: that is not permitted.
    """
    place.mkdir(exist_ok=True)
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NAMESPACES):
        raise OSError(ctypes.get_errno(), "no namespace of its own")
    for name, content in {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}.items():
        Path("/proc/self", name).write_text(content, encoding="ascii")
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        raise OSError(f"{place}: cannot mount")


def can_mount(folder: Path) -> bool:
    """Says whether a file system can be mounted here."""

    def attempt(say: Say) -> None:
        try:
            mount(folder / "small")
            say(b"!")
        except OSError:
            pass

    return bool(wait(*fork(attempt))[1])


def file_sizes(folder: Path) -> list[int]:
    """Returns the sizes in bytes of the files of a folder."""
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
