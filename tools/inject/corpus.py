"""A small corpus and recipes for it: runs that take seconds, with all that a long one does."""

import json
from pathlib import Path
from random import Random
from typing import Any

WORDS = ["red", "blue", "old", "new", "big", "small", "dog", "cat", "house", "tree", "boat", "sees", "finds", "takes"]
PAIRS = 400  # to train on

# Saves and validations come often, so that a random moment meets them; what is random in training is there.
TRAINING = {
    "max_steps": 120,
    "batch_tokens": 300,
    "device_tokens": 128,
    "learning_rate": 3e-3,
    "warmup_steps": 20,
    "log_every": 1,
    "validate_every": 30,
    "checkpoint_every": 10,
    "keep_checkpoints": 3,
    "average_last": 2,
    "patience": None,
    "precision": "fp32",
}


def write_corpus(folder: Path, valid: int = 12) -> None:
    """Writes sentences and the same in capitals, their words in reverse: easy to learn, of all lengths.

    Args:
        folder: the files `train` and `valid`, each with the suffixes `.en` and `.de`, come here.
        valid: number of pairs to validate with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, n in (("train", PAIRS), ("valid", valid)):
        random = Random(name)
        sentences = [random.choices(WORDS, k=random.randint(1, 8)) for _ in range(n)]
        sides = {"en": [" ".join(words) + "." for words in sentences]}
        sides["de"] = [" ".join(reversed(words)).upper() + "!" for words in sentences]
        for suffix, lines in sides.items():
            (folder / f"{name}.{suffix}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def write_recipe(folder: Path, valid: int = 12, **sections: dict[str, Any]) -> Path:
    """Writes a corpus and a recipe for it, with some keys of its sections changed.

    Args:
        folder: for both.
        valid: number of pairs to validate with.
        sections: keys and values, by the section.

    Returns:
        Path of the recipe.
    """
    write_corpus(folder / "data", valid)
    recipe: dict[str, dict[str, Any]] = {
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
        "train": TRAINING,
        "decode": {"beam_size": 2},
    }
    changed = {name: {**section, **sections.pop(name, {})} for name, section in recipe.items()}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"output": str(folder / "run"), **changed, **sections}), encoding="utf-8")  # is YAML too
    return path
