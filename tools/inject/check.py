"""What every check is: a number of trials, each with a fault and with what has to come of it."""

import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import ClassVar

from bench.options import say
from seq2seq.errors import Seq2SeqError


class Unexpected(Exception):
    """What was seen in a trial is not what has to come of the fault."""


class Check(ABC):
    """A kind of fault. Making one prepares what its trials have in common.

    Args:
        folder: an empty one, for whatever the trials write.
        seed: of everything that is random.

    Attributes:
        name: on the command line and in the table.
        expected: what has to come of every trial.
        shuffled: whether trials are taken in random order, so that the first ones stand for all.
        planned: the full number of trials.
    """

    name: ClassVar[str]
    expected: ClassVar[str]
    shuffled: ClassVar[bool] = False
    planned: int

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed

    @property
    def note(self) -> str:
        """What the reader of the table has to know besides, after the last trial."""
        return ""

    @abstractmethod
    def trial(self, number: int, random: Random) -> None:
        """Does one trial, which its number and `random` decide.

        Raises:
            Unexpected: something else came of it.
        """


@dataclass(frozen=True)
class Failure:
    """What was seen in a trial, by its number; `None` stands for the preparation of all."""

    trial: int | None
    seen: str


@dataclass
class Result:
    """What came of a check; seconds are those of preparation and trials."""

    name: str
    expected: str
    planned: int = 0
    trials: int = 0
    seconds: float = 0.0
    note: str = ""
    failures: list[Failure] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """Trials that did not fail."""
        return self.trials - sum(failure.trial is not None for failure in self.failures)


def expect(condition: bool, seen: str) -> None:
    """Fails the trial with what was seen unless a condition holds.

    Raises:
        Unexpected: it does not.
    """
    if not condition:
        raise Unexpected(seen)


@contextmanager
def where(place: str) -> Iterator[None]:
    """Puts in front of what is seen within the block where that was.

    Raises:
        Unexpected: the block raised something.
    """
    try:
        yield
    except Exception as error:
        raise Unexpected(f"{place}: {describe(error)}") from error


def describe(error: Exception) -> str:
    """Returns what was seen, in one line; of an error also where the program raised it."""
    if isinstance(error, Unexpected):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(frames) if "/seq2seq/" in frame.filename), frames[-1])
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno} in {last.name})"


def run_check(kind: type[Check], folder: Path, seed: int, seconds: float | None, numbers: Sequence[int]) -> Result:
    """Prepares a check and does its trials.

    Args:
        kind: of the check.
        folder: an empty one.
        seed: of everything that is random.
        seconds: after which no further trial begins, though one always does; None: never.
        numbers: of the trials that are wanted; empty: all.

    Raises:
        Seq2SeqError: there is no trial of such a number.
    """
    result = Result(kind.name, kind.expected)
    started = time.monotonic()
    say(f"{kind.name}: preparing")
    try:
        check = kind(folder, seed)
    except Exception as error:
        result.failures.append(Failure(None, f"preparation: {describe(error)}"))
    else:
        result.planned = check.planned
        if unknown := [number for number in numbers if number not in range(check.planned)]:
            raise Seq2SeqError(f"--trial {unknown[0]}: {kind.name} has the trials 0 to {check.planned - 1}")
        for number in numbers or trial_order(check):
            try:
                check.trial(number, Random(f"{seed} {kind.name} {number}"))
            except Exception as error:
                result.failures.append(Failure(number, describe(error)))
                say(f"{kind.name}, trial {number} failed: {result.failures[-1].seen}")
            result.trials += 1
            if seconds is not None and time.monotonic() - started > seconds:
                break
        result.note = check.note
    result.seconds = time.monotonic() - started
    say(f"{kind.name}: {result.passed:,} of {result.trials:,} passed in {result.seconds:.0f} s")
    return result


def trial_order(check: Check) -> Sequence[int]:
    """Returns the numbers of all trials of a check, in the order in which they are done."""
    numbers = list(range(check.planned))
    if check.shuffled:
        Random(check.seed).shuffle(numbers)
    return numbers
