"""Saves of a tiny run that lives in this process: what is there before, what is saved, what has to be there after."""

import shutil
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from inject.check import expect
from inject.compare import digest, warnings_of_program
from inject.corpus import write_recipe
from seq2seq.config import load_recipe
from seq2seq.data.pools import Position
from seq2seq.errors import ModelError
from seq2seq.files import atomic_folder, verify_manifest
from seq2seq.model.folder import AnyTrained, checkpoint_folders, find_model, load_any, save_model
from seq2seq.train.checkpoint import newest_checkpoint, recover_run, snapshot, write_checkpoint
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import Trainer

EVERY = 5  # steps between two checkpoints
MANY = 10  # checkpoints that are kept unless a scenario says otherwise
BEST = 0  # stands for the best model where a checkpoint has its step
# A checkpoint of about 64 kB in all, so that every one of its bytes can be damaged.
MODEL = {"layers": 1, "d_model": 12, "heads": 2, "d_feedforward": 16}


@dataclass(frozen=True)
class Scenario:
    """A save and what it meets.

    Attributes:
        name: for the reports.
        before: steps of the checkpoints that are there already; each holds something else.
        step: of the checkpoint that is saved, or BEST.
        keep: train.keep_checkpoints in this save.
        killed: whether a save like this one has been killed before.
    """

    name: str
    before: tuple[int, ...]
    step: int
    keep: int = MANY
    killed: bool = False

    @property
    def place(self) -> str:
        """What is saved, below the run folder."""
        return f"checkpoints/step-{self.step:08d}" if self.step else "best"


SCENARIOS = (
    Scenario("a new checkpoint", (5,), 10),
    Scenario("a checkpoint of the same step", (5, 10), 10),
    Scenario("pruning", (5, 10, 12), 15, keep=2),
    Scenario("best", (5, BEST), BEST),
    Scenario("best, after a kill", (5, BEST), BEST, killed=True),
    Scenario("a checkpoint of the same step, after a kill", (5, 10), 10, killed=True),
)


class Saves:
    """A model, an optimizer and a progress, small, with contents that a number decides.

    Args:
        folder: for the corpus.
    """

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)  # before there are threads: a fork would not have them
        recipe = write_recipe(folder, tokenizer={"type": "characters"}, model=MODEL)
        train = [f"train.checkpoint_every={EVERY}", "train.average_last=1", f"train.keep_checkpoints={MANY}"]
        self.settings = load_recipe(recipe, train).settings
        self.trainer = Trainer(self.settings, Ranks(torch.device("cpu")), None)
        for step in islice(self.trainer.data.steps(Position()), 1):
            self.trainer.updater.take(step, 1)  # the optimizer has its state
        self._folder = folder
        self._digests: dict[tuple[str, int], str] = {}

    def save(self, run: Path, step: int, content: int, keep: int = MANY) -> None:
        """Saves a checkpoint of a step, or the best model, with a content."""
        generator = torch.Generator().manual_seed(content)
        trainer = self.trainer
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.normal_(generator=generator)
            for state in trainer.updater.optimizer.state.values():
                for value in state.values():
                    value.uniform_(1, 2, generator=generator)
        train = self.settings.train.model_copy(update={"keep_checkpoints": keep})
        trained: AnyTrained = replace(trainer.trained, settings=self.settings.model_copy(update={"train": train}))
        if step:
            progress = replace(trainer.progress, step=step)
            write_checkpoint(run, snapshot(trained, trainer.updater, progress, trainer.conditions))
        else:
            with atomic_folder(run / "best") as temporary:
                save_model(temporary, trained)

    def before(self, scenario: Scenario, run: Path) -> None:
        """Makes the run folder that a save meets; each step's content is its number."""
        for step in scenario.before:
            self.save(run, step, content=step)

    def digest(self, step: int, content: int) -> str:
        """Returns what `compare.digest` gives for a content, saved undisturbed."""
        key = ("checkpoint" if step else "best", content)
        if key not in self._digests:
            run = self._folder / "undisturbed"
            self.save(run, step, content)
            self._digests[key] = digest(run / Scenario("", (), step).place)
            shutil.rmtree(run)
        return self._digests[key]

    def expect_whole(self, run: Path, scenario: Scenario, content: int) -> None:
        """Checks the run folder of a scenario whose save of a content was broken off.

        Raises:
            Unexpected: something is neither as it was nor as it was to be.
        """
        if not scenario.step:
            self._expect_best(find_model(run), content)  # as others see it who read it now
        recover_run(run)  # as a start does
        with warnings_of_program() as warnings:
            newest = newest_checkpoint(run)
        expect(not warnings, f"a warning: {warnings[:1]}")
        expect(newest is not None, "no checkpoint was found")
        assert newest is not None
        step = newest.progress.step
        found = digest(newest.folder)
        old = max(scenario.before)
        allowed = [(old, self.digest(old, old))]
        if scenario.step:
            allowed.append((scenario.step, self.digest(scenario.step, content)))
        expect(newest.folder.name == f"step-{step:08d}", f"{newest.folder.name} was chosen, which holds step {step}")
        expect(step in dict(allowed), f"step {step} was chosen")
        expect((step, found) in allowed, f"step {step} was chosen, and its tensors are not those that were saved")
        load_any(newest.folder)
        for folder in checkpoint_folders(run):
            verify_manifest(folder)
        if not scenario.step:
            self._expect_best(run / "best", content)

    def expect_saved(self, run: Path, scenario: Scenario, content: int) -> None:
        """Checks that what a scenario saves is there.

        Raises:
            Unexpected: it is not.
        """
        same = digest(run / scenario.place) == self.digest(scenario.step, content)
        expect(same, f"{scenario.place} does not hold what was saved last")

    def expect_saving_works(self, run: Path, scenario: Scenario, content: int) -> bool:
        """Checks that the save that was broken off can be done again, and the one after it.

        Returns:
            Whether that has deleted all that the broken one left behind.

        Raises:
            Unexpected: what is there then is not what was saved.
        """
        self.save(run, scenario.step, content, scenario.keep)
        self.expect_saved(run, scenario, content)
        step = max(*scenario.before, scenario.step) + EVERY
        self.save(run, step, content)
        newest = newest_checkpoint(run)
        expect(newest is not None and newest.progress.step == step, "the next save is not found")
        return not [*run.glob(".*/"), *run.glob("checkpoints/.*/")]

    def _expect_best(self, folder: Path, content: int) -> None:
        """Checks that a folder is the best model as it was or as it was to be."""
        try:
            load_any(folder)
        except ModelError as error:
            expect(False, f"best/ cannot be read: {error}")
        expected = {self.digest(BEST, number) for number in (BEST, content)}
        expect(digest(folder) in expected, f"{folder.name} was chosen, and its tensors are not those that were saved")
