"""What saving costs a training: `python tools/save_cost.py [KEY=VALUE ...]`, keys of a recipe as for seq2seq-train.

Trains a base-sized model on the demo corpus and saves in turns: not at all, while training waits, in the background.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from seq2seq.config import load_recipe
from seq2seq.data.pools import Position
from seq2seq.memory import prepare_memory
from seq2seq.model.device import choose_device
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import Trainer
from seq2seq.train.saving import Saver

ROOT = Path(__file__).parents[1]
BASE = ["model.layers=6", "model.d_model=512", "model.heads=8", "model.d_feedforward=2048", "train.batch_tokens=4096"]
ROUNDS, STEPS = 5, 4


def main(overrides: list[str]) -> None:
    """Prints medians."""
    prepare_memory()
    folder = Path(tempfile.mkdtemp())
    more = [*BASE, f"data.root={ROOT / 'recipes/demo'}", f"output={folder / 'run'}", *overrides]
    trainer = Trainer(load_recipe(ROOT / "recipes/demo.yaml", more).settings, Ranks(choose_device("auto")), None)
    stream = trainer.data.steps(Position())
    steps = [next(stream) for _ in range(STEPS)]
    front, back = Saver(folder / "front", background=False), Saver(folder / "back", background=True)

    def train() -> list[float]:
        """Takes all the steps again, and returns how long each took."""
        found = []
        for step in steps:
            started = time.perf_counter()
            trainer.progress.step += 1
            _ = trainer.updater.take(step, trainer.progress.step).loss
            found.append(time.perf_counter() - started)
        return found

    def save(saver: Saver) -> float:
        started = time.perf_counter()
        saver.save(trainer.trained, trainer.updater, trainer.progress, trainer.conditions)
        return time.perf_counter() - started

    plain, waiting, copying, during = [], [], [], []
    train(), train()
    for _ in range(ROUNDS):
        plain.append(sum(train()))
        waiting.append(save(front))
        plain.append(sum(train()))
        copying.append(save(back))
        during.append(sum(train()))
        back.wait()
    back.close()
    step, size = (
        median(plain) / STEPS,
        sum(p.stat().st_size for p in next((folder / "back/checkpoints").iterdir()).iterdir() if p.is_file()),
    )
    shutil.rmtree(folder)
    print(f"a checkpoint has {size / 1e6:,.0f} MB; a step takes {step:.3f} s")
    print(f"a save while training waits: {median(waiting):.3f} s, {median(waiting) / step:.1%} of a step")
    print(f"in the background training waits {median(copying):.3f} s, {median(copying) / step:.1%} of a step")
    slower = (median(during) - median(plain)) / STEPS
    print(f"and each of the {STEPS} steps that follow takes {slower:.3f} s longer, {slower / step:.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
