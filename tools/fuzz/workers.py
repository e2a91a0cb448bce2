"""Processes in which a parser reads one mutated file after the other, and that may crash or hang."""

import os
import select
import signal
import struct
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzz.target import Target
from inject.process import Say, fork
from seq2seq.errors import explain_error

SECONDS = 10.0  # after which a file counts as a hang
MEMORY = 64 * 2**20  # bytes that a file may take, beside twice its own size
BEGUN, DONE = b"b", b"d"
RECORD = struct.Struct("=cqdqI")  # kind, number of the file, seconds, bytes of memory, length of what was seen
CODES = (2, 3, 4)  # exit codes of errors that say that an input is wrong


@dataclass(frozen=True)
class Outcome:
    """What a parser made of one file.

    Attributes:
        number: of the file.
        kind: `read`, `refused`, or what must not be: `bug`, `memory`, `hang`, `crash`.
        seen: what it said.
        seconds: that it took.
        memory: bytes by which the process had grown at the most.
    """

    number: int
    kind: str
    seen: str = ""
    seconds: float = 0.0
    memory: int = 0

    @property
    def is_fault(self) -> bool:
        """Whether that must not be."""
        return self.kind not in ("read", "refused")


def outcomes(target: Target, seed: int, numbers: range) -> Iterator[Outcome]:
    """Lets child processes read mutated files; a new one goes on where one has crashed or been ended."""
    left = list(numbers)
    while left:
        for outcome in _of_one_child(target, seed, left):
            left = left[left.index(outcome.number) + 1 :]
            yield outcome


def _of_one_child(target: Target, seed: int, numbers: list[int]) -> Iterator[Outcome]:
    """Yields what came of the files until the process ended, or had to be."""
    pid, pipe = fork(lambda say: _read_all(target, seed, numbers, say))
    begun: int | None = None
    try:
        while True:
            if not select.select([pipe], [], [], SECONDS)[0]:
                os.kill(pid, signal.SIGKILL)
                yield Outcome(numbers[0] if begun is None else begun, "hang", f"not done in {SECONDS:.0f} s", SECONDS)
                return
            head = _exactly(pipe, RECORD.size)
            if not head:
                break
            kind, number, seconds, memory, length = RECORD.unpack(head)
            if kind == BEGUN:
                begun = number
                continue
            begun = None
            word, _, seen = _exactly(pipe, length).decode("utf-8", "replace").partition(" ")
            yield Outcome(number, word, seen, seconds, memory)
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(pipe)
    if begun is not None:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        yield Outcome(begun, "crash", how)


def _exactly(pipe: int, size: int) -> bytes:
    content = b""
    while len(content) < size and (more := os.read(pipe, size - len(content))):
        content += more
    return content


def _read_all(target: Target, seed: int, numbers: list[int], say: Say) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in numbers:
        content = target.content(seed, number)
        target.write(content)
        say(RECORD.pack(BEGUN, number, 0.0, 0, 0))
        before, started = _reset_peak(), time.monotonic()
        try:
            target.read()
            seen = "read"
        except BaseException as error:
            seen = _judge(error)
        seconds, memory = time.monotonic() - started, max(0, _peak() - before)
        if memory > MEMORY + 2 * len(content) and not seen.startswith("bug"):
            seen = f"memory {memory:,} bytes for a file of {len(content):,}"
        told = seen.encode("utf-8", "replace")[:4000]
        say(RECORD.pack(DONE, number, seconds, memory, len(told)) + told)


def _judge(error: BaseException) -> str:
    """Says whether an error tells a user what is wrong with a file."""
    known = explain_error(error)
    if known and known[1] in CODES and not isinstance(error, MemoryError) and "out of memory" not in known[0]:
        return f"refused {known[0]}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/seq2seq/" in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} in {ours[-1].name}" if ours else ""
    return f"bug {type(error).__name__}: {str(error)[:300]} ({place})"


def _reset_peak() -> int:
    """Makes the peak of this process's memory what it holds now; returns that, in bytes."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return _peak()


def _peak() -> int:
    """Returns the most memory that this process has held since, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
