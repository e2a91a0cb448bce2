"""One model for several directions: tags in front of the source, one validation set for each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_pairs, tiny_recipe, write_pairs

from seq2seq.config import Settings, load_recipe
from seq2seq.decode.scorer import Scorer
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]
THERE = {"source": "train.en", "target": "train.de"}
BACK = {"source": "train.de", "target": "train.en", "source_language": "de", "target_language": "en"}
VALID = [{**THERE, "source": "valid.en", "target": "valid.de"}, {**BACK, "source": "valid.de", "target": "valid.en"}]


def load(path: Path, *overrides: str) -> Settings:
    return load_recipe(path, overrides).settings


def both_ways(**changes: Any) -> dict[str, Any]:
    return {"train": [THERE, BACK], "valid": VALID, "tags": True, **changes}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt to write words in capitals, and capitals in small letters."""
    folder = tmp_path_factory.mktemp("both")
    for name, pairs in (("train", make_pairs(600)), ("valid", make_pairs(20, seed=1))):
        write_pairs(folder / "data", name, [(source, source.upper()) for source, _ in pairs])
    more = {"max_steps": 240, "batch_tokens": 800, "device_tokens": 800, "learning_rate": 6e-3, "warmup_steps": 60}
    more |= {"validate_every": 120, "checkpoint_every": 40, "log_every": 40}
    recipe = tiny_recipe(folder, data=both_ways(test=VALID), train=more, model={"d_model": 64, "dropout": 0.0})
    (folder / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    train(load(folder / "recipe.yaml"), CPU)
    return folder / "run"


def test_one_model_both_ways(model: Path) -> None:
    """The language asked for decides; each set has its own score, and their mean is the one that counts."""
    there, back = (Translator.load(model, target_language=language) for language in ("de", "en"))
    assert there.translate(["red dog."]) == ["RED DOG."]
    assert back.translate(["RED DOG."]) == ["red dog."]
    assert Translator.load(model).language == "de"
    assert (there.source_language, back.source_language) == ("en", "de")
    with pytest.raises(DataError, match="does not translate into fr, but into de, en"):
        Translator.load(model, target_language="fr")
    events = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    valid = next(event for event in events if "valid/bleu" in event)
    assert valid["valid/bleu"] == pytest.approx((valid["valid/bleu/en-de"] + valid["valid/bleu/de-en"]) / 2)
    assert {"test/bleu/en-de", "test/chrf/de-en", "test/bleu"} <= events[-1].keys()
    right, wrong = (Scorer.load(model, target_language=code).score(["red dog."], ["RED DOG."]) for code in ("de", "en"))
    assert right[0].log_prob != wrong[0].log_prob


def test_long_lines_carry_the_tag_in_every_part(model: Path) -> None:
    translator = Translator.load(model, target_language="en")
    line = " ".join(["DOG CAT HOUSE"] * 20) + "!"
    (ids,) = translator.tokenizer.encode_source([line], "en")
    parts = [part for _, part in translator._parts(line, ids)]
    assert len(parts) > 1
    assert {part[0] for part in parts} == {ids[0]}
    assert all(len(part) <= translator.trained.max_source_length for part in parts)
    text = [token for part in parts for token in part[1:-1].tolist()]
    assert text == ids[1:-1].tolist()


def test_fine_tuning_needs_the_tags_it_uses(recipe_file: Write, corpus: Path, model: Path) -> None:
    base = ["model.d_model=64", f"train.init_from={model}", f"output={corpus / 'tuned'}", "train.max_steps=2"]
    with pytest.raises(DataError, match="data.tags is false, but the tags of the tokenizer taken along are: de, en"):
        train(load(recipe_file(), *base), CPU)
    french = both_ways(train=[{**THERE, "target_language": "fr"}])
    with pytest.raises(DataError, match="no tag for the target language fr, only for de, en"):
        train(load(recipe_file(data=french), *base), CPU)
    train(load(recipe_file(data=both_ways()), *base), CPU)
    assert (corpus / "tuned/best").exists()


def test_other_names_of_a_language_do_without_tags(recipe_file: Write, corpus: Path) -> None:
    """A corpus may call its languages as it likes where no tag depends on it."""
    valid = {"source": "valid.en", "target": "valid.de", "target_language": "deu"}
    train(load(recipe_file(data={"valid": valid, "test": valid}), "train.max_steps=2"), CPU)
    assert (corpus / "run/best").exists()


def test_folders_from_before_the_tags_still_load(recipe_file: Write, corpus: Path) -> None:
    """What a folder of an earlier version lacks has its default; the manifest is that of the changed files."""
    from seq2seq.files import MANIFEST, write_manifest
    from seq2seq.train.checkpoint import newest_checkpoint

    train(load(recipe_file(), "train.max_steps=4"), CPU)
    folder = corpus / "run/checkpoints/step-00000004"
    for name, parts in (("tokenizer/tokenizer.json", ["languages"]), ("state.json", ["progress", "position", "rows"])):
        content = json.loads((folder / name).read_text())
        inner = content
        for part in parts[:-1]:
            inner = inner[part]
        del inner[parts[-1]]
        (folder / name).write_text(json.dumps(content))
    content = json.loads((folder / "config.json").read_text())
    for section, key in (("data", "tags"), ("data", "noise"), ("train", "ema_decay"), ("tokenizer", "sample_alpha")):
        del content["settings"][section][key]
    (folder / "config.json").write_text(json.dumps(content))
    (folder / MANIFEST).unlink()
    write_manifest(folder)
    assert Translator.load(folder).translate(["dog."])
    checkpoint = newest_checkpoint(corpus / "run")
    assert checkpoint is not None
    assert checkpoint.progress.position.rows == ()
