"""What a run says of itself suffices to repeat it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.config import load_recipe
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train
from seq2seq.train.record import RECORD, add_start

Write = Callable[..., Path]
CPU = Ranks(torch.device("cpu"))


def test_a_run_can_be_repeated_from_what_it_says(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file(train={"max_steps": 10})
    train(load_recipe(path, ["train.learning_rate=2e-3"]).settings, CPU)
    train(
        load_recipe(path, ["train.learning_rate=2e-3", "train.max_steps=12"]).settings,
        CPU,
        frozenset({"train.max_steps"}),
    )
    starts = json.loads((corpus / "run/run.json").read_text())["starts"]
    assert [start["step"] for start in starts] == [0, 10]
    start = starts[-1]
    assert start["seed"] == 1 and start["ranks"] == 1 and start["device"]
    assert start["versions"]["torch"] == torch.__version__ and start["versions"]["seq2seq"]
    assert start["conditions"]["threads"] == torch.get_num_threads()
    files = {Path(entry["file"]).name: entry for entry in start["data"]}
    assert files.keys() == {"train.en", "train.de", "valid.en", "valid.de"}
    for name, entry in files.items():
        content = (corpus / "data" / name).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert start["git"] is None or len(start["git"]["commit"]) == 40

    train(load_recipe(corpus / "run/recipe.yaml", [f"output={corpus / 'again'}"]).settings, CPU)
    one, two = (load_file(corpus / name / "best/model.safetensors") for name in ("run", "again"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"starts": 3}', "no JSON"])
def test_a_record_that_is_none_is_begun_anew(recipe_file: Write, tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    add_start(tmp_path, load_recipe(recipe_file()).settings, {}, CPU, 7)
    assert [start["step"] for start in json.loads((tmp_path / RECORD).read_text())["starts"]] == [7]


def test_code_that_differs_from_its_commit_is_kept(tmp_path: Path) -> None:
    import subprocess

    from seq2seq.train import record

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")
    diff = tmp_path / "code.diff"
    assert record.git_state(package, diff) is None
    git("init")
    git("add", "package")
    git("commit", "-m", "first")
    state = record.git_state(package, diff)
    assert state and state["changed"] == [] and not diff.exists()
    (package / "__init__.py").write_text("x = 2\n")
    state = record.git_state(package, diff)
    assert state and state["changed"] == ["package/__init__.py"]
    assert "+x = 2" in diff.read_text()
