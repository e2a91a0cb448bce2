"""Memory over a long run: ragged batches, validations and saves leave nothing behind."""

import re
import shutil
import time
from pathlib import Path
from random import Random
from statistics import median

import numpy as np

from inject.check import Check, expect
from inject.compare import events
from inject.corpus import write_recipe
from inject.launch import launch, train_command

STEPS, FIRST = 11_000, 1000  # of the run, and from which one on its memory is looked at
GROWTH = 0.03  # of the memory, at the most
LONGEST = 900.0  # seconds that the run may take
TRAIN = {
    "max_steps": STEPS, "log_every": 50, "validate_every": 500, "checkpoint_every": 200, "keep_checkpoints": 2,
    "average_last": 0, "batch_tokens": 300, "patience": None,
}  # fmt: skip


class Memory(Check):
    """Watches the memory of a run of many steps."""

    name = "memory"
    expected = f"{STEPS:,} steps: anonymous memory behind step {FIRST:,} grows by less than {GROWTH:.0%}, no trend"
    planned = 2

    @property
    def note(self) -> str:
        """What was seen."""
        return "; ".join(self.seen)

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.recipe = write_recipe(folder, train=TRAIN)
        self.seen: list[str] = []

    def trial(self, number: int, random: Random) -> None:
        """Trains, saving in the foreground or in the background."""
        background = str(bool(number)).lower()
        run = self.folder / "run"
        samples: dict[int, int] = {}  # bytes by step
        command = train_command(self.recipe, run, f"train.background_save={background}", f"seed={self.seed}")
        try:
            with launch(command, self.folder / "log") as running:
                while running.process.poll() is None and time.monotonic() - running.started < LONGEST:
                    for event in events(run)[-1:] if (run / "metrics.jsonl").exists() else ():
                        samples.setdefault(int(event["step"]), anonymous_memory(running.process.pid))
                    time.sleep(0.2)
                code = running.wait(1)
                expect(code == 0, f"it ends with {code}: {running.last_words}")
        finally:
            shutil.rmtree(run, ignore_errors=True)
        steps, sizes = (np.array(x, dtype=float) for x in zip(*sorted(samples.items()), strict=True))
        steps, sizes = steps[(steps >= FIRST) & (sizes > 0)], sizes[(steps >= FIRST) & (sizes > 0)]
        expect(len(steps) > 50, f"only {len(steps)} samples")
        tenth = len(sizes) // 10
        growth = median(sizes[-tenth:]) / median(sizes[:tenth]) - 1
        trend = float(np.polyfit(steps, sizes, 1)[0]) * (steps[-1] - steps[0]) / sizes.mean()
        told = f"{sizes.mean() / 2**20:,.0f} MiB, growth {growth:+.2%}, trend {trend:+.2%}, background {background}"
        self.seen.append(told)
        expect(max(growth, trend) < GROWTH, told)


def anonymous_memory(pid: int) -> int:
    """Returns the bytes of a process's memory that are not of files; 0 if it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else 0
