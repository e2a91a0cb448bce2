import gzip
from pathlib import Path

import pytest

from seq2seq.errors import DataError
from seq2seq.text.lines import forgiving_lines, is_blank, one_line, read_lines


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\n", ["a\rb"]),
        (b"a\r\r\n", ["a\r"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("a\u2028b\u0085c\x0bd\x0ce\x1cf\n".encode(), ["a\u2028b\u0085c\x0bd\x0ce\x1cf"]),
        (b"a\x00b\n\n\n", ["a\x00b", "", ""]),
    ],
)
def test_only_newlines_end_lines(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    assert list(read_lines(write(tmp_path / "x.txt", content))) == lines
    assert list(read_lines(write(tmp_path / "x.txt.gz", gzip.compress(content)))) == lines
    assert (
        list(forgiving_lines(content.splitlines(keepends=True) if b"\r" not in content else iter_lines(content), "x"))
        == lines
    )


def iter_lines(content: bytes) -> list[bytes]:
    import io

    return list(io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"fine\nbad \xff here\n", r"x.txt:2: byte 5 of the line \(0xff\) is not UTF-8"),
        ("x.txt", "a\n".encode("utf-16"), "x.txt: is UTF-16; convert it to UTF-8 first"),
        ("x.gz", b"not gzip", "x.gz: cannot be read: its name ends in .gz, but gzip has not made it"),
        ("x.zst", b"not zstd", "x.zst: cannot be read: its name ends in .zst, but zstd has not made it"),
        ("x.gz", b"", "x.gz: cannot be read: its name ends in .gz"),
        ("x.gz", gzip.compress(b"text\n" * 99, mtime=0)[:-9], "x.gz: cannot be read: the file is truncated"),
        ("x.gz", gzip.compress(b"text\n" * 99, mtime=0)[:-8] + b"wrong sum", "x.gz: cannot be read: CRC check failed"),
        ("x.txt", gzip.compress(b"text\n", mtime=0), r"x.txt: is compressed by gzip: decompress it, or name it \*.gz"),
        ("x.txt", b"\x28\xb5\x2f\xfd", r"x.txt: is compressed by zstd: decompress it, or name it \*.zst"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_lines(write(tmp_path / name, content)))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.txt: cannot be read: No such file"):
        list(read_lines(tmp_path / "nowhere.txt"))


def test_forgiving_lines_replace_what_is_not_utf8() -> None:
    assert list(forgiving_lines([b"a\xffb\n", b"ok\n"], "x")) == ["a\ufffdb", "ok"]


@pytest.mark.parametrize("text", ["", "  ", "\t", "\u3000", "\u200b\u200d\ufeff", "\x00\r", "\u00a0"])
def test_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", ".", "\u2581", "\U0001f600", "\u0301"])
def test_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_one_line() -> None:
    assert one_line("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\nh\ri") == "a b c d e f g h i"
