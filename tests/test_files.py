"""Folders of a cache are made once, and whole."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seq2seq.files import made_once


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
