"""Damaged files: flipped bits, files cut short, grown or gone. None of them may be loaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from inject.check import Check, expect, where
from inject.compare import warnings_of_program
from inject.saves import EVERY, Saves
from seq2seq.errors import ModelError
from seq2seq.model.folder import load_any
from seq2seq.train.checkpoint import newest_checkpoint

FLIPS = 1000
ADDED = (b"\0", b"\n", bytes(4096))  # bytes behind the end of a file


class Damaged(Check):
    """A run with two checkpoints, of which the newer one is damaged."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        saves = Saves(folder / "saves")
        self.run = folder / "run"
        for step in (EVERY, 2 * EVERY):
            saves.save(self.run, step, content=step)
        self.older, self.newer = sorted((self.run / "checkpoints").iterdir())
        self.files = sorted(path for path in self.newer.rglob("*") if path.is_file())
        self.sizes = [path.stat().st_size for path in self.files]
        self._whole = folder / "whole"
        shutil.copytree(self.run, self._whole)

    @property
    def note(self) -> str:
        """How much there is to damage."""
        return f"{sum(self.sizes):,} bytes in {len(self.files)} files"

    def expect_noticed(self) -> None:
        """Checks that the program neither reads the damaged checkpoint nor fails because of it.

        Raises:
            Unexpected: it does.
        """
        try:
            load_any(self.newer)
        except ModelError:
            pass
        else:
            expect(False, "the damaged model was loaded")
        with warnings_of_program() as warnings:
            newest = newest_checkpoint(self.run)
        expect(newest is not None and newest.folder == self.older, "the damaged checkpoint was chosen")
        expect(len(warnings) == 1, f"{len(warnings)} warnings: {warnings[:2]}")

    @contextmanager
    def repaired(self, file: Path) -> Iterator[None]:
        """Puts a file, and the checkpoint, back to what they were when the block has ended."""
        content = file.read_bytes()
        try:
            yield
            os.rename(self.newer.with_name(f"{self.newer.name}.corrupt"), self.newer)
            file.write_bytes(content)
        except BaseException:  # wherever the program has left things
            shutil.rmtree(self.run)
            shutil.copytree(self._whole, self.run)
            raise


class BitFlips(Damaged):
    """Flips one bit."""

    name = "bit-flips"
    expected = "one bit flipped in any file: noticed; the checkpoint before it is taken, with one warning"
    planned = FLIPS

    def trial(self, number: int, random: Random) -> None:
        """Flips a bit: in half of the trials every file is as likely as any other, in the others every byte is."""
        i = random.choices(range(len(self.files)), self.sizes if number % 2 else None)[0]
        file, bit = self.files[i], random.randrange(8 * self.sizes[i])
        with where(f"bit {bit % 8} of byte {bit // 8} of {file.relative_to(self.newer)}"), self.repaired(file):
            content = bytearray(file.read_bytes())
            content[bit // 8] ^= 1 << bit % 8
            file.write_bytes(content)
            self.expect_noticed()


class Truncation(Damaged):
    """Cuts a file at every length, deletes it, or adds bytes to it."""

    name = "truncation"
    expected = "a file cut at every length, missing, or longer than it was: the same"
    shuffled = True

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.cases = [(i, length) for i, size in enumerate(self.sizes) for length in range(size)]
        self.missing = len(self.cases)
        self.longer = self.missing + len(self.files)
        self.planned = self.longer + len(self.files) * len(ADDED)

    def trial(self, number: int, random: Random) -> None:
        """Cuts at one length; the last trials delete and lengthen files."""
        if number < self.missing:
            i, length = self.cases[number]
            self._damage(self.files[i], f"cut to {length:,} of {self.sizes[i]:,} bytes", length)
        elif number < self.longer:
            self._damage(self.files[number - self.missing], "missing", None)
        else:
            i, n = divmod(number - self.longer, len(ADDED))
            self._damage(self.files[i], f"{len(ADDED[n]):,} bytes longer", self.sizes[i], ADDED[n])

    def _damage(self, file: Path, how: str, length: int | None, added: bytes = b"") -> None:
        """Leaves so many bytes of a file, or none of it, and adds some."""
        with where(f"{file.relative_to(self.newer)} {how}"), self.repaired(file):
            if length is None:
                file.unlink()
            else:
                file.write_bytes(file.read_bytes()[:length] + added)
            self.expect_noticed()
