"""What is fuzzed: a parser with good files of its kind."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import ClassVar

from fuzz.mutate import mutate

FIXTURES = Path(__file__).parents[2] / "tests/fixtures/format_1"
TRANSLATION = FIXTURES / "translation/checkpoints/step-00004000"
LANGUAGE_MODEL = FIXTURES / "language_model/best"


class Target(ABC):
    """A parser and good files that it reads.

    Args:
        folder: an empty one of its own.

    Attributes:
        name: on the command line and in the table.
        share: of all files, relative to those of the others; small where a file takes long.
        seeds: good files; mutated ones are made from them.
        path: where the file lies.
    """

    name: ClassVar[str]
    share: ClassVar[float] = 1.0
    seeds: Sequence[bytes]
    path: Path

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def content(self, seed: int, number: int) -> bytes:
        """Returns the mutated file of a number."""
        random = Random(f"{seed} {self.name} {number}")
        return mutate(random.choice(self.seeds), random)

    def write(self, content: bytes) -> None:
        """Puts a file in its place."""
        self.path.write_bytes(content)

    @abstractmethod
    def read(self) -> None:
        """Lets the program read it, and use what it has read."""
