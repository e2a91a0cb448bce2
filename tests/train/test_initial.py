"""Fine-tuning: weights and tokenizer taken along, parameters frozen by name."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import make_pairs, write_pairs
from safetensors.torch import load_file
from torch import Tensor

from seq2seq.config import Settings, load_recipe
from seq2seq.errors import ModelError, RecipeError
from seq2seq.model.folder import load_model
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]


def load(path: Path, *overrides: str) -> Settings:
    return load_recipe(path, overrides).settings


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in load_file(folder / "model.safetensors").items()}


@pytest.fixture
def base(recipe_file: Write, corpus: Path) -> Path:
    train(load(recipe_file(), f"output={corpus / 'base'}"), CPU)
    return corpus / "base"


def test_fine_tuning_takes_weights_and_tokenizer_along(recipe_file: Write, corpus: Path, base: Path) -> None:
    """On other text, with another tokenizer in its recipe, it goes on from the model; resumed, it needs it no more."""
    write_pairs(corpus / "data", "other", make_pairs(100, seed=5))
    path = recipe_file(data={"train": [{"source": "other.en", "target": "other.de"}]}, tokenizer={"vocab_size": 50})
    more = [f"train.init_from={base}", "train.learning_rate=1e-9", f"output={corpus / 'tuned'}"]
    train(load(path, *more, "train.max_steps=3", "train.average_last=0"), CPU)
    tuned, before = load_model(corpus / "tuned/checkpoints/step-00000003"), load_model(base / "best")
    assert tuned.tokenizer.hash() == before.tokenizer.hash()
    assert tuned.max_source_length >= before.max_source_length
    for name, value in weights(base / "best").items():
        assert torch.allclose(value, weights(corpus / "tuned/checkpoints/step-00000003")[name], atol=1e-6)
    base.rename(corpus / "gone")
    train(load(path, *more, "train.max_steps=5", "train.average_last=0"), CPU, frozenset({"train.max_steps"}))
    assert (corpus / "tuned/checkpoints/step-00000005").exists()


def test_another_model_is_refused(recipe_file: Write, base: Path) -> None:
    path = recipe_file(model={"layers": 2, "d_feedforward": 32, "dropout": 0.3})
    with pytest.raises(RecipeError, match=r"set in section model\n  layers: 1\n  d_feedforward: 64$"):
        train(load(path, f"train.init_from={base}"), CPU)


def test_nothing_to_start_from(recipe_file: Write, corpus: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        train(load(recipe_file(), f"train.init_from={corpus / 'nowhere'}"), CPU)


def test_frozen_parameters_stay_as_they_are(recipe_file: Write, corpus: Path) -> None:
    settings = load(recipe_file(), "train.freeze=[encoder.*, '*embedding*']", "train.max_steps=3")
    train(settings, CPU)
    train(load(recipe_file(), "train.max_steps=1", f"output={corpus / 'one'}"), CPU)
    start, end = weights(corpus / "one/checkpoints/step-00000001"), weights(corpus / "run/checkpoints/step-00000003")
    optimizer = load_file(corpus / "run/checkpoints/step-00000003/optimizer.safetensors")
    assert not [name for name in optimizer if name.startswith(("encoder.", "source_embedding"))]
    torch.manual_seed(settings.seed)
    for name, value in end.items():
        frozen = name.startswith(("encoder.", "source_embedding"))
        if not frozen:
            assert not torch.equal(value, start[name]) or value.abs().sum() == 0, name
    train(
        load(recipe_file(), "train.freeze=[encoder.*, '*embedding*']", "train.max_steps=5"),
        CPU,
        frozenset({"train.max_steps"}),
    )
    later = weights(corpus / "run/checkpoints/step-00000005")
    for name, value in later.items():
        assert torch.equal(value, end[name]) == name.startswith(("encoder.", "source_embedding")), name


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("[encode.*]", r"encode.\* matches no parameter of the model; there are\n  source_embedding.tokens.weight\n"),
        ("['*']", "no parameter is left to train"),
    ],
)
def test_senseless_patterns_are_refused(recipe_file: Write, patterns: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        train(load(recipe_file(), f"train.freeze={patterns}"), CPU)
