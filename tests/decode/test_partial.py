"""Files that are written in blocks: killed anywhere, they go on; what does not belong together is refused."""

import errno
import gzip
import json
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from seq2seq.decode import partial
from seq2seq.decode.partial import PartialFile
from seq2seq.errors import RunError
from seq2seq.text.lines import read_raw

BLOCKS = [b"first\n", b"", b"second\n" * 5, b"third\n", b"last\n"]
JOB = {"model": "m", "beam_size": 5}


@pytest.fixture(autouse=True)
def commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "COMMIT_SECONDS", 0.0)


def write(path: Path, resume: bool = True, job: dict[str, Any] = JOB, manifest: Path | None = None) -> int:
    """Writes all blocks that are missing; returns how many were there."""
    with PartialFile(path, job, resume, manifest) as file:
        begun = file.state["blocks"] if file.state else 0
        if not file.finished:
            for i in range(begun, len(BLOCKS)):
                file.write(BLOCKS[i], {"blocks": i + 1})
    return int(begun)


def dies_at(event: int, path: Path, manifest: Path | None) -> bool:
    """Writes in a process that is killed at some line of the code that writes; says whether it got that far."""
    left = event

    def trace(frame: FrameType, kind: str, argument: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(("seq2seq/decode/partial.py", "seq2seq/files.py")):
            return None
        left -= kind == "line"
        if left < 0:
            os._exit(9)  # nothing is flushed, nothing cleaned up
        return trace

    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        write(path, manifest=manifest)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize(("name", "step"), [
    ("out", 7), ("out.gz", 7), pytest.param("out", 1, marks=pytest.mark.slow),
    pytest.param("out.gz", 1, marks=pytest.mark.slow),
])  # fmt: skip
def test_killed_at_any_line_of_the_code_it_goes_on(tmp_path: Path, name: str, step: int) -> None:
    expected = b"".join(BLOCKS)
    manifest = tmp_path / "manifest" if name == "out.gz" else None
    write(tmp_path / f"whole.{name}")
    whole = (tmp_path / f"whole.{name}").read_bytes()
    assert (gzip.decompress(whole) if manifest else whole) == expected
    event, begun = 0, set()
    while dies_at(event, tmp_path / name, manifest):
        dies_at(event // 2, tmp_path / name, manifest)  # the next one, too
        part = tmp_path / f"{name}.part"
        all_there = part.exists() and part.stat().st_size == len(whole)
        done = write(tmp_path / name, manifest=manifest)
        assert done >= all_there * (len(BLOCKS) - 1)
        begun.add(done)
        assert (tmp_path / name).read_bytes() == whole
        assert not list(tmp_path.glob(f"{name}.part*"))
        if manifest:
            assert json.loads(manifest.read_text())["state"] == {"blocks": len(BLOCKS)}
            manifest.unlink()
        (tmp_path / name).unlink()
        event += step
    assert event > 150
    assert begun == set(range(len(BLOCKS) + 1))


def stopped(path: Path, error: BaseException | None = None, blocks: int = 2) -> BaseException:
    """Lets a writer end early, and returns the error that it ended with."""
    with pytest.raises(BaseException) as raised, PartialFile(path, JOB, False) as file:
        for i in range(blocks):
            file.write(BLOCKS[i], {"blocks": i + 1})
        raise error or KeyboardInterrupt
    return raised.value


def test_what_is_left_can_be_gone_on_with_and_says_so(tmp_path: Path) -> None:
    error = stopped(tmp_path / "out")
    assert error.__notes__ == [
        f"what has been done is in {tmp_path / 'out.part'}; the same command with --resume goes on behind it"
    ]
    assert not (tmp_path / "out").exists()
    with open(tmp_path / "out.part", "ab") as file:
        file.write(b"half a li")  # of which the journal knows nothing
    assert write(tmp_path / "out") == 2
    assert (tmp_path / "out").read_bytes() == b"".join(BLOCKS)


def test_nothing_is_left_of_nothing(tmp_path: Path) -> None:
    assert not hasattr(stopped(tmp_path / "out", blocks=0), "__notes__")
    assert list(tmp_path.iterdir()) == []


def test_it_is_started_over_unless_told_to_go_on(tmp_path: Path) -> None:
    stopped(tmp_path / "out")
    with PartialFile(tmp_path / "out", JOB, resume=False) as file:
        assert file.replaces == len(BLOCKS[0])
        assert file.state is None
        file.write(b"new\n", {})
    assert (tmp_path / "out").read_bytes() == b"new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_job_is_refused_with_what_differs(tmp_path: Path) -> None:
    stopped(tmp_path / "out")
    with pytest.raises(RunError, match="(?s)out.part was begun otherwise:\n  beam_size: was 5, is 4\nGo on as it was"):
        write(tmp_path / "out", job={**JOB, "beam_size": 4})
    with pytest.raises(RunError, match="n_best: was None, is 2"):
        write(tmp_path / "out", job={**JOB, "n_best": 2})
    assert write(tmp_path / "out") == 2


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    stopped(tmp_path / "out")
    journal = tmp_path / "out.part.json"
    content = journal.read_text()
    for broken in ("", content[:-20], "[]", content.replace('version": 1', 'version": 9')):
        journal.write_text(broken)
        with pytest.raises(RunError, match=r"out.part.json: not usable"):
            write(tmp_path / "out")
    journal.write_text(content)
    os.truncate(tmp_path / "out.part", 3)
    with pytest.raises(RunError, match="has 3 bytes, fewer than the 6 that were safe"):
        write(tmp_path / "out")


def test_two_cannot_write_the_same_file(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "out", JOB, False) as file:
        with pytest.raises(RunError, match=r"out.part: another process is writing it"):
            write(tmp_path / "out")
        file.write(b"x\n", {})
    assert (tmp_path / "out").read_bytes() == b"x\n"


def test_a_full_disk_is_named_and_can_be_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdopen

    class FullDisk:
        def __init__(self, descriptor: int, mode: str) -> None:
            self._file = real(descriptor, mode)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> None:
            if data == BLOCKS[3]:
                self._file.write(data[:2])
                raise OSError(errno.ENOSPC, "No space left on device")
            self._file.write(data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", FullDisk)
        with pytest.raises(OSError, match=r"No space left on device \([\d,]+ bytes free\): '.*out.part'"):
            write(tmp_path / "out")
    assert write(tmp_path / "out") == 3
    assert (tmp_path / "out").read_bytes() == b"".join(BLOCKS)


def test_empty_files_are_valid_ones(tmp_path: Path) -> None:
    for name in ("a", "a.gz", "a.zst"):
        with PartialFile(tmp_path / name, JOB, False) as file:
            file.write(b"", {})
        assert list(read_raw(tmp_path / name)) == []
        assert bool((tmp_path / name).stat().st_size) == (name != "a")


def test_a_link_stays_a_link_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"".join(BLOCKS)
    with pytest.raises(FileNotFoundError) as raised:
        write(tmp_path / "none/out")
    assert raised.value.filename == str(tmp_path / "none/out")
