"""Compressed text: files whose names end in `.gz` (gzip) or `.zst` (Zstandard)."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from seq2seq.errors import DataError, Seq2SeqError

PROGRAMS = {".gz": "gzip", ".zst": "zstd"}
MARKS = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}  # with which compressed data begin
GZIP_LEVEL = 6
BUFFER = 2**18  # bytes that are decompressed at once


@contextmanager
def reading(name: object) -> Iterator[None]:
    """Names the file that the block reads in what goes wrong there.

    Raises:
        DataError: it cannot be read or decompressed.
    """
    try:
        yield
    except EOFError:
        raise DataError(f"{name}: cannot be read: the file is truncated: its compressed data end too early") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # of a module that is there only if it is needed
            raise
        raise DataError(f"{name}: cannot be read: {error}") from error


def decompressed(file: BinaryIO, suffix: str, name: object) -> BinaryIO:
    """Returns the text of a binary file as a stream.

    Args:
        file: buffered, at its beginning.
        suffix: of the file's name; `.gz` and `.zst` are decompressed, all others are the text itself.
        name: of the file, for messages.

    Raises:
        DataError: the content is not what the name says.
        Seq2SeqError: it is Zstandard, and there is no library for it.
    """
    peeks = hasattr(file, "peek") and not file.isatty()  # nobody types such bytes
    begin = cast(io.BufferedReader, file).peek(4)[:4] if peeks else b""
    if suffix not in MARKS:
        for other, mark in MARKS.items():
            if begin.startswith(mark):
                raise DataError(f"{name}: is compressed by {PROGRAMS[other]}: decompress it, or name it *{other}")
        return file
    if not begin.startswith(MARKS[suffix]):
        raise DataError(f"{name}: cannot be read: its name ends in {suffix}, but {PROGRAMS[suffix]} has not made it")
    stream = gzip.GzipFile(fileobj=file) if suffix == ".gz" else _zstd(name).ZstdFile(file)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), BUFFER))


def compressed(block: bytes, path: Path) -> bytes:
    """Returns a block as a file of this name holds it; compressed blocks behind one another are a compressed file.

    The result follows from the block alone.

    Raises:
        Seq2SeqError: the name ends in `.zst`, and there is no library for it.
    """
    match path.suffix:
        case ".gz":
            return gzip.compress(block, GZIP_LEVEL, mtime=0)
        case ".zst":
            return bytes(_zstd(path).compress(block))
    return block


@contextmanager
def compressing(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Yields a stream that writes text into a binary file, compressed if the file's name says so."""
    if path.suffix not in MARKS:
        yield file
        return
    compressed(b"", path)  # a library that is missing is missed before anything is computed
    blocks = _Blocks(file, path)
    with io.BufferedWriter(blocks, BUFFER) as stream:
        yield cast(BinaryIO, stream)
    if not blocks.written:
        file.write(compressed(b"", path))


class _Blocks(io.RawIOBase):
    """Writes each block that it is given compressed."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, block: Any, /) -> int:
        self._file.write(compressed(bytes(block), self._path))
        self.written += 1
        return len(block)


def text_size(path: Path) -> int:
    """Returns the bytes of a file's text; a compressed file is read through.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path), open(path, "rb") as file:
        if path.suffix not in MARKS:
            return os.fstat(file.fileno()).st_size
        stream = decompressed(file, path.suffix, path)
        return sum(map(len, iter(lambda: stream.read(BUFFER), b"")))


def _zstd(name: object) -> Any:
    """Returns the module for Zstandard: that of Python 3.14, or its backport.

    Raises:
        Seq2SeqError: there is neither.
    """
    for module in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(module)
    raise Seq2SeqError(f"{name}: .zst needs Python 3.14, or the extra zstd: pip install backports.zstd")
