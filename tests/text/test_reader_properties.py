"""Whatever a file holds: which lines a reader finds there, in chunks, in parts, and gone on with."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import expected_lines, nasty_bytes

from seq2seq.errors import DataError
from seq2seq.text.compression import MARKS, compressed, compressing
from seq2seq.text.inputs import TextInput, open_text, part_of
from seq2seq.text.lines import forgiving_lines, read_lines, read_text

Store = Callable[[bytes, str], Path]
suffixes = st.sampled_from(["", *MARKS])
sizes = st.integers(1, 12)  # of lines and of bytes: chunks end within any file


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Writes a file, compressed if its suffix says so, and returns its path."""
    folder = tmp_path_factory.mktemp("reader")

    def store(content: bytes, suffix: str) -> Path:
        path = folder / f"in{suffix}"
        path.write_bytes(compressed(content, path))
        return path

    return store


def rest(text: TextInput, n_lines: int = 3, n_bytes: int = 10) -> list[str]:
    return [line for chunk in text.chunks(n_lines, n_bytes) for line in chunk]


def part(path: Path, number: int, parts: int) -> list[str]:
    with open_text(path, part_of(path, number, parts)[0]) as text:
        return rest(text)


@given(nasty_bytes, suffixes, sizes, sizes)
@example(b"\xef\xbb\xbf", "", 1, 1)
@example(b"\xef\xbb\xbf\n\xef\xbb\xbf", "", 1, 1)
@example(b"\r", "", 1, 1)
@example(b"\n\r", ".gz", 1, 1)
def test_lines_are_those_of_the_rule(stored: Store, content: bytes, suffix: str, n_lines: int, n_bytes: int) -> None:
    expected = expected_lines(content)
    with open_text(stored(content, suffix)) as text:
        chunks = list(text.chunks(n_lines, n_bytes))
        assert [line for chunk in chunks for line in chunk] == expected
        assert all(0 < len(chunk) <= n_lines for chunk in chunks)
        assert (text.place.lines, text.place.bytes, text.start) == (len(expected), len(content), 0)
    assert list(forgiving_lines(io.BytesIO(content), "text")) == expected


@given(nasty_bytes, suffixes)
def test_a_strict_reader_finds_the_same_or_names_the_line(stored: Store, content: bytes, suffix: str) -> None:
    path = stored(content, suffix)
    bad = [i for i, row in enumerate(content.split(b"\n"), 1) if row.decode(errors="ignore").encode() != row]
    if bad:
        for read in (read_lines, read_text):
            with pytest.raises(DataError, match=f"in{suffix}:{bad[0]}: byte "):
                list(read(path))
    else:
        assert list(read_lines(path)) == expected_lines(content)
        assert read_text(path) == content.removeprefix(b"\xef\xbb\xbf").decode()


@given(nasty_bytes, suffixes, sizes)
def test_each_line_is_in_one_part(stored: Store, content: bytes, suffix: str, parts: int) -> None:
    path = stored(content, suffix)
    assert [line for i in range(parts) for line in part(path, i + 1, parts)] == expected_lines(content)


@given(nasty_bytes, suffixes, st.data())
def test_reading_goes_on_from_any_place(stored: Store, content: bytes, suffix: str, data: st.DataObject) -> None:
    path = stored(content, suffix)
    parts = data.draw(sizes)
    span = part_of(path, data.draw(st.integers(1, parts)), parts)[0]
    with open_text(path, span) as text:
        places = [(0, text.place)]
        lines: list[str] = []
        for chunk in text.chunks(data.draw(sizes), data.draw(sizes)):
            lines += chunk
            places.append((len(lines), text.place))
    for read, place in places:
        with open_text(path, span) as text:
            assert text.skip(place)
            assert rest(text) == lines[read:]
            assert text.place == places[-1][1]


@given(nasty_bytes, nasty_bytes, st.integers(0, 99), sizes)
@example(b"a\nb", b"c\n", 3, 2)  # what was the last line has grown
@example(b"a\nb", b"\n", 3, 2)
def test_another_text_is_gone_on_with_only_if_its_lines_are_the_same(
    stored: Store, content: bytes, end: bytes, same: int, n_lines: int
) -> None:
    other = content[:same] + end
    assume(content and other[:2] not in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\x28\xb5"))
    with open_text(stored(content, "")) as text:
        next(text.chunks(n_lines, 100))
        place = text.place
    read = content[: place.bytes]
    with open_text(stored(other, "")) as text:
        same_lines = other.startswith(read) and (read.endswith(b"\n") or read == other)
        assert text.skip(place) == same_lines
        assert not same_lines or rest(text) == expected_lines(other)[place.lines :]


@given(st.lists(st.binary(max_size=30), max_size=8), suffixes, st.booleans())
def test_what_is_written_compressed_is_read_again(stored: Store, blocks: list[bytes], suffix: str, flush: bool) -> None:
    path = stored(b"", suffix)
    with open(path, "wb") as file, compressing(file, path) as stream:
        for block in blocks:
            stream.write(block)
            if flush:
                stream.flush()
    content = b"".join(blocks)
    assume(not content.startswith((b"\xff\xfe", b"\xfe\xff", *MARKS.values())))
    with open_text(path) as text:
        assert rest(text) == expected_lines(content)
