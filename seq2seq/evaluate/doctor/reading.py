"""Corpora read whatever is wrong with them: nothing stops at a bad byte or row, everything has a place."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Protocol

from seq2seq.errors import DataError
from seq2seq.evaluate.doctor.checks import SHOWN, Example, Finding, find
from seq2seq.text.corpora import Corpus, FileCorpus, JsonlCorpus, TsvCorpus
from seq2seq.text.documents import Documents, FileDocuments
from seq2seq.text.lines import BOM, UTF16_MARKS, decode_line, in_chunks, read_raw

CHUNK = 10_000  # rows that are in memory at once

Texts = tuple[list[str], ...]  # some rows, one list for each side


class Rows(Protocol):
    """Pairs, or lines of one side, that can be read again and again.

    Attributes:
        name: of the corpus.
        n_sides: 2 or 1.
        languages: code of each side; empty where it is not known.
    """

    name: str
    n_sides: int
    languages: tuple[str, ...]

    def chunks(self) -> Iterator[Texts]:
        """Yields all rows, `CHUNK` at a time."""

    def place(self, index: int, side: int = 0) -> str:
        """Says where a side of a row stands, such as `train.de:17`."""

    def findings(self) -> list[Finding]:
        """Returns what was wrong with the files when they were last read to the end."""


def open_rows(corpus: Corpus, limit: int | None = None) -> Rows:
    """Returns the rows of a corpus, whatever is wrong with them.

    Args:
        corpus: the corpus.
        limit: rows to read at the most; None: all.
    """
    match corpus:
        case FileCorpus():
            return FileRows(corpus.paths, corpus.languages, limit)
        case TsvCorpus() | JsonlCorpus():
            return TableRows(corpus, limit)
        case _:
            return OtherRows(corpus.name, corpus.languages, corpus, limit)


def open_text(documents: Documents, limit: int | None = None) -> Rows:
    """Returns the lines of running text; see `open_rows`."""
    if isinstance(documents, FileDocuments):
        return FileRows([documents.path], ("",), limit)
    return OtherRows(documents.name, ("",), DocumentLines(documents), limit)


class RawFile:
    """A text file whose bytes need not be text.

    Attributes:
        path: the file.
        lines: how many have been read.
        crlf: how many of them end in a carriage return too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = self.crlf = 0
        self.usable = True  # UTF-16 is not
        self._begins_with_bom = False
        self._bad_lines = 0
        self._bad: list[Example] = []
        self._broken = ""

    def chunks(self) -> Iterator[list[str]]:
        """Yields the lines, `CHUNK` at a time; bytes that are not UTF-8 as U+FFFD, none of a UTF-16 file."""
        try:
            for raw in in_chunks(read_raw(self.path), CHUNK):
                if not self.lines and raw[0].startswith(UTF16_MARKS):
                    self.usable = False
                    return
                yield self._decoded(raw)
        except DataError as error:
            self._broken = str(error).removeprefix(f"{self.path}: ")

    def _decoded(self, raw: list[bytes]) -> list[str]:
        joined = b"".join(raw)
        first = self.lines == 0
        self._begins_with_bom |= first and joined.startswith(BOM.encode())
        crlf = joined.count(b"\r\n")
        try:
            text = joined.decode().removeprefix(BOM if first else "")
            lines = text.removesuffix("\n").split("\n")
            if crlf or lines[-1].endswith("\r"):
                lines = [line.removesuffix("\r") for line in lines]
        except UnicodeDecodeError:
            lines = [self._line(self.lines + i, each) for i, each in enumerate(raw, 1)]
        self.lines += len(raw)
        self.crlf += crlf
        return lines

    def _line(self, number: int, raw: bytes) -> str:
        line = decode_line(raw, first=number == 1, errors="replace")
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            self._bad_lines += 1
            if len(self._bad) < SHOWN:
                note = f"byte {error.start + 1} of the line is 0x{raw[error.start]:02x}"
                self._bad.append(Example(f"{self.path}:{number}", (line,), note))
        return line

    def findings(self) -> list[Finding]:
        """Returns what was wrong with the bytes."""
        name = str(self.path)
        return [
            *find("unreadable", int(bool(self._broken)), 0, "files", f"{name}: {self._broken}"),
            *find("utf16", int(not self.usable), 0, "files", name),
            *find("not_utf8", self._bad_lines, self.lines, detail=name, examples=self._bad),
            *find("bom", int(self._begins_with_bom), 0, "files", name),
            *find("crlf", self.crlf, self.lines, detail=name),
        ]


class FileRows:
    """One file, or two whose lines correspond; see `Rows`."""

    def __init__(self, paths: Sequence[Path], languages: tuple[str, ...], limit: int | None) -> None:
        self.name = " | ".join(map(str, paths))
        self.n_sides = len(paths)
        self.languages = languages
        self._paths = paths
        self._limit = limit
        self._files: list[RawFile] = []

    def chunks(self) -> Iterator[Texts]:
        """Yields as many rows as the shorter file has; the longer one is read to its end too, to count it."""
        self._files = [RawFile(path) for path in self._paths]
        left = self._limit
        for parts in zip_longest(*(file.chunks() for file in self._files), fillvalue=[]):
            n = min(map(len, parts)) if left is None else min(left, *map(len, parts))
            if n:
                yield tuple(part[:n] for part in parts)
            if left is not None:
                left -= n
                if not left:
                    return

    def place(self, index: int, side: int = 0) -> str:
        """Names file and line."""
        return f"{self._paths[side]}:{index + 1}"

    def findings(self) -> list[Finding]:
        """Returns what was wrong with the files, unequal numbers of lines too."""
        found = [finding for file in self._files for finding in file.findings()]
        lines = [file.lines for file in self._files]
        if self._limit is None and len(set(lines)) > 1 and all(file.usable for file in self._files):
            counts = " and ".join(f"{file.path} has {file.lines:,}" for file in self._files)
            found += find("unequal_lines", max(lines) - min(lines), 0, "surplus lines", counts)
        return found


class TableRows:
    """A TSV or JSONL file; see `Rows`."""

    n_sides = 2

    def __init__(self, corpus: TsvCorpus | JsonlCorpus, limit: int | None) -> None:
        self.name = corpus.name
        self.languages: tuple[str, ...] = corpus.languages
        self._corpus = corpus
        self._limit = limit
        self._file = RawFile(corpus.path)
        self._numbers = array("q")  # of the lines of all rows
        self._bad_rows = 0
        self._bad: list[Example] = []

    def chunks(self) -> Iterator[Texts]:
        """Yields the rows that are pairs."""
        self._file = RawFile(self._corpus.path)
        self._numbers = array("q")
        self._bad_rows, self._bad = 0, []
        yield from _by_side(islice(self._pairs(), self._limit))

    def _pairs(self) -> Iterator[tuple[str, str]]:
        number = 0
        for lines in self._file.chunks():
            for line in lines:
                number += 1
                try:
                    pair = self._corpus.row(number, line)
                except DataError as error:
                    self._bad_rows += 1
                    if len(self._bad) < SHOWN:
                        place = f"{self._corpus.path}:{number}"
                        self._bad.append(Example(place, (line,), str(error).removeprefix(f"{place}: ")))
                    continue
                if pair:
                    self._numbers.append(number)
                    yield pair

    def place(self, index: int, side: int = 0) -> str:
        """Names file and line."""
        return f"{self._corpus.path}:{self._numbers[index]}"

    def findings(self) -> list[Finding]:
        """Returns what was wrong with the file and its rows."""
        bad = find("bad_row", self._bad_rows, self._file.lines, "rows", examples=self._bad)
        return [*self._file.findings(), *bad]


class OtherRows:
    """Rows of a dataset, which need no decoding; see `Rows`.

    Args:
        name: of the corpus.
        languages: of its sides.
        rows: yields the sides of each row, again and again.
        limit: rows to read at the most.
    """

    def __init__(
        self, name: str, languages: tuple[str, ...], rows: Iterable[tuple[str, ...]], limit: int | None
    ) -> None:
        self.name = name
        self.n_sides = len(languages)
        self.languages = languages
        self._rows = rows
        self._limit = limit
        self._read = 0
        self._broken = ""

    def chunks(self) -> Iterator[Texts]:
        """Yields the rows up to the first that cannot be read."""
        self._read, self._broken = 0, ""
        try:
            for texts in _by_side(islice(self._rows, self._limit)):
                self._read += len(texts[0])
                yield texts
        except DataError as error:
            self._broken = str(error)

    def place(self, index: int, side: int = 0) -> str:
        """Names the number of the row."""
        return f"{self.name} row {index + 1:,}"

    def findings(self) -> list[Finding]:
        """Returns why it could not be read to its end, if so."""
        return find("unreadable", int(bool(self._broken)), 0, "corpora", self._broken)


class DocumentLines:
    """The lines of documents, one side each."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Yields each line."""
        return ((line,) for document in self._documents for line in document.split("\n"))


def _by_side(rows: Iterable[tuple[str, ...]]) -> Iterator[Texts]:
    for chunk in in_chunks(rows, CHUNK):
        yield tuple(map(list, zip(*chunk, strict=True)))
