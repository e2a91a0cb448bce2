"""The training loop: one for every recipe, on one process or many."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from seq2seq.config import Settings, settings_to_yaml
from seq2seq.data.ahead import ready_steps
from seq2seq.data.order import Step
from seq2seq.errors import ModelError, RunError, TooLargeError
from seq2seq.files import atomic_folder, lock, whole_file
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import TRAINING_WIDTH, choose_precision
from seq2seq.model.folder import WEIGHTS, checkpoint_folder, checkpoint_folders, find_model, save_model
from seq2seq.model.weights import canonical_weights, load_weights, set_weights
from seq2seq.train.checkpoint import (
    Checkpoint,
    Progress,
    average_weights,
    changed_settings,
    conditions,
    last_whole_checkpoints,
    newest_checkpoint,
    recover_run,
    refuse_changes,
)
from seq2seq.train.distributed import Ranks
from seq2seq.train.divergence import examine
from seq2seq.train.initial import freeze, initial_model
from seq2seq.train.interruption import Interrupted, Interruption
from seq2seq.train.monitor import Monitor, logging_to, read_status, write_status
from seq2seq.train.pace import end_reason, start_line, step_line
from seq2seq.train.record import add_start
from seq2seq.train.samples import sample_text
from seq2seq.train.saving import Saver
from seq2seq.train.task import open_task
from seq2seq.train.trial import settle_device_tokens
from seq2seq.train.update import Update, Updater

log = logging.getLogger(__name__)

READ_EVERY = 10  # steps after which the losses of a GPU are read at the latest: to read is to wait for it
ENDED = 1  # what ranks tell each other when the run is over; a larger number is a signal
PATIENCE = 2.0  # seconds that a run which is being stopped waits for text that does not come
RELEASE_EVERY = 100  # steps; often enough to bound the holes in memory, seldom enough to cost nothing


def train(settings: Settings, ranks: Ranks, accept: frozenset[str] = frozenset()) -> None:
    """Trains a recipe from the start, or from where its run folder stands; a finished run is left alone.

    Args:
        settings: the recipe.
        ranks: this process among those that train together.
        accept: keys of settings or conditions that may differ from those the run was started with.

    Raises:
        RunError: the run folder is in use or belongs to another recipe, other data or other conditions.
        ModelError: none of its checkpoints is usable.
        DataError: a corpus cannot be used.
        Interrupted: after SIGTERM, SIGINT or SIGUSR1, with the state saved.
        DivergedError: losses or gradients are not finite.
    """
    folder = Path(settings.output)
    interruption = Interruption(ranks)
    with ExitStack() as stack:
        if ranks.is_main:
            stack.enter_context(lock(folder, f"{folder}: another process is training in this folder"))
            recover_run(folder)
        stack.enter_context(logging_to(folder / "train.log" if ranks.is_main else None, ranks.is_main))
        stack.enter_context(interruption.watching())
        with ranks.main_first():
            checkpoint = newest_checkpoint(folder)
        finished = read_status(folder).get("state") == "finished"
        if finished and not checkpoint:
            raise ModelError(f"{folder}: a finished run without its checkpoints; choose another output")
        if checkpoint:
            changed = changed_settings(checkpoint.settings, settings)
            if finished and not changed:
                log.info("%s: this run is finished; its best model is %s", folder, folder / "best")
                return
            refuse_changes(folder, changed, accept)

        trainer: Trainer | None = None

        def record(state: str, **more: Any) -> None:
            step = trainer.progress.step if trainer else read_status(folder).get("step", 0)
            with suppress(OSError):  # a full disk must not hide what has happened
                write_status(folder, state, step, **more)

        def record_failure(message: str, exit_code: int) -> None:
            if exit_code != RunError.exit_code:  # a run that is refused stays what it is
                record("failed", error=message, exit_code=exit_code)

        ranks.on_failure(record_failure)
        try:
            with interruption.at_once():  # nothing is to be saved yet
                trainer = Trainer(settings, ranks, checkpoint, accept)
            trainer.run(interruption)
        except Interrupted:
            if ranks.is_main:
                record("interrupted")
            raise
        except Exception as error:
            if ranks.is_main:
                record_failure(str(error), getattr(error, "exit_code", 1))
            raise


class Trainer:
    """One run: its data, model, optimizer and progress.

    Args:
        settings: the recipe.
        ranks: this process among those that train together.
        checkpoint: where the run stands; None at its start.
        accept: keys of conditions that may have changed.
    """

    def __init__(
        self,
        settings: Settings,
        ranks: Ranks,
        checkpoint: Checkpoint | None,
        accept: frozenset[str] = frozenset(),
    ) -> None:
        self.settings = settings
        self.ranks = ranks
        self.folder = Path(settings.output)
        train = settings.train
        initial = None if checkpoint else initial_model(settings)
        taken = checkpoint.tokenizer() if checkpoint else initial.tokenizer if initial else None
        with ranks.main_first():
            self.task = open_task(settings, taken)
        self.precision = choose_precision(train.precision, ranks.device, settings.model.d_model, TRAINING_WIDTH)
        self.conditions = conditions(self.task.fingerprint, self.precision, ranks.device)
        torch.manual_seed(settings.seed)
        self.trained = self.task.build(ranks.device, checkpoint or initial)
        self.model = self.trained.model
        if initial:
            set_weights(self.model, canonical_weights(initial.model))
            log.info("starting from %s, its tokenizer taken along", train.init_from)
        freeze(self.model, train.freeze)
        self.updater = Updater(self.model, settings, ranks, self.precision, self.task.loss)
        self.progress = checkpoint.progress if checkpoint else Progress()
        if checkpoint and train.device_tokens != checkpoint.settings.train.device_tokens:
            self.progress.device_tokens = None  # what was found is overruled
        self.device_tokens = settle_device_tokens(self.task, self.updater, self.progress)
        self.data = self.task.data(self.device_tokens, ranks.world_size)
        self.validator = self.task.validator(self.device_tokens, self.precision)
        self.saver = Saver(self.folder, train.background_save)
        self._unread: list[tuple[Step, Update]] = []
        self._saved: tuple[int, int] | None = None  # the step of the newest checkpoint, and of its last validation
        if checkpoint:
            self._resume(checkpoint, accept)

    def _resume(self, checkpoint: Checkpoint, accept: frozenset[str]) -> None:
        """Puts the run back to where a checkpoint stands."""
        before = checkpoint.conditions
        changed = {key: (before.get(key), now) for key, now in self.conditions.items() if now != before.get(key)}
        refuse_changes(self.folder, changed, accept)
        self.updater.restore(checkpoint.folder)
        # The best value of a finished run may be that of its average, which came after the checkpoint.
        best = read_status(self.folder).get(f"best_{self.settings.train.best_metric}")
        self.progress.best_value = self.progress.best_value if best is None else best
        log.info("going on from %s", checkpoint.folder)
        self.ranks.wait()  # until all have read it
        if not changed and checkpoint.settings == self.settings:
            self._saved = self.progress.step, self.progress.validated_step
        self._save(must=True)  # so that what was accepted once need not be accepted again

    def run(self, interruption: Interruption | None = None) -> None:
        """Trains until the recipe's end, then averages, validates and tests; see `train`."""
        self.interruption = interruption or Interruption(self.ranks)
        if self.ranks.is_main:
            with self.interruption.at_once(), whole_file(self.folder / "recipe.yaml") as file:
                file.write(settings_to_yaml(self.settings).encode())
                add_start(self.folder, self.settings, self.conditions, self.ranks, self.progress.step)
            write_status(self.folder, "running", self.progress.step)
        log.info(
            "%s", start_line(self.model, self.conditions, self.ranks, self.data.tokens_per_step, self.device_tokens)
        )
        folder, validated = self.folder if self.ranks.is_main else None, self.progress.validated_step
        with (
            closing(Monitor(folder, self.progress.step, self.settings.train.max_steps, validated)) as self.monitor,
            closing(self.saver),
        ):
            self._train()
            with self.interruption.at_once():  # all is saved
                if self.ranks.is_main:
                    self._finish()
                self.ranks.wait()

    def _train(self) -> None:
        """Takes optimizer steps until something ends the run, and saves."""
        ranks, batch_tokens = self.ranks, self.settings.train.batch_tokens
        self._clock = time.monotonic() - self.progress.seconds
        done = False
        while not done:
            steps = self.data.steps(self.progress.position)
            ready = ready_steps(steps, batch_tokens, ranks.rank, ranks.world_size, self.updater.prepare)
            try:
                self._take(ready)
                done = True
            except TooLargeError:
                if self.device_tokens < 2:
                    raise
            finally:
                ready.close(PATIENCE if self.interruption.signum else None)
            if not done:
                self._halve_device_tokens()

    def _take(self, steps: Iterator[Step]) -> None:
        """Takes optimizer steps; validates and saves behind them, and where they end.

        Raises:
            TooLargeError: a step needs more memory than there is; the next one is then still that step.
        """
        progress, train = self.progress, self.settings.train
        self.model.train()
        while True:
            self.saver.check()
            saving = progress.step % train.checkpoint_every == 0
            if saving or progress.step % train.validate_every == 0:
                self._read()  # on all ranks behind the same steps
            reason = step = None
            with suppress(Interrupted):
                reason = self._behind_step() if self.ranks.is_main else None
            if saving and not reason and not self.interruption.signum:
                self._save()
            with suppress(Interrupted), self.interruption.at_once():
                step = None if reason else next(steps)
            word = self.ranks.largest(self.interruption.signum or reason is not None)
            progress.seconds = time.monotonic() - self._clock
            if word:
                self._save(must=True)
                if word != ENDED:
                    raise Interrupted(word)
                return
            assert step is not None
            if progress.step == 0:
                for name, lengths in step.lengths().items():
                    self.monitor.histogram(0, f"data/{name}", lengths)
            started = time.monotonic()
            update = self.updater.take(step, progress.step + 1)
            self._count(step, update, started)
            if progress.step % RELEASE_EVERY == 0:
                release_freed_memory()

    def _behind_step(self) -> str | None:
        """Validates if it is time, and says why training is over; None if it is not."""
        progress = self.progress
        if progress.step % self.settings.train.validate_every == 0:
            self._validate()
        reason = end_reason(progress, self.settings)
        if reason:
            self._validate()
            log.info("training ends: %s", reason)
        return reason

    def _halve_device_tokens(self) -> None:
        """Cuts steps into smaller micro-batches from here on, on all ranks alike."""
        self.device_tokens //= 2
        self.progress.device_tokens = self.device_tokens
        if self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()
        self.data = self.task.data(self.device_tokens, self.ranks.world_size)
        self.validator = self.task.validator(self.device_tokens, self.precision)
        log.warning("too little memory for step %d: %d device_tokens", self.progress.step + 1, self.device_tokens)

    def _count(self, step: Step, update: Update, started: float) -> None:
        """Brings the progress up to date behind a step, and logs it when it is time."""
        progress, train = self.progress, self.settings.train
        progress.step += 1
        progress.position = step.next
        progress.tokens += step.n_tokens
        self._unread.append((step, update))
        due = progress.step % train.log_every == 0
        if due or self.ranks.device.type == "cpu" or len(self._unread) >= READ_EVERY:
            self._read()
        progress.window_seconds += time.monotonic() - started
        mean_loss = progress.window_loss / progress.window_tokens if progress.window_tokens else math.nan
        speed = progress.window_tokens / progress.window_seconds
        self.monitor.advance(f"loss {mean_loss:.3f}, {speed:,.0f} tokens/s")
        if not due:
            return
        values = {
            "train/loss": mean_loss,
            "train/learning_rate": update.learning_rate,
            "train/gradient_norm": update.gradient_norm,
            "train/tokens_per_second": speed,
            "train/epoch": float(progress.position.epoch),
        }
        if progress.skipped_steps:
            values["train/skipped_steps"] = float(progress.skipped_steps)
        self.monitor.event(progress.step, progress.seconds, values)
        log.info("%s", step_line(values, progress, train, self.data.tokens_per_epoch))
        progress.window_loss, progress.window_tokens, progress.window_seconds = 0.0, 0, 0.0

    def _read(self) -> None:
        """Waits for the steps that a GPU has not finished, and adds up their losses.

        Raises:
            DivergedError: too many of them are not finite.
        """
        progress = self.progress
        unread, self._unread = self._unread, []
        for step, update in unread:
            if update.is_finite:
                progress.window_loss += update.loss
                progress.window_tokens += update.n_tokens
                progress.bad_steps = 0
            else:
                examine(self.updater, step, update, progress, self.trained)

    def _validate(self, what: str = "valid") -> None:
        """Measures the model, and keeps it as the best one if it is; `what` is measured stands before the metrics.

        Where the recipe asks for a moving average of the weights, that is the model.
        """
        if what == "valid" and self.progress.validated_step == self.progress.step:
            return  # it has been done
        self._read()
        average = self.updater.average if what == "valid" else None
        with average.applied() if average else nullcontext():
            self._measure(what)

    def _measure(self, what: str) -> None:
        progress, train = self.progress, self.settings.train
        with self.interruption.at_once():
            found = self.validator.measure()
        progress.validated_step = progress.step
        events = {f"{what}/{name}": value for name, value in found.values().items()}
        self.monitor.event(progress.step, progress.seconds + found.seconds, events)
        value = found.values()[train.best_metric]
        sign = -1 if train.best_metric == "loss" else 1
        better = progress.best_value is None or sign * value > sign * progress.best_value
        log.info(
            "%s at step %s  %s",
            what,
            f"{progress.step:,}",
            f"{found.text()}  ({found.seconds:.0f} s){better * '  best so far'}",
        )
        self.monitor.samples(progress.step, what, found.samples)
        for name, picture in found.pictures.items():
            self.monitor.image(progress.step, f"{what}/{name}", picture)
        if found.samples:
            log.info("%s", sample_text(found.samples[0]))
        if better:
            progress.best_value, progress.best_step, progress.bad_validations = value, progress.step, 0
            with atomic_folder(self.folder / "best") as temporary:
                save_model(temporary, self.trained)
        else:
            progress.bad_validations += 1

    def _save(self, must: bool = False) -> None:
        """Writes a checkpoint of this step, unless there is one; see `Saver.save`."""
        self._read()
        progress = self.progress
        if not self.ranks.is_main or progress.step == 0 or (progress.bad_steps and not must):
            return  # where steps are not finite, the weights may be why
        if must:
            self.saver.wait()
        now = progress.step, progress.validated_step
        missing = must and checkpoint_folder(self.folder, progress.step) not in checkpoint_folders(self.folder)
        if now != self._saved or missing:
            self.saver.save(self.trained, self.updater, progress, self.conditions, must)
            self._saved = now

    def _finish(self) -> None:
        """Lets the average of the last checkpoints compete for the best model, and tests the winner."""
        progress, train = self.progress, self.settings.train
        folders = last_whole_checkpoints(self.folder, train.average_last)
        if len(folders) > 1:
            log.info("averaging the last %d checkpoints", len(folders))
            set_weights(self.model, average_weights(folders))
            self._validate("average")
        more: dict[str, Any] = {"best_" + train.best_metric: progress.best_value, "best_step": progress.best_step}
        if tester := self.task.tester(self.device_tokens, self.precision):
            load_weights(self.model, find_model(self.folder) / WEIGHTS)
            found = tester.test()
            values = {f"test/{name}": value for name, value in found.values.items()}
            self.monitor.event(progress.step, progress.seconds, values)
            more |= {**values, "tests": found.sets}
            for text in found.texts:
                log.info("test, best model, %s", text)
        write_status(self.folder, "finished", progress.step, **more)
        log.info("finished after %s; best model: %s", timedelta(seconds=round(progress.seconds)), self.folder / "best")
