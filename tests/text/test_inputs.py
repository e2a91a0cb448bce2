import random
from functools import partial
from pathlib import Path

import pytest

from lines import nasty_lines
from seq2seq.errors import DataError
from seq2seq.text.compression import compressed
from seq2seq.text.inputs import open_text, part_of
from seq2seq.text.lines import decode_line

COMPRESS = {suffix: partial(compressed, path=Path(f"x{suffix}")) for suffix in ("", ".gz", ".zst")}


def texts(path: Path, n_lines: int = 7, n_bytes: int = 300, part: tuple[int, int] | None = None) -> list[str]:
    with open_text(path, part_of(path, *part)[0] if part else None) as text:
        return [line for chunk in text.chunks(n_lines, n_bytes) for line in chunk]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_parts_are_the_whole(tmp_path: Path, suffix: str) -> None:
    draw = random.Random(4)
    for n_lines in (0, 1, 2, 30):
        rows = [draw.choice([b"", b"a", b"bc\r", b"d" * 200]) + b"\n" for _ in range(n_lines)]
        content = b"".join(rows) + draw.choice([b"", b"no end"])
        path = tmp_path / f"in{suffix}"
        path.write_bytes(COMPRESS[suffix](content))
        whole = texts(path)
        assert whole == [decode_line(row) for row in content.split(b"\n")[: content.count(b"\n")]] + (
            ["no end"] if content.endswith(b"end") else []
        )
        for parts in (1, 2, 3, 7, 50):
            assert [line for i in range(1, parts + 1) for line in texts(path, part=(i, parts))] == whole


def test_parts_have_like_sizes_and_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"".join(nasty_lines(900, seed=2)))
    end = 0
    for number in range(1, 5):
        span, size = part_of(path, number, 4)
        with open_text(path, span) as text:
            assert text.start == end
            assert sum(len(chunk) for chunk in text.chunks(100, 10**9)) == text.place.lines
            assert text.share == 1.0
            end += text.place.bytes
            assert text.place.bytes == pytest.approx(size / 4, abs=6000)
    assert end == path.stat().st_size


def test_a_bom_counts_at_the_beginning_of_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes("\ufeffa\n\ufeffb\n\ufeffc\n".encode())
    assert texts(tmp_path / "in", n_lines=1) == ["a", "\ufeffb", "\ufeffc"]
    assert texts(tmp_path / "in", part=(3, 3)) == ["\ufeffc"]


def test_chunks_end_behind_lines_or_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x\n" * 5 + b"y" * 50 + b"\n" + b"z\n" * 3)
    with open_text(tmp_path / "in") as text:
        assert [len(chunk) for chunk in text.chunks(3, 40)] == [3, 3, 3]
        assert text.share == 1.0
    with open_text(tmp_path / "in") as text:
        assert [len(chunk) for chunk in text.chunks(100, 11)] == [6, 3]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_reading_goes_on_where_another_has_come(tmp_path: Path, suffix: str) -> None:
    rows = list(nasty_lines(300, seed=3))
    path = tmp_path / f"in{suffix}"
    path.write_bytes(COMPRESS[suffix](b"".join(rows)))
    whole = texts(path)
    for part in (None, (2, 3)):
        span = part_of(path, *part)[0] if part else None
        expected = texts(path, part=part)
        with open_text(path, span) as text:
            first = next(text.chunks(20, 10**9))
            place = text.place
        with open_text(path, span) as text:
            assert text.skip(place)
            assert first + [line for chunk in text.chunks(20, 10**9) for line in chunk] == expected
            last = text.place
    assert place.lines == 20 and last.lines == len(expected) < len(whole)
    path.write_bytes(COMPRESS[suffix](b"".join([*rows[:150], b"!", *rows[150:]])))
    with open_text(path, span) as text:
        assert not text.skip(last)


def test_what_is_no_utf8_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes("text\n".encode("utf-16"))
    with pytest.raises(DataError, match="in: is UTF-16; convert it to UTF-8 first"):
        texts(tmp_path / "in")
    with pytest.raises(DataError, match="is no file, which alone can be divided"):
        part_of(tmp_path, 1, 2)
    with pytest.raises(DataError, match=r"none.gz: cannot be read: No such file"):
        part_of(tmp_path / "none.gz", 1, 2)


def test_zstd_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.errors import Seq2SeqError
    from seq2seq.text import compression

    (tmp_path / "in.zst").write_bytes(COMPRESS[".zst"](b"text\n"))
    assert texts(tmp_path / "in.zst") == ["text"]
    (tmp_path / "in.zst").write_bytes(COMPRESS[".zst"](b"text\n" * 99)[:-3])
    with pytest.raises(DataError, match=r"in.zst: cannot be read: the file is truncated"):
        texts(tmp_path / "in.zst")

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(compression, "import_module", missing)
    with pytest.raises(Seq2SeqError, match=r"in.zst: .zst needs Python 3.14, or the extra zstd: pip install backports"):
        texts(tmp_path / "in.zst")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_lines_before_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, n: int) -> None:
    """Of a part, and of what has been read on another occasion; the blocks in which a file is read do not matter."""
    lines = ["\ufefffirst", "", "\ufeffb\rc", "d" * 50, "", "x\ufffd", *map(str, range(20)), "y" * 30, "end"]
    path = tmp_path / f"in{suffix}"
    path.write_bytes(COMPRESS[suffix]("\n".join(lines).replace("\n", "\r\n").encode()))
    with open_text(path) as text:
        (wanted,) = text.chunks(1000, 10**6)
        assert text.before == []
    for size in (1, 7, 10**6):
        monkeypatch.setattr("seq2seq.text.inputs.BUFFER", size)
        done = 0
        for i in range(1, 12):
            span = part_of(path, i, 11)[0]
            with open_text(path, span, n) as text:
                assert text.before == wanted[max(0, done - n) : done]
                for chunk in text.chunks(2, 10**6):
                    done += len(chunk)
                    with open_text(path, span, n) as again:
                        assert again.skip(text.place)
                        assert done == len(wanted) or again.before == wanted[max(0, done - n) : done]
        assert done == len(wanted)
