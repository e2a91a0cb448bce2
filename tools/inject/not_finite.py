"""Losses and gradients that are not finite, in one step or in several, on one rank of one or two."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

from inject import planted
from inject.check import Check, expect, where
from inject.compare import digest, events, warnings_of_program
from inject.corpus import write_recipe
from inject.launch import launch, train_command, train_to_the_end
from seq2seq.model.folder import checkpoint_folders, checkpoint_step
from seq2seq.train.checkpoint import newest_checkpoint
from seq2seq.train.monitor import read_status

LIMIT = 3  # train.max_bad_steps by default
EVERY = 5  # steps between two checkpoints
TRAIN = {"max_steps": 20, "validate_every": 10, "checkpoint_every": EVERY, "keep_checkpoints": 9, "average_last": 0}
AGAIN = 2  # trials of each kind


@dataclass(frozen=True)
class Kind:
    """What is planted.

    Attributes:
        ranks: that train together.
        what: the loss, or only the gradient.
        steps: which ones, from the first one on.
    """

    ranks: int
    what: str
    steps: tuple[int, ...]

    @property
    def stops(self) -> bool:
        """Whether so many come in a row that training has to stop."""
        return any(set(range(step, step + LIMIT)) <= set(self.steps) for step in self.steps)


STEPS = ((0,), (0, 1, 3, 4), (0, 1, 2))
KINDS = [Kind(*kind) for kind in product((1, 2), ("loss", "gradient"), STEPS)]


class NotFinite(Check):
    """Plants losses and gradients that are not finite."""

    name = "nan"
    expected = (
        "a loss or gradient of one rank not finite: no rank's weights change, training goes on; "
        f"{LIMIT} such steps in a row: stops with code 5, the batch in a file, the checkpoints as they were"
    )
    planned = AGAIN * len(KINDS)

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.recipe = write_recipe(folder, train=TRAIN)
        self.undisturbed = folder / "undisturbed"
        train_to_the_end(train_command(self.recipe, self.undisturbed), self.undisturbed, folder / "log")

    def trial(self, number: int, random: Random) -> None:
        """Plants one kind from a random step on, on a random rank."""
        kind = KINDS[number % len(KINDS)]
        first = random.randint(EVERY + 1, TRAIN["max_steps"] - len(STEPS[1]) - 1)
        steps = [first + step for step in kind.steps]
        rank = random.randrange(kind.ranks)
        place = self.folder / "trial"
        place.mkdir()
        try:
            with where(f"the {kind.what} of rank {rank} of {kind.ranks} in the steps {steps}"):
                self._plant(kind, rank, steps, place)
        finally:
            shutil.rmtree(place)

    def _plant(self, kind: Kind, rank: int, steps: Sequence[int], place: Path) -> None:
        run = place / "run"
        plan = {"rank": rank, "steps": steps, "what": kind.what, "trace": str(place / "trace")}
        program = (planted.__file__, json.dumps(plan))
        with launch(train_command(self.recipe, run, ranks=kind.ranks, program=program), self.folder / "log") as running:
            code = running.wait()
            said, last_words = running.said, running.last_words
        if not kind.stops:
            expect(code == 0, f"it ends with {code}: {last_words}")
            expect(read_status(run).get("state") == "finished", f"status.json says {read_status(run)}")
        else:
            expect(code == (5 if kind.ranks == 1 else 1), f"it ends with {code}: {last_words}")
            expect(read_status(run).get("state") == "failed", f"status.json says {read_status(run)}")
            self._expect_checkpoints(run, steps)
            self._expect_batch(run, said)
        for other in range(kind.ranks):
            expect_unchanged(place / f"trace-{other}", other, steps)
        losses = [event["train/loss"] for event in events(run) if "train/loss" in event]
        expect(all(map(math.isfinite, losses)), "metrics.jsonl holds a loss that is not finite")

    def _expect_checkpoints(self, run: Path, steps: Sequence[int]) -> None:
        """Checks that there are checkpoints of the steps that were due and not bad, and those from before are right."""
        with warnings_of_program() as warnings:
            newest = newest_checkpoint(run)
        expect(newest is not None and not warnings, f"no checkpoint, or a damaged one: {warnings[:1]}")
        found = [folder.name for folder in checkpoint_folders(run)]
        undisturbed = checkpoint_folders(self.undisturbed)
        due = [folder for folder in undisturbed if checkpoint_step(folder) < steps[-1]]
        expected = [folder.name for folder in due if checkpoint_step(folder) not in steps]
        expect(found == expected, f"the checkpoints are {found}, not {expected}")
        for folder in undisturbed:
            if checkpoint_step(folder) < steps[0]:
                same = digest(run / "checkpoints" / folder.name) == digest(folder)
                expect(same, f"{folder.name} is not that of an undisturbed run")

    def _expect_batch(self, run: Path, said: str) -> None:
        """Checks that the run folder has a file with the batch, and that the user is told."""
        usual = {path.name for path in self.undisturbed.iterdir()}
        files = [path.name for path in run.iterdir() if path.name not in usual and path.is_file()]
        expect(any((run / name).stat().st_size and name in said for name in files), f"no file with the batch: {files}")


def expect_unchanged(trace: Path, rank: int, steps: Sequence[int]) -> None:
    """Checks that a rank's weights were the same before and behind some steps, and changed in all others."""
    lines = trace.read_text(encoding="utf-8").split("\n")[:-1] if trace.exists() else []
    expect(len(lines) >= steps[-1], f"rank {rank} took {len(lines)} steps")
    for line in lines:
        number, before, behind = line.split()
        changed = before != behind
        expect(
            changed != (int(number) in steps), f"step {number} changed {'' if changed else 'no '}weights of rank {rank}"
        )
