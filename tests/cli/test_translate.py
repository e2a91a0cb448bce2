"""seq2seq-translate and seq2seq-merge on files: gone on with, in parts, compressed; on a tiny model in this process."""

import gzip
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lines import nasty_lines, random_model
from seq2seq.cli import merge, progress, score, translate
from seq2seq.decode import partial, translator
from seq2seq.decode.searcher import Searcher
from seq2seq.decode.translation import Translation
from seq2seq.decode.translator import Translator
from seq2seq.errors import ModelError
from seq2seq.text.compression import compressed
from seq2seq.text.lines import read_raw

LINES = 120
CHUNK = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator, "STREAM_LINES", CHUNK)
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0.0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.write_bytes(b"".join(nasty_lines(LINES, seed=5)))
    return path


def run(model: Path, *arguments: object, stdin: bytes = b"") -> Result:
    options = [str(model), "--device", "cpu", "--beam-size", 1, "--max-length-ratio", 0.1, *arguments]
    return CliRunner().invoke(translate.main, list(map(str, options)), input=stdin)


def stop_behind(monkeypatch: pytest.MonkeyPatch, chunks: int, stop: Any) -> None:
    """Lets something happen when some chunks have been translated."""
    real = Translator.translate_each

    def translate_each(
        self: Translator,
        lines: Sequence[str],
        n_best: int = 1,
        before: Sequence[str] = (),
        prefixes: Sequence[str] = (),
    ) -> list[Translation]:
        nonlocal chunks
        chunks -= 1
        if chunks < 0:
            stop()
        return real(self, lines, n_best, before, prefixes)

    monkeypatch.setattr(Translator, "translate_each", translate_each)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_a_signal_it_goes_on(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int, code: int
) -> None:
    expected = run(model, stdin=source.read_bytes()).stdout_bytes
    assert expected.count(b"\n") == LINES
    files = ["--input", source, "--output", tmp_path / "out"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells take from what they start behind
    try:
        with monkeypatch.context() as patch:
            stop_behind(patch, 3, lambda: os.kill(os.getpid(), signum))
            stopped = run(model, *files)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.exit_code == code
    assert f"what has been done is in {tmp_path / 'out.part'}; the same command with --resume goes on" in stopped.stderr
    assert (tmp_path / "out.part").read_bytes() == b"".join(expected.splitlines(True)[: 3 * CHUNK])
    assert not (tmp_path / "out").exists()
    resumed = run(model, *files, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert f"going on behind line {3 * CHUNK}" in resumed.stderr
    assert (tmp_path / "out").read_bytes() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_stdin_is_gone_on_with_if_it_begins_alike(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = source.read_bytes()
    with monkeypatch.context() as patch:
        stop_behind(patch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert run(model, "--output", tmp_path / "out.gz", "--format", "jsonl", stdin=content).exit_code == 143
    arguments = ["--output", tmp_path / "out.gz", "--format", "jsonl", "--resume"]
    changed = run(model, *arguments, stdin=b"changed" + content)
    assert changed.exit_code == 3
    assert "the input does not begin with the text that has been translated so far" in changed.stderr
    other = run(model, *arguments, "--min-length", "1", "--n-best", "1", stdin=content)
    assert other.exit_code == 3
    assert "out.gz.part was begun otherwise:\n  min_length: was 0, is 1\nGo on as it was begun" in other.stderr
    assert run(model, *arguments, stdin=content).exit_code == 0
    expected = run(model, "--format", "jsonl", stdin=content).stdout_bytes
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == expected


def test_without_resume_it_starts_over_and_says_so(model: Path, source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.part").write_bytes(b"what another has left\n")
    out = run(model, "--input", source, "--output", tmp_path / "out")
    assert out.exit_code == 0
    assert f"{tmp_path / 'out.part'} is started over; --resume would have gone on with it" in out.stderr
    assert (tmp_path / "out").read_bytes() == run(model, stdin=source.read_bytes()).stdout_bytes


def test_parts_are_merged_if_they_are_a_whole(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(model, stdin=source.read_bytes()).stdout_bytes
    parts = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    arguments = [("--input", source, "--output", part, "--shard", f"{i}/3") for i, part in enumerate(parts, 1)]

    def merged(*paths: Path) -> tuple[int, str]:
        done = CliRunner().invoke(merge.main, [str(tmp_path / "whole"), *map(str, paths)])
        return done.exit_code, done.stderr

    for part in (1, 2):
        assert run(model, *arguments[part]).exit_code == 0
    code, message = merged(*parts)
    assert code == 2 and f"part1: is no finished shard (no {parts[0]}.shard.json)" in message
    assert merged(parts[2], parts[1])[1].endswith("of 3 shards these are missing: 1\n")
    assert run(model, *arguments[0], "--min-length", 1).exit_code == 0
    assert "part2: differs from" in merged(*parts)[1] and "  min_length: was 1, is 0" in merged(*parts)[1]
    refused = run(model, *arguments[0], "--resume")
    assert refused.exit_code == 3 and "part1 was begun otherwise:\n  min_length: was 1, is 0" in refused.stderr
    assert run(model, *arguments[0]).exit_code == 0
    with monkeypatch.context() as patch:
        stop_behind(patch, 0, lambda: pytest.fail("translated again"))
        again = run(model, *arguments[0])
    assert again.exit_code == 0 and "shard 1/3 is finished already" in again.stderr
    everything = sorted(tmp_path.glob("part*"))
    assert len(everything) == 6 and merged(*everything)[0] == 0
    assert merged(*parts[::-1]) == (0, f"{LINES} lines of 3 parts in {tmp_path / 'whole'}\n")
    assert (tmp_path / "whole").read_bytes() == expected
    (tmp_path / "whole").unlink()
    assert "part2: is shard 2, and so is" in merged(*parts, parts[1])[1]
    content = parts[1].read_bytes()
    parts[1].write_bytes(content[:-1])
    assert "part2: has not the size that it was written with" in merged(*parts)[1]
    parts[1].write_bytes(b"?" + content[1:])
    assert "part2: has changed since it was translated" in merged(*parts)[1]
    assert run(model, *arguments[1]).exit_code == 0  # what has changed is translated again
    assert parts[1].read_bytes() == content
    source.write_bytes(source.read_bytes() + b"one more")
    assert run(model, *arguments[2]).exit_code == 0
    assert "part3: differs from" in merged(*parts)[1]
    assert not (tmp_path / "whole").exists()


def test_files_are_compressed_as_they_are_named(model: Path, source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    expected = run(model, stdin=content).stdout_bytes
    (tmp_path / "in.zst").write_bytes(compressed(content, Path("x.zst")))
    assert run(model, "--input", tmp_path / "in.zst", "--output", tmp_path / "out.zst").exit_code == 0
    assert b"".join(read_raw(tmp_path / "out.zst")) == expected
    (tmp_path / "in.gz").write_bytes(gzip.compress(content)[:-40])
    truncated = run(model, "--input", tmp_path / "in.gz", "--output", tmp_path / "out.gz")
    assert truncated.exit_code == 2
    assert f"error: {tmp_path / 'in.gz'}: cannot be read: the file is truncated" in truncated.stderr
    assert not (tmp_path / "out.gz").exists()
    (tmp_path / "t.zst").write_bytes(compressed(b"dog\n" * 3, Path("x.zst")))
    pair = ["--source", tmp_path / "t.zst", "--target", tmp_path / "t.zst", "--output", tmp_path / "scores.gz"]
    assert CliRunner().invoke(score.main, [str(model), *map(str, pair)]).exit_code == 0
    assert len(gzip.decompress((tmp_path / "scores.gz").read_bytes()).splitlines()) == 3


def test_a_line_that_fails_harms_no_other(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Searcher._search_queue

    def search(self: Searcher, part: Any, *more: int) -> Any:
        if any(list(ids) == list(guilty) for ids, _ in part):
            raise ModelError("not numbers")
        return real(self, part, *more)

    (guilty,) = Translator.load(model, "cpu").tokenizer.encode_source(["the old dog"])
    lines = ["a house", "the old dog", "a tree"]
    expected = run(model, stdin="\n".join(lines).encode()).stdout.split("\n")
    with monkeypatch.context() as patch:
        patch.setattr(Searcher, "_search_queue", search)
        out = run(model, stdin="\n".join(lines).encode())
        assert out.exit_code == 0
        assert out.stdout.split("\n") == [expected[0], "", *expected[2:]]
        assert "line 2 cannot be translated: not numbers\n" in out.stderr
        assert "1 of 3 lines could not be translated and are empty" in out.stderr
        (tmp_path / "in").write_text("\n".join(lines))
        strict = run(model, "--input", tmp_path / "in", "--output", tmp_path / "out", "--strict")
        assert strict.exit_code == 2
        assert (tmp_path / "out").read_text() == out.stdout
        nothing = run(model, "--output", tmp_path / "none", stdin=b"the old dog\n\nthe old dog\n")
        assert nothing.exit_code == 4
        assert "error: not numbers" in nothing.stderr
        assert not list(tmp_path.glob("none*"))
    record = json.loads(run(model, "--format", "jsonl", stdin=b"a house\n").stdout)
    assert record["failed"] is False and record["truncated"] is True
    assert run(model, "--strict", stdin=b"a house\n").exit_code == 2  # cut off


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "--resume needs --output, a file"),
        (["--resume", "--output", "/dev/null"], "--resume needs --output, a file"),
        (["--shard", "1/2", "--output", "x"], "--shard needs --input"),
        (["--shard", "3/2", "--input", "x", "--output", "y"], "'3/2' is not I/N with I from 1 to N"),
        (["--shard", "two", "--input", "x", "--output", "y"], "'two' is not I/N"),
        (["--shard", "1/2", "--input", "none", "--output", "y"], "none: cannot be read: No such file"),
    ],
)
def test_options_that_do_not_go_together(model: Path, arguments: list[str], message: str) -> None:
    out = run(model, *arguments)
    assert out.exit_code == 2
    assert message in out.stderr


def test_progress_is_told_now_and_then(
    model: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ["--input", source, "--output", tmp_path / "out"]
    assert "lines/s" not in run(model, *files).stderr
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    told = run(model, *files).stderr
    assert " of the input, 0:00:0" in told
    assert f"\n{LINES} lines, " in told and " lines/s, " in told and " tokens/s in 0:00:0" in told
    piped = run(model, stdin=source.read_bytes()).stderr
    assert "lines/s" in piped and "of the input" not in piped
