"""What is told of model folders, whole and damaged."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import make_pairs, text_recipe, tiny_recipe

from seq2seq.config import TokenizerSettings, settings_from_dict
from seq2seq.errors import ModelError
from seq2seq.evaluate.doctor.folder import Folder, inspect_folder
from seq2seq.evaluate.doctor.report import folder_html, folder_text
from seq2seq.files import atomic_folder, fingerprint, sha256, write_json
from seq2seq.model.folder import TrainedGPT, TrainedModel, build_model, save_model
from seq2seq.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a best model and a checkpoint."""
    tmp_path = tmp_path_factory.mktemp("made")
    settings = settings_from_dict(tiny_recipe(tmp_path))
    tokenizer = Tokenizer.train(make_pairs(200), TokenizerSettings(vocab_size=60))
    torch.manual_seed(0)
    for name in ("best", "checkpoints/step-00000120"):
        with atomic_folder(tmp_path / "run" / name) as temporary:
            save_model(temporary, TrainedModel(build_model(settings, tokenizer), tokenizer, settings, 41))
    (tmp_path / "run/status.json").write_text(json.dumps({"state": "finished", "step": 1200}))
    return tmp_path / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_a_whole_run(run: Path) -> None:
    folder = inspect_folder(run)
    assert folder.faults == []
    assert folder.path == run / "best"
    assert folder.facts["run"] == f"{run}: finished at step 1,200"
    assert folder.facts["longest source"].startswith("41 tokens")
    assert folder.facts["tokenizer"] == "sentencepiece, 60 tokens, one vocabulary"
    assert folder.facts["special ids"] == "pad 0, unk 1, bos 2, eos 3"
    settings = settings_from_dict(tiny_recipe(run.parent))
    model = build_model(settings, Tokenizer.load(run / "best/tokenizer"))
    assert sum(folder.parameters.values()) == sum(parameter.numel() for parameter in model.parameters())
    assert folder.parameters["encoder"] == sum(parameter.numel() for parameter in model.encoder.parameters())
    assert folder.models == {"best": "whole", "checkpoints/step-00000120": "whole"}
    assert {file.name: file.sha256 for file in folder.files} == {
        path.relative_to(run / "best").as_posix(): sha256(path)
        for path in (run / "best").rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }
    assert "whole: every byte" in folder_text(folder)
    assert json.loads(json.dumps(folder.record()))["whole"] is True


def test_a_language_model(tmp_path: Path) -> None:
    settings = settings_from_dict(text_recipe(tmp_path))
    tokenizer = Tokenizer.train_on_text(["abc def\n"] * 5, settings.tokenizer)  # type: ignore[arg-type]
    with atomic_folder(tmp_path / "gpt") as temporary:
        save_model(temporary, TrainedGPT(build_model(settings, tokenizer), tokenizer, settings))  # type: ignore[arg-type]
    folder = inspect_folder(tmp_path / "gpt")
    assert (folder.faults, folder.facts["task"]) == ([], "language_model")


@pytest.mark.parametrize(
    "name", ["MANIFEST.json", "config.json", "model.safetensors", "tokenizer/tokenizer.json", "tokenizer/shared.model"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "binary"])
def test_every_damage_is_told_and_nothing_crashes(run: Path, name: str, damage: str) -> None:
    path = run / "best" / name
    content = path.read_bytes()
    half = len(content) // 2
    path.unlink()
    if damage != "missing":
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        path.write_bytes(
            {"empty": b"", "cut": content[:half], "flipped": flipped, "binary": b"\xff\xfe\x00" * 99}[damage]
        )
    folder = inspect_folder(run / "best")
    assert any(name.split("/")[0] in fault for fault in folder.faults)
    assert "error: " in folder_text(folder)
    assert "Damaged" in folder_html(folder, "command")
    whole = inspect_folder(run)  # the checkpoint still is
    assert whole.path == run / "checkpoints/step-00000120"
    assert whole.models["best"] != "whole" and len(whole.faults) == 1


def test_a_model_of_another_tokenizer_and_another_format(run: Path) -> None:
    manifest = {**json.loads((run / "best/MANIFEST.json").read_text()), "format_version": 2, "new": "in version 2"}
    del manifest["digest"]
    write_json(run / "best/MANIFEST.json", {**manifest, "digest": fingerprint(manifest)})
    config = json.loads((run / "best/config.json").read_text())
    (run / "best/config.json").write_text(json.dumps({**config, "tokenizer_hash": "0"}))
    faults = "\n".join(inspect_folder(run / "best").faults)
    assert "format version 2" in faults and "another tokenizer" in faults


def test_folders_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a model folder nor a run folder"):
        inspect_folder(tmp_path)


def test_text_of_folders_is_escaped() -> None:
    folder = Folder(Path("<b>x</b>"), {"<i>": "<script>"}, faults=["<u>"])
    page = folder_html(folder, "<s>")
    assert not any(mark in page for mark in ("<b>x", "<i>", "<script>", "<u>", "<s>"))
