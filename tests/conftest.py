"""What the tests share: small generated corpora and recipes; nothing from outside."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, settings

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is promised bit for bit is promised on the CPU
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: more threads would wait for each other
    os.environ["OMP_NUM_THREADS"] = "1"

# The same examples in every run, whatever the clock, the machine or a former run says.
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same")

WORDS = [
    "red",
    "blue",
    "old",
    "new",
    "big",
    "small",
    "dog",
    "cat",
    "house",
    "tree",
    "car",
    "boat",
    "sees",
    "finds",
    "takes",
    "leaves",
]


def make_pairs(n: int, seed: int = 0) -> list[tuple[str, str]]:
    """Sentences with their words in reverse and in capitals: easy to learn, ragged, no two words alike."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(n):
        words = [WORDS[i] for i in random.integers(len(WORDS), size=random.integers(1, 9))]
        pairs.append((" ".join(words) + ".", " ".join(reversed(words)).upper() + "!"))
    return pairs


def write_pairs(folder: Path, name: str, pairs: list[tuple[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for side, suffix in enumerate(("en", "de")):
        (folder / f"{name}.{suffix}").write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")


TINY_TRAINING = {
    "max_steps": 20,
    "learning_rate": 3e-3,
    "warmup_steps": 5,
    "log_every": 3,
    "validate_every": 10,
    "checkpoint_every": 10,
    "average_last": 2,
}


def tiny_recipe(folder: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """A recipe over the corpus below that trains in seconds."""
    recipe: dict[str, Any] = {
        "output": str(folder / "run"),
        "data": {
            "root": str(folder / "data"),
            "source_language": "en",
            "target_language": "de",
            "train": [{"source": "train.en", "target": "train.de"}],
            "valid": {"source": "valid.en", "target": "valid.de"},
            "cache": str(folder / "cache"),
            "pool_size": 150,
        },
        "tokenizer": {"vocab_size": 60},
        "model": {"layers": 1, "d_model": 32, "heads": 2, "d_feedforward": 64, "dropout": 0.1},
        "train": {**TINY_TRAINING, "batch_tokens": 300, "device_tokens": 256},
        "decode": {"beam_size": 2},
    }
    return {**recipe, **{name: {**recipe[name], **values} for name, values in sections.items()}}


def make_text(n: int, seed: int = 0) -> str:
    """Lines of running text, blank ones between them; no two lines alike."""
    return "".join(f"{source}\n" + "\n" * (i % 3 == 2) for i, (source, _) in enumerate(make_pairs(n, seed)))


def text_recipe(folder: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """A recipe for a language model of that text, which is written, that trains in seconds."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/train.txt").write_text(make_text(300), encoding="utf-8")
    recipe: dict[str, Any] = {
        "task": "language_model",
        "output": str(folder / "run"),
        "data": {
            "root": str(folder / "data"),
            "train": [{"text": "train.txt"}],
            "valid": {"share": 0.1},
            "cache": str(folder / "cache"),
        },
        "tokenizer": {"type": "characters"},
        "model": {"context": 16, "layers": 1, "d_model": 32, "heads": 2, "dropout": 0.1},
        "train": {**TINY_TRAINING, "batch_tokens": 160, "device_tokens": 64},
        "decode": {"max_new_tokens": 8},
    }
    return {**recipe, **{name: {**recipe[name], **values} for name, values in sections.items()}}


class Stop(Exception):
    """Stands in for a crash."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Lets training crash behind a step."""
    from seq2seq.train.update import Updater

    real = Updater.take

    def fails(self: Updater, plan: Any, number: int) -> Any:
        if number == step + 1:
            raise Stop
        return real(self, plan, number)

    monkeypatch.setattr(Updater, "take", fails)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with a small corpus below data/."""
    write_pairs(tmp_path / "data", "train", make_pairs(400))
    write_pairs(tmp_path / "data", "valid", make_pairs(12, seed=1))
    return tmp_path


@pytest.fixture
def recipe_file(corpus: Path) -> Callable[..., Path]:
    """Writes a recipe for the corpus, with some sections changed, and returns its path."""

    def write(**sections: dict[str, Any]) -> Path:
        path = corpus / "recipe.yaml"
        recipe = json.loads(json.dumps(tiny_recipe(corpus, **sections)))  # what stands in it twice becomes no alias
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return path

    return write
