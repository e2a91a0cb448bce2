"""The shipped recipes, on small stand-ins of their data."""

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import make_pairs, make_text

from seq2seq.config import LanguageModelSettings, load_recipe
from seq2seq.errors import DataError
from seq2seq.train.distributed import Ranks
from seq2seq.train.estimate import estimate
from seq2seq.train.loop import train

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = ["tokenizer.vocab_size=60", "model.d_model=32", "model.heads=2", "model.d_feedforward=64", "train.max_steps=4"]


def hub_folder(root: Path, name: str) -> None:
    """A local folder in the layout that a German-English dataset has on the hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / name / "de-en"
    folder.mkdir(parents=True)
    for split, n in (("train", 600), ("validation", 20), ("test", 20)):
        rows = [{"de": target, "en": source} for source, target in make_pairs(n, seed=n)]
        pq.write_table(pa.table({"translation": rows}), folder / f"{split}-00000-of-00001.parquet")


def run_small(folder: Path, name: str) -> dict[str, object]:
    """Trains a shipped recipe for four steps in a small size, on data in a folder; returns the status."""
    places = [f"data.root={folder}", f"data.cache={folder / 'cache'}", f"output={folder / 'run'}"]
    steps = ["train.batch_tokens=400", "train.validate_every=4", "train.checkpoint_every=2", "model.layers=1"]
    train(load_recipe(RECIPES / f"{name}.yaml", [*places, *steps, *SMALL]).settings, Ranks(torch.device("cpu")))
    status: dict[str, object] = json.loads((folder / "run/status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 4)
    return status


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("wmt_en_de", "wmt/wmt14"), ("wmt_en_de_big", "wmt/wmt14"), ("iwslt14_de_en", "bbaaaa/iwslt14-de-en")],
)
def test_hub_recipe_on_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dataset: str) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub_folder(tmp_path, dataset)
    assert "test/bleu" in run_small(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "languages"),
    [("tatoeba_de_en", "de en"), ("multi30k_en_de", "en de"), ("multi30k_many", "en de fr cs")],
)
def test_recipe_of_files_on_a_stand_in(tmp_path: Path, name: str, languages: str) -> None:
    for part, n in (("train", 600), ("valid", 10), ("val", 10), ("test_2016_flickr", 10)):
        for language in languages.split():
            side = 0 if language == "en" else 1
            lines = [f"{pair[side]} {language}\n" for pair in make_pairs(n)]
            (tmp_path / f"{part}.{language}").write_text("".join(lines))
    status = run_small(tmp_path, name)
    if name == "multi30k_many":
        assert {"test/bleu/en-de", "test/bleu/en-fr", "test/bleu/en-cs"} <= status.keys()


def text_of(folder: Path) -> None:
    """Writes what stands in for the data of a language model's recipe."""
    for file, n in (("input.txt", 400), ("train.txt", 400), ("valid.txt", 30)):
        (folder / file).write_text(make_text(n))
    import datasets

    for place, split in (
        ("Skylion007/openwebtext", "train"),
        ("Salesforce/wikitext/wikitext-103-raw-v1", "validation"),
    ):
        (folder / place).mkdir(parents=True)
        rows = [{"text": make_text(3, seed=i)} for i in range(100)]
        datasets.Dataset.from_list(rows).to_parquet(folder / place / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize("path", sorted([*RECIPES.glob("gpt_*.yaml"), *RECIPES.glob("ladder/*")]), ids=lambda p: p.stem)
def test_recipe_of_a_language_model_on_a_stand_in(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    text_of(tmp_path)
    places = [f"data.root={tmp_path}", f"data.cache={tmp_path / 'cache'}", f"output={tmp_path / 'run'}"]
    sizes = ["model.d_model=32", "model.heads=2", "model.context=16", "tokenizer.vocab_size=300"]
    steps = ["train.max_steps=4", "train.batch_tokens=64", "train.validate_every=4", "train.checkpoint_every=2"]
    settings = load_recipe(path, [*places, *sizes, *steps, "decode.max_new_tokens=4"]).settings
    train(settings, Ranks(torch.device("cpu")))
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 4)
    rows = dict(line.split("  ", 1) for line in estimate(settings, "cpu").splitlines())
    assert int(rows["parameters"].strip().replace(",", "")) > 1000


def test_gpt_recipes_have_the_sizes_they_promise() -> None:
    from seq2seq.model.gpt import GPT

    for name, vocabulary, millions in (("openwebtext", 50257, 124.4), ("shakespeare", 65, 10.8), ("books", 8000, 10.0)):
        settings = load_recipe(RECIPES / f"gpt_{name}.yaml").settings
        assert isinstance(settings, LanguageModelSettings)
        with torch.device("meta"):
            model = GPT(settings.model, vocabulary)
        assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


def test_download_failure_says_which_files_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    wanted = tmp_path / "bbaaaa/iwslt14-de-en/de-en/train-*.parquet"
    with pytest.raises(DataError, match=f"cannot be loaded: (?s:.*)for example {re.escape(str(wanted))}"):
        run_small(tmp_path, "iwslt14_de_en")


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
    assert rows["test"].strip() == "1,000 pairs en-de"
