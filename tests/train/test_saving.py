"""When checkpoints are written, and what becomes of a run that cannot write them."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.config import load_recipe
from seq2seq.files import atomic_folder, is_whole
from seq2seq.train import checkpoint, saving
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train
from seq2seq.train.monitor import read_status

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]
OFTEN = {"checkpoint_every": 2, "keep_checkpoints": 20, "ema_decay": 0.5}


def run(recipe_file: Write, output: Path, *overrides: str) -> None:
    train(load_recipe(recipe_file(train=OFTEN), [f"output={output}", *overrides]).settings, CPU)


def fail(*steps: int) -> Callable[..., None]:
    """Returns `write_checkpoint` as it is where the disk is full at some steps."""
    real = saving.write_checkpoint

    def write(folder: Path, taken: Any) -> None:
        if taken.state["progress"]["step"] in steps:
            raise OSError(errno.ENOSPC, "No space left on device (0 bytes free)", "step-N")
        real(folder, taken)

    return write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoints/step-*"))


def test_what_is_written_in_the_background_is_the_same(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: never two at a time, and the end waits."""
    run(recipe_file, corpus / "front")
    real, at_work, most = saving.write_checkpoint, [0], [0]

    def slow(*arguments: Any) -> None:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        assert threading.current_thread() is not threading.main_thread() or arguments[1].state["progress"]["step"] == 20
        time.sleep(0.2)
        real(*arguments)
        at_work[0] -= 1

    monkeypatch.setattr(saving, "write_checkpoint", slow)
    run(recipe_file, corpus / "back", "train.background_save=true")
    assert most == [1] and at_work == [0]
    assert names(corpus / "back") == names(corpus / "front") and len(names(corpus / "back")) == 10
    for name in names(corpus / "back"):
        for file in ("model", "optimizer", "ema"):
            front, back = (
                load_file(corpus / x / "checkpoints" / name / f"{file}.safetensors") for x in ("front", "back")
            )
            assert all(torch.equal(front[key], back[key]) for key in front), (name, file)


@pytest.mark.parametrize("background", ["false", "true"])
def test_one_save_may_fail(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch, background: str) -> None:
    monkeypatch.setattr(saving, "write_checkpoint", fail(4, 8))
    run(recipe_file, corpus / "run", f"train.background_save={background}")
    assert (
        "no checkpoint of step 4: step-N: No space left on device (0 bytes free)"
        in (corpus / "run/train.log").read_text()
    )
    assert read_status(corpus / "run")["state"] == "finished"
    assert [int(name[5:]) for name in names(corpus / "run")] == [2, 6, 10, 12, 14, 16, 18, 20]


@pytest.mark.parametrize("background", ["false", "true"])
@pytest.mark.parametrize("steps", [(4, 6), (20,)])
def test_two_in_a_row_or_the_last_may_not(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch, background: str, steps: tuple[int, ...]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(OSError, match="bytes free"):
        patch.setattr(saving, "write_checkpoint", fail(*steps))
        run(recipe_file, corpus / "run", f"train.background_save={background}")
    assert read_status(corpus / "run")["state"] == "failed"
    run(recipe_file, corpus / "run", f"train.background_save={background}")
    assert read_status(corpus / "run")["state"] == "finished"


def test_old_checkpoints_that_cannot_be_deleted_stay(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(checkpoint, "remove_folder", refuse)
    run(recipe_file, corpus / "run", "train.keep_checkpoints=2", "train.average_last=0")
    assert len(names(corpus / "run")) == 10
    assert "cannot delete old checkpoint" in (corpus / "run/train.log").read_text()
    monkeypatch.undo()
    run(recipe_file, corpus / "other", "train.keep_checkpoints=2", "train.average_last=0")
    assert names(corpus / "other") == ["step-00000018", "step-00000020"]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with atomic_folder(tmp_path / "kept") as temporary:
        (temporary / "file").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"\(\d[\d,]* bytes free\)") as error, atomic_folder(tmp_path / "kept") as folder:
        (folder / "file").write_text("new")
    assert error.value.filename == str(tmp_path / "kept")
    assert is_whole(tmp_path / "kept") and (tmp_path / "kept/file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_a_crash_left_is_cleared_away(recipe_file: Write, corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(recipe_file, corpus / "run")
    best = corpus / "run/best"
    content = (best / "model.safetensors").read_bytes()
    os.rename(best, corpus / "run/.best.old")  # killed between two renames
    left = [corpus / "run" / name for name in (".best.tmp", "checkpoints/.step-00000022.tmp", "checkpoints/.x.trash")]
    for folder in left:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    (corpus / "run/.metrics.jsonl.tmp").write_bytes(b"half")
    caplog.set_level(logging.INFO)
    run(recipe_file, corpus / "run")
    assert (best / "model.safetensors").read_bytes() == content
    assert not [path for path in (corpus / "run").rglob(".*") if path.name != ".lock"]
