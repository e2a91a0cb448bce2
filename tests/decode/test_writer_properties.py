"""Whatever the lines, and wherever it is stopped: N lines for N, and the file that an undisturbed writer makes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import expected_lines, nasty_bytes

from seq2seq.cli.progress import Progress
from seq2seq.cli.translate import _into_file
from seq2seq.decode import partial
from seq2seq.decode.bulk import BulkTranslation, Tally
from seq2seq.decode.partial import PartialFile, read_journal
from seq2seq.decode.shards import Shard, finished_shard, manifest_of, merge, shard_of
from seq2seq.decode.translation import BLANK, Candidate, Translation
from seq2seq.decode.translator import Translator
from seq2seq.errors import ModelError
from seq2seq.text.compression import MARKS, compressed
from seq2seq.text.inputs import open_text
from seq2seq.text.lines import is_blank, one_line, read_raw

JOB = {"model": "m"}
suffixes = st.sampled_from(["", *MARKS])


class Capitals:
    """Stands in for a translator: capitals, except where it is asked for the impossible."""

    tell: Any = None
    context = 0

    def translate_each(self, lines: Sequence[str], n_best: int, before: Sequence[str]) -> list[Translation]:
        return [self.translate(one_line(line)) for line in lines]

    def translate(self, line: str) -> Translation:
        if "TREE" in line:
            return Translation("", [], error=ModelError("a tree"))
        return BLANK if is_blank(line) else Translation(line.upper(), [Candidate(line.upper(), 0.0, 0.0, [7])])


class Quiet:
    """Nobody looks on."""

    def show(self, *progress: object) -> None:
        pass

    def failed(self, line: int, reason: str) -> None:
        pass

    def begin_at(self, tally: Tally) -> None:
        pass


class Killed(BaseException):
    """Stands in for the end of the process: nothing is flushed behind it, nothing cleaned up."""


@st.composite
def deaths(draw: st.DrawFn) -> list[tuple[int, str, float]]:
    """Before which write each life ends, how, and how much is left of what was not safe yet (more than 1: rubbish)."""
    ends = st.sampled_from(["killed", "stopped"])
    return draw(st.lists(st.tuples(st.integers(0, 6), ends, st.floats(0, 1.5)), max_size=6))


@contextmanager
def clock(ticks: Sequence[bool]) -> Iterator[None]:
    """Between two writes a second passes, or no time at all: the journal is written or not."""
    now, turn = 0.0, 0

    def monotonic() -> float:
        nonlocal now, turn
        now += ticks[turn % len(ticks)]
        turn += 1
        return now

    with patch.object(partial.time, "monotonic", monotonic), patch.object(os, "fsync"):
        yield


def translate(source: Path, output: Path, at_once: int, shard: Shard | None = None, death: Any = None) -> Tally:
    """Translates as the command does, going on with what is left; a death ends it before one of its writes."""
    job, span, manifest = JOB, None, None
    if shard:
        span, identity = shard_of(source, shard)
        job, manifest = {**JOB, **identity}, manifest_of(output)
        if finished := finished_shard(output, job, True):
            return Tally(**finished["tally"])
    real_write, real_leave = PartialFile.write, PartialFile._leave
    left = death[0] if death else 10**9

    def write(self: PartialFile, block: bytes, state: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed if death[1] == "killed" else KeyboardInterrupt
        real_write(self, block, state)

    def leave(self: PartialFile, error: BaseException) -> None:
        if not isinstance(error, Killed):
            real_leave(self, error)

    with (
        open_text(source, span) as text,
        patch.object(PartialFile, "write", write),
        patch.object(PartialFile, "_leave", leave),
    ):
        bulk = BulkTranslation(cast(Translator, Capitals()), text, 1, False, at_once)
        _into_file(bulk, cast(Progress, Quiet()), output, job, True, manifest)
    return bulk.tally


def die(source: Path, output: Path, at_once: int, shard: Shard | None, death: tuple[int, str, float]) -> None:
    """Lets a writer end early, if it gets that far; of a killed one any part of what was not safe may be lost."""
    with suppress(Killed, KeyboardInterrupt):
        translate(source, output, at_once, shard, death)
    part = output.with_name(f"{output.name}.part")
    if death[1] == "killed" and part.exists():
        journal = part.with_name(f"{part.name}.json")
        safe = read_journal(journal).bytes if journal.exists() else 0
        unsafe = part.stat().st_size - safe
        os.truncate(part, safe + int(unsafe * min(death[2], 1.0)))
        if death[2] > 1:
            with open(part, "ab") as file:
                file.write(b"rubb\xffish\n" * 500)


def check_lines(content: bytes, found: list[bytes], tally: Tally) -> None:
    lines = expected_lines(content)
    expected = [Capitals().translate(one_line(line)) for line in lines]
    assert [line.decode() for line in found] == [translation.text + "\n" for translation in expected]
    assert tally.lines == len(lines) == len(found)
    assert tally.failed == sum(translation.error is not None for translation in expected)
    assert tally.translated == sum(bool(translation.candidates) for translation in expected)


# Of each input at least one line is translated, or none is asked to be.
inputs = (
    st.tuples(nasty_bytes, nasty_bytes).map(lambda parts: parts[0] + b"ok\n" + parts[1])
    | st.lists(st.sampled_from([b"\n", b"TREE!\n", b"dog\r\n"])).map(lambda lines: b"".join([*lines, b"ok"]))
    | st.sampled_from([b"", b"\n", b" \r\n\n"])
)


@given(inputs, suffixes, suffixes, st.integers(1, 5), deaths(), st.lists(st.booleans(), min_size=1, max_size=9))
def test_however_often_it_dies_the_file_is_the_same(
    content: bytes, source: str, target: str, at_once: int, lives: list[tuple[int, str, float]], ticks: list[bool]
) -> None:
    with TemporaryDirectory() as temporary, clock(ticks):
        folder = Path(temporary)
        path, whole, output = folder / f"in{source}", folder / f"whole{target}", folder / f"out{target}"
        path.write_bytes(compressed(content, path))
        tally = translate(path, whole, at_once)
        check_lines(content, list(read_raw(whole)), tally)
        for death in lives:
            die(path, output, at_once, None, death)
            if output.exists():
                break
        else:
            assert translate(path, output, at_once) == tally
        assert output.read_bytes() == whole.read_bytes()
        assert sorted(folder.iterdir()) == sorted([path, whole, output])


@given(inputs, suffixes, st.integers(1, 4), st.randoms(use_true_random=False), deaths())
def test_shards_that_die_are_the_whole(
    content: bytes, suffix: str, parts: int, random: Any, lives: list[tuple[int, str, float]]
) -> None:
    with TemporaryDirectory() as temporary, clock([True, False]):
        folder = Path(temporary)
        path, joined = folder / "in", folder / f"out{suffix}"
        path.write_bytes(content)
        outputs = [folder / f"out.{i}{suffix}" for i in range(parts)]
        total = Tally()
        for i, output in enumerate(outputs):
            shard = Shard(i + 1, parts)
            for death in lives[i::parts]:
                with suppress(ModelError):
                    die(path, output, 2, shard, death)
            with suppress(ModelError):
                tally = translate(path, output, 2, shard)
                for name in ("lines", "translated", "failed"):
                    setattr(total, name, getattr(total, name) + getattr(tally, name))
        if not all(map(Path.exists, outputs)):  # a part of which no line can be translated is none
            return
        random.shuffle(outputs)
        assert merge(joined, outputs) == total.lines
        check_lines(content, list(read_raw(joined)), total)


@given(nasty_bytes, deaths())
def test_of_nothing_but_failures_no_file_is_made(content: bytes, lives: list[tuple[int, str, float]]) -> None:
    with TemporaryDirectory() as temporary, clock([False]):
        folder = Path(temporary)
        lines = [line for line in expected_lines(content) if is_blank(line)]
        (folder / "in").write_bytes(b"".join(line.encode() + b"\n" for line in lines) + b"TREE!\n")
        for death in [*lives, None]:
            with pytest.raises((ModelError, Killed, KeyboardInterrupt)):
                translate(folder / "in", folder / "out", 2, None, death)
            assert not (folder / "out").exists()
