"""Makes the stored models that every later version must load: `python tools/make_fixture.py tests/fixtures/format_1`.

Run once for each format version, and never again: what older versions have written cannot be made by newer ones. The
texts are those of recipes/demo. Lines are chosen whose translations stay the same when the weights are disturbed, so
that another processor's rounding does not change them.
"""

import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from seq2seq import Generator, Translator
from seq2seq.config import load_recipe
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

DEMO = Path(__file__).parents[1] / "recipes/demo"
NOISE, TRIALS = 1e-3, 5  # of the disturbance, in parts of each weight's standard deviation; and how often
MODEL = {"layers": 1, "d_model": 48, "heads": 2, "d_feedforward": 96, "dropout": 0.0}
TRAIN = {
    "batch_tokens": 1024, "learning_rate": 5e-3, "warmup_steps": 200, "checkpoint_every": 2000, "precision": "fp32",
    "keep_checkpoints": 2, "average_last": 0, "validate_every": 2000,
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "translation": {
        "data": {
            "source_language": "en",
            "target_language": "de",
            "train": [{"source": "train.en", "target": "train.de"}],
            "valid": {"source": "valid.en", "target": "valid.de"},
        },
        "tokenizer": {"vocab_size": 300},
        "model": MODEL,
        "train": {**TRAIN, "max_steps": 4000},
        "decode": {"precision": "fp32"},
    },
    "language_model": {
        "data": {"train": [{"text": "train.en"}], "valid": {"share": 0.01}},
        "tokenizer": {"type": "characters"},
        "model": {**MODEL, "context": 64},
        "train": {**TRAIN, "max_steps": 2000},
        "decode": {"precision": "fp32", "max_new_tokens": 32},
    },
}


def main(output: Path) -> None:
    """Trains a model of each task, and stores it, its recipe, and what it makes of some lines."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in ("en", "de"):
            for part, n in (("train", 5000), ("valid", 100)):
                text = gzip.decompress((DEMO / f"{part}.{side}.gz").read_bytes()).decode().split("\n")[:n]
                (folder / f"{part}.{side}").write_text("\n".join(text) + "\n", encoding="utf-8")
        for task, recipe in RECIPES.items():
            data = {**recipe["data"], "root": name, "cache": f"{name}/cache"}
            path = folder / f"{task}.yaml"
            path.write_text(yaml.safe_dump({**recipe, "task": task, "output": f"{name}/{task}", "data": data}))
            train(load_recipe(path).settings, Ranks(torch.device("cpu")))
            stored = output / task
            # Of one task all that a run goes on from, of the other what is given away.
            kept = "checkpoints/step-00004000" if task == "translation" else "best"
            shutil.copytree(folder / task / kept, stored / kept)
            (stored / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "task": task, "output": f"runs/{task}"}))
            lines = (folder / "valid.en").read_text(encoding="utf-8").splitlines()
            rows = translations(stored, lines) if task == "translation" else continuations(stored, lines)
            expected = [row for row in rows if row][:20]
            (stored / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


def translations(run: Path, lines: list[str]) -> list[dict[str, Any] | None]:
    """Returns each line's translation and score; None for one that rounding might change."""
    translator = Translator.load(run, "cpu")
    found = translator.translate_all(lines)
    stable = [True] * len(lines)
    for trial in range(TRIALS):
        disturbed = Translator.load(run, "cpu")
        disturb(disturbed.trained.model, trial)
        stable = [s and a.text == b for s, a, b in zip(stable, found, disturbed.translate(lines), strict=True)]
    return [
        {"source": line, "translation": one.text, "score": one.candidates[0].score} if keep else None
        for line, one, keep in zip(lines, found, stable, strict=True)
    ]


def continuations(run: Path, lines: list[str]) -> list[dict[str, Any] | None]:
    """Returns the greedy continuation of the first word of each line, and its log-probability; None as above."""
    prompts = list(dict.fromkeys(line.split()[0] for line in lines))
    found = [texts[0] for texts in Generator.load(run, "cpu", temperature=0).generate(prompts)]
    stable = [True] * len(prompts)
    for trial in range(TRIALS):
        disturbed = Generator.load(run, "cpu", temperature=0)
        disturb(disturbed.trained.model, trial)
        again = [texts[0].text for texts in disturbed.generate(prompts)]
        stable = [s and a.text == b for s, a, b in zip(stable, found, again, strict=True)]
    return [
        {"prompt": prompt, "text": one.text, "log_prob": one.log_prob} if keep else None
        for prompt, one, keep in zip(prompts, found, stable, strict=True)
    ]


@torch.no_grad()
def disturb(model: torch.nn.Module, seed: int) -> None:
    """Adds noise to all weights."""
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.numel() > 1 and not parameter.is_meta:
            parameter.add_(NOISE * parameter.std() * torch.randn(parameter.shape, generator=random))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
