"""Shortlists of models: learnt with a training, kept by all that it writes, or added to a finished model."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_pairs, tiny_recipe, write_pairs

from seq2seq.config import Settings, TokenizerSettings, TranslationSettings, load_recipe
from seq2seq.data.pools import StoredPools, Variation
from seq2seq.data.store import PairFilter
from seq2seq.data.streams import StreamedPools
from seq2seq.errors import DamagedError, DataError, RecipeError, RunError
from seq2seq.files import atomic_folder, lock, verify_manifest
from seq2seq.model.folder import TrainedModel, build_model, load_model, save_model
from seq2seq.text.corpora import open_corpus
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train import shortlist as module
from seq2seq.train.checkpoint import average_checkpoints
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train
from seq2seq.train.prepare import prepare
from seq2seq.train.shortlist import add_shortlist, training_shortlist

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]
NAMES = ("frequent", "offsets", "targets")


def load(path: Path, *overrides: str) -> Settings:
    return load_recipe(path, overrides).settings


def same(a: Shortlist | None, b: Shortlist | None) -> bool:
    return a is not None and b is not None and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in NAMES)


def untrained(folder: Path, languages: tuple[str, ...] = ()) -> Path:
    """A model with random weights."""
    settings = TranslationSettings.model_validate(tiny_recipe(folder))
    tokenizer = Tokenizer.train(make_pairs(200), TokenizerSettings(vocab_size=70), languages)
    with atomic_folder(folder / "model") as temporary:
        save_model(temporary, TrainedModel(build_model(settings, tokenizer), tokenizer, settings, 40))
    return folder / "model"


def test_all_that_a_run_writes_has_the_shortlist(recipe_file: Write, corpus: Path) -> None:
    recipe = recipe_file(train={"shortlist": True}, decode={"shortlist": True})
    train(load(recipe), CPU)
    average_checkpoints(corpus / "run", 2, corpus / "average")
    first = load_model(corpus / "run/best").shortlist
    for folder in ("run/checkpoints/step-00000010", "run/checkpoints/step-00000020", "average"):
        assert same(load_model(corpus / folder).shortlist, first)
    os.remove(corpus / "data/train.en")  # what a resumed run goes on with is that of its checkpoint
    write_pairs(corpus / "data", "train", make_pairs(400))
    for cached in (corpus / "cache").glob("shortlist-*"):
        shutil.rmtree(cached)
    train(load(recipe, "train.max_steps=30"), CPU, frozenset({"train.max_steps"}))
    assert same(load_model(corpus / "run/checkpoints/step-00000030").shortlist, first)
    assert not list((corpus / "cache").glob("shortlist-*"))


def test_a_tuned_model_keeps_that_of_its_base_or_learns_its_own(recipe_file: Write, corpus: Path) -> None:
    train(load(recipe_file(train={"shortlist": True}), "train.max_steps=1", f"output={corpus / 'base'}"), CPU)
    base = load_model(corpus / "base/best").shortlist
    write_pairs(corpus / "data", "other", make_pairs(50, seed=7))
    path = recipe_file(data={"train": [{"source": "other.en", "target": "other.de"}]})
    for own in ("true", "false"):
        more = [f"train.init_from={corpus / 'base'}", f"output={corpus / own}", f"train.shortlist={own}"]
        train(load(path, *more, "train.max_steps=1"), CPU)
        assert same(load_model(corpus / own / "best").shortlist, base) == (own == "false")
        assert load_model(corpus / own / "best").shortlist


def test_validation_with_a_shortlist_needs_one(recipe_file: Write, corpus: Path) -> None:
    with pytest.raises(RecipeError, match=r"decode.shortlist: .*; set train.shortlist to true as well"):
        train(load(recipe_file(decode={"shortlist": True})), CPU)
    assert not (corpus / "run/checkpoints").exists()


def test_text_and_streams_give_what_ids_give(recipe_file: Write, corpus: Path) -> None:
    """Pairs that are cut anew in each epoch are learnt from as they are cut when they are translated."""
    settings = load(recipe_file())
    assert isinstance(settings, TranslationSettings)
    prepared = prepare(settings)
    expected = training_shortlist(prepared, settings.data)
    varied = load(recipe_file(tokenizer={"sample_alpha": 0.5}))
    assert isinstance(varied, TranslationSettings)
    text = prepare(varied, prepared.tokenizer)
    assert isinstance(text.pools, StoredPools) and isinstance(text.pools.variation, Variation)
    assert text.stores[0].holds_text and not prepared.stores[0].holds_text
    assert same(training_shortlist(text, varied.data), expected)
    corpora = [open_corpus(corpus, settings.data) for corpus in settings.data.train]
    filters = [PairFilter(prepared.tokenizer, settings.data, corpus) for corpus in corpora]
    streamed = dataclasses.replace(prepared, pools=StreamedPools(corpora, filters, 1, 400), stores=[])
    found = training_shortlist(streamed, settings.data)  # of the same pairs other ones are held out
    assert len(found.targets) == pytest.approx(len(expected.targets), rel=0.1)


def test_large_corpora_are_read_in_stretches_all_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRETCH", 10)
    assert module._stretches(95, 1.0) == [(9 * i + i // 2, 9 * (i + 1) + (i + 1) // 2) for i in range(10)]
    assert module._stretches(100, 0.3) == [(0, 10), (30, 40), (60, 70)]
    assert module._stretches(5, 0.1) == [(0, 5)]


def test_a_shortlist_is_added_to_a_model(corpus: Path) -> None:
    model = untrained(corpus)
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    files = (corpus / "data/train.en", corpus / "data/train.de", None)
    add_shortlist(model, [files])
    first = load_model(model).shortlist
    assert first and verify_manifest(model) >= {SHORTLIST, "model.safetensors"}
    assert {path for path in model.rglob("*") if path.is_file()} == {*before, model / SHORTLIST}
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "MANIFEST.json")
    write_pairs(corpus / "data", "other", make_pairs(300, seed=5))
    add_shortlist(model, [files, (corpus / "data/other.en", corpus / "data/other.de", None)])
    assert not same(load_model(model).shortlist, first)
    content = (model / SHORTLIST).read_bytes()
    (model / SHORTLIST).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedError, match=r"shortlist.safetensors: damaged: its content does not match MANIFEST.json"):
        load_model(model)


def test_every_language_must_be_given(corpus: Path) -> None:
    model = untrained(corpus, ("de", "en"))
    there, back = (
        (corpus / "data/train.en", corpus / "data/train.de"),
        (corpus / "data/train.de", corpus / "data/train.en"),
    )
    with pytest.raises(DataError, match="the model translates into en too: give --source, --target and --target-lang"):
        add_shortlist(model, [(*there, "de")])
    with pytest.raises(DataError, match="does not translate into fr"):
        add_shortlist(model, [(*there, "fr")])
    add_shortlist(model, [(*there, "de"), (*back, "en")])
    trained = load_model(model)
    assert trained.shortlist and trained.shortlist.frequent[:6].tolist() == [0, 1, 2, 3, 4, 5]


def test_what_cannot_be_learnt_from(corpus: Path) -> None:
    model = untrained(corpus)
    (corpus / "blank").write_text("\n \n")
    with pytest.raises(DataError, match="no sentence pair to learn from"):
        add_shortlist(model, [(corpus / "blank", corpus / "blank", None)])
    with pytest.raises(DataError, match="train.en has 400 lines and .*valid.de has 12"):
        add_shortlist(model, [(corpus / "data/train.en", corpus / "data/valid.de", None)])
    assert load_model(model).shortlist is None


def test_a_run_in_training_is_left_alone(corpus: Path) -> None:
    run = corpus / "run"
    run.mkdir()
    untrained(corpus).rename(run / "best")
    (run / "status.json").write_text("{}")
    files = (corpus / "data/train.en", corpus / "data/train.de", None)
    with lock(run), pytest.raises(RunError, match="is being trained; wait for its end"):
        add_shortlist(run, [files])
    add_shortlist(run, [files])
    assert load_model(run / "best").shortlist
