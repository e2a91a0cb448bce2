"""The shipped recipes, on small stand-ins of their data."""

import json
from pathlib import Path

import pytest
import torch
from conftest import make_pairs

from seq2seq.config import load_recipe
from seq2seq.train.distributed import Ranks
from seq2seq.train.estimate import estimate
from seq2seq.train.loop import train

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = ["tokenizer.vocab_size=60", "model.d_model=32", "model.heads=2", "model.d_feedforward=64", "train.max_steps=4"]


def wmt_folder(root: Path) -> None:
    """A local folder in the layout that wmt/wmt14 has on the hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / "wmt/wmt14/de-en"
    folder.mkdir(parents=True)
    for split, n in (("train", 600), ("validation", 20), ("test", 20)):
        rows = [{"de": target, "en": source} for source, target in make_pairs(n, seed=n)]
        pq.write_table(pa.table({"translation": rows}), folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize("name", ["wmt_en_de", "wmt_en_de_big"])
def test_wmt_recipe_on_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    wmt_folder(tmp_path)
    places = [f"data.root={tmp_path}", f"data.cache={tmp_path / 'cache'}", f"output={tmp_path / 'run'}"]
    steps = ["train.batch_tokens=400", "train.validate_every=4", "train.checkpoint_every=2", "model.layers=1"]
    recipe = load_recipe(RECIPES / f"{name}.yaml", [*places, *steps, *SMALL])
    train(recipe.settings, Ranks(torch.device("cpu")))
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 4)
    assert "test/bleu" in status


def test_wmt_recipes_have_the_sizes_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.model.transformer import Transformer

    for name, millions in (("wmt_en_de", 63), ("wmt_en_de_big", 214)):  # table 3: 65 and 213
        settings = load_recipe(RECIPES / f"{name}.yaml").settings
        with torch.device("meta"):
            model = Transformer(settings.model, settings.tokenizer.vocab_size, settings.tokenizer.vocab_size, True)
        assert round(sum(p.numel() for p in model.parameters()) / 1e6) == millions


def test_demo_recipe_is_of_the_size_promised(tmp_path: Path) -> None:
    places = [f"data.root={RECIPES / 'demo'}", f"data.cache={tmp_path}"]
    text = estimate(load_recipe(RECIPES / "demo.yaml", places).settings, "cpu")
    rows = dict(line.split("  ", 1) for line in text.splitlines())
    assert 1_000_000 <= int(rows["parameters"].strip().replace(",", "")) <= 2_000_000
    assert rows["test"].strip() == "1,000 pairs"
