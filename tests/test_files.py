"""Folders of a cache are made once, and whole."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from seq2seq.files import add_file, atomic_folder, made_once, verify_manifest


def test_a_folder_is_made_once_for_all_that_want_it(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.05)
        (folder / "file").write_text("text")

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: made_once(tmp_path / "cache/x", make), range(3)))
    assert found == [tmp_path / "cache/x"] * 3
    assert len(made) == 1
    (tmp_path / "cache/x/file").write_text("damaged")
    assert (made_once(tmp_path / "cache/x", make) / "file").read_text() == "text"
    assert len(made) == 2


def test_a_folder_that_cannot_be_made_is_not_there(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made_once(tmp_path / "x", fail)
    assert {path.name for path in tmp_path.iterdir()} <= {".locks"}


@pytest.mark.parametrize(("old", "steps"), [(None, 2), ("old", 3)])
def test_a_folder_is_whole_whenever_adding_to_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str | None, steps: int
) -> None:
    real, left = os.replace, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        real(source, target)

    for step in range(steps + 1):
        folder = tmp_path / f"{step}"
        with atomic_folder(folder) as temporary:
            (temporary / "weights").write_text("weights")
            if old:
                (temporary / "more").write_text(old)
        with monkeypatch.context() as patch:
            left = step
            patch.setattr(os, "replace", replace)
            with nullcontext() if step == steps else pytest.raises(KeyboardInterrupt):
                add_file(folder, "more", lambda empty: (empty / "more").write_text("new"))
        listed = verify_manifest(folder)
        assert listed >= {"weights"}
        content = (folder / "more").read_text() if "more" in listed else None
        assert content == ([old, "new"][step == steps] if step in (0, steps) else None)
        assert {path.name for path in folder.iterdir()} <= {"weights", "more", "MANIFEST.json", ".MANIFEST.json.tmp"}
