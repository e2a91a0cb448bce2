"""Run folders as training leaves them, without training."""

import json
import math
from pathlib import Path
from typing import Any

from conftest import text_recipe, tiny_recipe

from seq2seq.config import settings_from_dict, settings_to_yaml

SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
Events = list[dict[str, Any]]


def translation_events(steps: int = 200, best: float = 40.0) -> Events:
    """A loss that falls, a validation after every 20 steps, an average that is best."""
    found: Events = []
    for step in range(5, steps + 1, 5):
        values = {"loss": 2 + 6 * math.exp(-step / 50), "learning_rate": 1e-3, "gradient_norm": 1.0, "epoch": 0.0}
        values["tokens_per_second"] = 1000.0 + step
        found.append({"step": step, "seconds": step / 2, **{f"train/{key}": value for key, value in values.items()}})
        if step % 20 == 0:
            valid = {
                "loss": 1.5 + 5 * math.exp(-step / 50),
                "bleu": best * step / steps - 1,
                "chrf": 50.0,
                "seconds": 1.0,
            }
            found.append({"step": step, "seconds": step / 2 + 1, **{f"valid/{key}": x for key, x in valid.items()}})
    average = {"average/loss": 1.5, "average/bleu": best, "average/chrf": 51.0, "average/seconds": 1.0}
    return [*found, {"step": steps, "seconds": steps / 2 + 2, **average}]


def text_events(steps: int = 100) -> Events:
    """The same of a language model."""
    found: Events = []
    for step in range(10, steps + 1, 10):
        loss = 1 + 3 * math.exp(-step / 30)
        values = {"loss": loss, "perplexity": math.exp(loss), "bits_per_byte": loss / math.log(2), "seconds": 0.1}
        found.append({"step": step, "seconds": step / 5, "train/loss": loss, "train/learning_rate": 1e-3})
        found.append({"step": step, "seconds": step / 5, **{f"valid/{key}": value for key, value in values.items()}})
    return found


def scored_set(name: str, score: float, signature: str = SIGNATURE) -> dict[str, Any]:
    """A test set as status.json has it."""
    return {"name": name, "direction": "en-de", "metrics": {"BLEU": {"score": score, "signature": signature}}}


def write_run(
    folder: Path,
    events: Events,
    status: dict[str, Any] | None = None,
    samples: Events | None = None,
    starts: Events | None = None,
    task: str = "translation",
    **sections: Any,
) -> Path:
    """Writes a run folder; sections change its recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    if task == "translation":
        recipe = tiny_recipe(folder.parent, **sections)
    else:
        (folder.parent / "data").mkdir(exist_ok=True)
        recipe = text_recipe(folder.parent, **sections)
    recipe["output"] = str(folder)
    settings = settings_from_dict(json.loads(json.dumps(recipe, default=str)))
    (folder / "recipe.yaml").write_text(settings_to_yaml(settings), encoding="utf-8")
    told = {"state": "finished", "step": 200, "time": "2026-01-02T03:04:05+00:00", **(status or {})}
    (folder / "status.json").write_text(json.dumps(told))
    for name, rows in (("metrics", events), ("samples", samples)):
        if rows is not None:
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if starts is not None:
        (folder / "run.json").write_text(json.dumps({"starts": starts}))
    return folder
