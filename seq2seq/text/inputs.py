"""Text that is read as a stream, and how far it has been read."""

import hashlib
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seq2seq.errors import DataError
from seq2seq.text.compression import BUFFER, MARKS, decompressed, reading, text_size
from seq2seq.text.lines import decode_line, refuse_utf16


@dataclass(frozen=True)
class Span:
    """The lines of a text that begin at some of its bytes.

    Attributes:
        start: the first of these bytes.
        stop: the byte behind the last of them.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class Place:
    """How far a text has been read.

    Attributes:
        lines: read so far.
        bytes: of these lines, decompressed, ends included.
        sha256: of these bytes, hex digits.
    """

    lines: int
    bytes: int
    sha256: str


class TextInput:
    """Lines of a file, or of a stream that can be read only once, in bounded memory.

    Invalid UTF-8 is replaced by U+FFFD: no line is ever lost.

    Args:
        file: the bytes as they are stored.
        name: for messages.
        suffix: of a file's name: compressed files are decompressed.
        span: which lines are read; None: all.
        size: of the file in bytes; None: it is not known.
        n_before: lines in front of the first one that are wanted, too.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        suffix: str = "",
        span: Span | None = None,
        size: int | None = None,
        n_before: int = 0,
    ) -> None:
        self.name = name
        self._stored, self._size, self._span = file, size, span
        self._lines = self._bytes = 0
        self._hash = hashlib.sha256()
        self._passed = _LastLines(n_before)
        with reading(name):
            self._text = decompressed(file, suffix, name)
            self._start = self._seek(span.start, suffix in MARKS) if span else 0
        self._left = max(0, span.stop - self._start) if span else sys.maxsize  # bytes at which lines may begin

    @property
    def place(self) -> Place:
        """How far it has been read."""
        return Place(self._lines, self._bytes, self._hash.hexdigest())

    @property
    def start(self) -> int:
        """Byte of the text at which the first line begins."""
        return self._start

    @property
    def before(self) -> list[str]:
        """The last lines in front of the first one that `chunks` yields, at most as many as are wanted."""
        return self._passed.lines

    @property
    def share(self) -> float | None:
        """Share of the input that has been read, from 0 to 1; None: nobody knows."""
        if self._span:
            return min(1.0, self._bytes / max(1, self._span.stop - self._start))
        return min(1.0, self._stored.tell() / max(1, self._size)) if self._size is not None else None

    def chunks(self, n_lines: int, n_bytes: int) -> Iterator[list[str]]:
        """Yields lines without their ends, in lists that end behind so many lines or bytes, whichever comes first.

        Raises:
            DataError: the input cannot be read.
        """
        while raw := self._take(n_lines, n_bytes):
            first = self._start + self._bytes == 0
            if first:
                refuse_utf16(raw[0], self.name)
            block = b"".join(raw)
            self._hash.update(block)
            self._bytes += len(block)
            self._lines += len(raw)
            yield [decode_line(line, first and i == 0, "replace") for i, line in enumerate(raw)]

    def skip(self, place: Place) -> bool:
        """Goes on to where another reading of the input has come; says whether it had read the same lines until there.

        The last line of an input that has grown meanwhile may be another one.
        """
        self._hash = hashlib.sha256()
        block = b"\n"
        with reading(self.name):
            for block in _blocks(self._text, place.bytes):
                self._hash.update(block)
                self._bytes += len(block)
                self._passed.read(block)
            ended = block.endswith(b"\n") or not self._text.read(1)
        self._left -= self._bytes
        self._lines = place.lines
        return ended and self.place == place

    def _take(self, n_lines: int, n_bytes: int) -> list[bytes]:
        """Reads the next lines, ends included."""
        raw: list[bytes] = []
        with reading(self.name):
            while len(raw) < n_lines and n_bytes > 0 and self._left > 0 and (line := self._text.readline()):
                raw.append(line)
                n_bytes -= len(line)
                self._left -= len(line)
        return raw

    def _seek(self, start: int, is_compressed: bool) -> int:
        """Goes to the first line that begins at a byte of the text or behind it; returns where it begins."""
        if start == 0:
            return 0
        begin = self._text.read(min(2, start - 1))
        refuse_utf16(begin, self.name)
        if is_compressed:
            self._passed.read(begin)
            place = len(begin)
            for block in _blocks(self._text, start - 1 - len(begin)):
                self._passed.read(block)
                place += len(block)
            line = self._text.readline()
            self._passed.read(line)
            return place + len(line)
        self._text.seek(start - 1)
        place = start - 1 + len(self._text.readline())
        self._look_back(place)
        return place

    def _look_back(self, place: int) -> None:
        """Reads the lines in front of a place of a file that is not compressed, as many as are wanted."""
        size, begin = BUFFER, place
        while begin and self._passed.lacks_lines:
            begin, size = max(0, place - size), 2 * size
            self._passed = _LastLines(self._passed.size, begin == 0)
            self._text.seek(begin)
            self._passed.read(self._text.read(place - begin))


class _LastLines:
    """The last lines of a text that is read through.

    Args:
        size: lines that are wanted.
        from_start: whether it is read from its beginning; else what comes before the first line break is no line.
    """

    def __init__(self, size: int, from_start: bool = True) -> None:
        self.size = size
        self._lines = deque[str](maxlen=size)
        self._open: list[bytes] = []  # parts of the line that has not ended
        self._is_first, self._is_whole = from_start, from_start

    @property
    def lines(self) -> list[str]:
        """The lines."""
        return [*self._lines]

    @property
    def lacks_lines(self) -> bool:
        """Whether there are fewer than are wanted."""
        return len(self._lines) < self.size

    def read(self, block: bytes) -> None:
        """Takes the next bytes of the text."""
        if not self.size:
            return
        *ended, rest = block.split(b"\n")
        if ended:
            ended[0] = b"".join([*self._open, ended[0]])
            self._open = []
        for line in ended:
            if self._is_whole:
                self._lines.append(decode_line(line, self._is_first, "replace"))
                self._is_first = False
            self._is_whole = True
        self._open.append(rest)


@contextmanager
def open_text(path: Path | None, span: Span | None = None, n_before: int = 0) -> Iterator[TextInput]:
    """Opens a text file, plain, `.gz` or `.zst`, or stdin.

    Args:
        path: of the file; None: stdin.
        span: which of its lines are read; None: all.
        n_before: lines in front of those that are wanted, too.

    Raises:
        DataError: it cannot be read.
    """
    if path is None:
        yield TextInput(sys.stdin.buffer, "stdin", n_before=n_before)
        return
    with reading(path):
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    with file:
        size = os.fstat(file.fileno()).st_size if path.is_file() else None
        yield TextInput(file, str(path), path.suffix, span, size, n_before)


def part_of(path: Path, number: int, parts: int) -> tuple[Span, int]:
    """Returns which lines of a text file are one of its parts, which have about the same number of bytes.

    A line belongs to the part in whose bytes it begins, so each belongs to one. A compressed file is read through to
    learn its size; its parts are those of its text.

    Args:
        path: of the file, plain, `.gz` or `.zst`.
        number: of the part, from 1.
        parts: their number.

    Returns:
        The part, and the bytes of the whole text.

    Raises:
        DataError: it cannot be read, or is no file.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is no file, which alone can be divided into parts")
    size = text_size(path)
    return Span(size * (number - 1) // parts, size * number // parts), size


def _blocks(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    """Yields the next bytes of a file in blocks; fewer if it ends."""
    while n_bytes > 0 and (block := file.read(min(n_bytes, BUFFER))):
        n_bytes -= len(block)
        yield block
