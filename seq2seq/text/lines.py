r"""Lines of text as they really are: only `\n` ends a line."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from seq2seq.errors import DataError
from seq2seq.text.compression import decompressed, reading

T = TypeVar("T")
Pair = tuple[str, str]  # source and target

# Everything that some program takes for the end of a line.
LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BOM = "\ufeff"

PIECE = 2**20  # characters of a text that are looked at together


class Damaged(str):
    """Text in which U+FFFD stands for bytes that are not UTF-8."""


def is_damaged(pair: Pair) -> bool:
    """Says whether a side of a pair is `Damaged`."""
    return isinstance(pair[0], Damaged) or isinstance(pair[1], Damaged)


def read_raw(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file as bytes, ends included; see `_opened`.

    Raises:
        DataError: the file cannot be read.
    """
    with _opened(path) as file:
        yield from file


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a file; one whose name ends in `.gz` or `.zst` is decompressed.

    Raises:
        DataError: the file cannot be read.
    """
    with reading(path), open(path, "rb") as file:
        yield decompressed(file, path.suffix, path)


def read_lines(path: Path, strict: bool = True) -> Iterator[str]:
    """Yields the lines of a UTF-8 file without their ends.

    Args:
        path: of the file.
        strict: whether all of it must be UTF-8; else lines that are not are `Damaged`.

    Raises:
        DataError: the file cannot be read, is UTF-16 or, if it must be, is not UTF-8; with path, line and byte.
    """
    for number, raw in enumerate(read_raw(path), 1):
        try:
            yield decode_line(raw, first=number == 1)
        except UnicodeDecodeError as error:
            wrong = _not_utf8(path, number, raw, error.start)  # or UTF-16, which nothing mends
            if strict:
                raise wrong from None
            yield Damaged(decode_line(raw, first=number == 1, errors="replace"))


def read_text(path: Path, strict: bool = True) -> str:
    """Returns the text of a UTF-8 file as it is, without a BOM.

    Args:
        path: of the file.
        strict: whether all of it must be UTF-8; else U+FFFD stands for what is not.

    Raises:
        DataError: see `read_lines`.
    """
    with _opened(path) as file:
        raw = file.read()
    try:
        return raw.decode().removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = raw.rfind(b"\n", 0, error.start) + 1
        number = raw.count(b"\n", 0, line) + 1
        wrong = _not_utf8(path, number, raw[line : error.start + 2], error.start - line)
        if strict:
            raise wrong from None
        return raw.decode(errors="replace").removeprefix(BOM)


def utf8_size(text: str) -> int:
    """Returns the number of UTF-8 bytes of a text, without all of them in memory."""
    return sum(len(text[start : start + PIECE].encode()) for start in range(0, len(text), PIECE))


def _not_utf8(path: Path, number: int, line: bytes, place: int) -> DataError:
    """Returns the error of a line that cannot be decoded, `place` being where its first bad byte stands."""
    if number == 1:
        refuse_utf16(line, path)
    return DataError(
        f"{path}:{number}: byte {place + 1} of the line (0x{line[place]:02x}) is not UTF-8; mend the file or remove "
        "the line, of parallel files on both sides"
    )


def refuse_utf16(line: bytes, name: object) -> None:
    """Checks that the first line of a file does not begin as UTF-16 does.

    Raises:
        DataError: it does.
    """
    if line.startswith(UTF16_MARKS):
        raise DataError(f"{name}: is UTF-16; convert it to UTF-8 first")


def decode_line(raw: bytes, first: bool = False, errors: str = "strict") -> str:
    r"""Returns a line of bytes as text, without `\n`, one `\r` in front of it and, on the first line, a BOM."""
    text = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", errors)
    return text.removeprefix(BOM) if first else text


def forgiving_lines(file: Iterable[bytes], name: object) -> Iterator[str]:
    """Yields lines of a binary stream, invalid UTF-8 replaced by U+FFFD: no input line is ever lost.

    Raises:
        DataError: it is UTF-16, which the name, that of the stream, is told with.
    """
    for number, raw in enumerate(file, 1):
        if number == 1:
            refuse_utf16(raw, name)
        yield decode_line(raw, first=number == 1, errors="replace")


def one_line(text: str) -> str:
    """Returns text with each line break of any kind made a space."""
    return LINE_BREAKS.sub(" ", text)


def json_line(record: object) -> str:
    """Returns a record as JSON in which nothing passes for the end of a line."""
    return LINE_BREAKS.sub(lambda place: f"\\u{ord(place[0]):04x}", json.dumps(record, ensure_ascii=False))


def encodable(text: str) -> str:
    """Returns text with question marks for lone surrogates, which have no bytes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def is_blank(text: str) -> bool:
    """Says whether nothing in a text is visible: only spaces, control and zero-width characters, if any."""
    if text[:1].isalnum():  # as nearly every line begins
        return False
    return all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in text)


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yields items in lists of `size`; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
