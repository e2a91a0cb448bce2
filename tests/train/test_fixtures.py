"""What older versions have written loads, translates and goes on: see tools/make_fixture.py."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq import Generator, Translator
from seq2seq.config import load_recipe
from seq2seq.model.folder import load_any
from seq2seq.train.checkpoint import newest_checkpoint
from seq2seq.train.distributed import Ranks
from seq2seq.train.update import Updater

FORMATS = sorted((Path(__file__).parents[1] / "fixtures").glob("format_*"))
CPU = Ranks(torch.device("cpu"))


def expected(run: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((run / "expected.json").read_text())
    assert len(rows) >= 10
    return rows


@pytest.mark.parametrize("folder", FORMATS, ids=str)
def test_a_stored_model_translates_as_it_did(folder: Path) -> None:
    rows = expected(folder / "translation")
    translator = Translator.load(folder / "translation", "cpu")
    found = translator.translate_all([row["source"] for row in rows])
    assert [one.text for one in found] == [row["translation"] for row in rows]
    assert [one.candidates[0].score for one in found] == pytest.approx([row["score"] for row in rows], abs=1e-4)


@pytest.mark.parametrize("folder", FORMATS, ids=str)
def test_a_stored_language_model_writes_as_it_did(folder: Path) -> None:
    rows = expected(folder / "language_model")
    generator = Generator.load(folder / "language_model", "cpu", temperature=0)
    found = [texts[0] for texts in generator.generate([row["prompt"] for row in rows])]
    assert [one.text for one in found] == [row["text"] for row in rows]
    assert [one.log_prob for one in found] == pytest.approx([row["log_prob"] for row in rows], abs=1e-3)


@pytest.mark.parametrize("folder", FORMATS, ids=str)
def test_a_stored_checkpoint_goes_on(folder: Path) -> None:
    checkpoint = newest_checkpoint(folder / "translation")
    assert checkpoint and checkpoint.progress.step == 4000 and checkpoint.progress.position.epoch > 0
    settings = load_recipe(folder / "translation/recipe.yaml").settings
    assert settings.model == checkpoint.settings.model
    trained = load_any(checkpoint.folder)
    updater = Updater(trained.model, settings, CPU, "fp32", lambda batch: torch.zeros(()))
    updater.restore(checkpoint.folder)
    moments = updater.tensors()["optimizer.safetensors"]
    assert len(moments) == 3 * len(list(trained.model.parameters()))
    assert all(int(value) == 4000 for name, value in moments.items() if name.endswith("/step"))
