"""The training loop: one for every recipe, on one process or many."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from seq2seq.config import Settings, settings_to_yaml
from seq2seq.data.ahead import ready_steps
from seq2seq.data.order import Step
from seq2seq.errors import ModelError, RunError
from seq2seq.files import atomic_folder, lock
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import TRAINING_WIDTH, choose_precision
from seq2seq.model.folder import (
    canonical_weights,
    checkpoint_folders,
    find_model,
    load_weights,
    save_model,
    set_weights,
)
from seq2seq.train.checkpoint import (
    Checkpoint,
    Progress,
    average_weights,
    changed_settings,
    last_whole_checkpoints,
    newest_checkpoint,
    refuse_changes,
    save_checkpoint,
)
from seq2seq.train.distributed import Ranks
from seq2seq.train.initial import freeze, initial_model
from seq2seq.train.monitor import Monitor, logging_to, read_status, write_status
from seq2seq.train.task import open_task
from seq2seq.train.trial import settle_device_tokens
from seq2seq.train.update import Update, Updater

log = logging.getLogger(__name__)

READ_EVERY = 10  # steps after which the losses of a GPU are read at the latest: to read is to wait for it
RELEASE_EVERY = 100  # steps; often enough to bound the holes in memory, seldom enough to cost nothing


class Interrupted(Exception):
    """A signal ended the run after its state was saved."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}; state saved, the same command goes on from here")
        self.signum = signum


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
        Interrupted: after SIGTERM or SIGINT, with the state saved.
        DivergedError: the loss or the gradient is not finite.
    """
    folder = Path(settings.output)
    with ExitStack() as stack:
        if ranks.is_main:
            stack.enter_context(lock(folder, f"{folder}: another process is training in this folder"))
        stack.enter_context(logging_to(folder / "train.log" if ranks.is_main else None, ranks.is_main))
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

        def record(message: str, exit_code: int) -> None:
            if exit_code != RunError.exit_code:  # a run that is refused stays what it is
                write_status(folder, "failed", read_status(folder).get("step", 0), error=message)

        ranks.on_failure(record)
        try:
            Trainer(settings, ranks, checkpoint, accept).run()
        except Interrupted:
            raise
        except Exception as error:
            if ranks.is_main:
                record(str(error), getattr(error, "exit_code", 1))
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
        self.conditions: dict[str, Any] = {
            "data": self.task.fingerprint,
            "precision": self.precision,
            "device": ranks.device.type,
        }
        if ranks.device.type == "cpu":  # the number of threads decides in which order sums are rounded
            self.conditions["threads"] = torch.get_num_threads()
        torch.manual_seed(settings.seed)
        self.trained = self.task.build(ranks.device, checkpoint or initial)
        self.model = self.trained.model
        if initial:
            set_weights(self.model, canonical_weights(initial.model))
            log.info("starting from %s, its tokenizer taken along", train.init_from)
        freeze(self.model, train.freeze)
        self.updater = Updater(self.model, settings, ranks, self.precision, self.task.loss)
        self.progress = checkpoint.progress if checkpoint else Progress()
        self.device_tokens = settle_device_tokens(self.task, self.updater, self.progress)
        self.data = self.task.data(self.device_tokens, ranks.world_size)
        self.validator = self.task.validator(self.device_tokens, self.precision)
        self._unread: list[Update] = []
        if checkpoint:
            self._resume(checkpoint, accept)
        self._signum = 0
        self._finishing = False

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
        if changed or checkpoint.settings != self.settings:
            self._save()  # so that what was accepted once need not be accepted again

    def run(self) -> None:
        """Trains until the recipe's end, then averages, validates and tests; see `train`."""
        if self.ranks.is_main:
            (self.folder / "recipe.yaml").write_text(settings_to_yaml(self.settings), encoding="utf-8")
            write_status(self.folder, "running", self.progress.step)
        log.info(
            "%s parameters, %s on %s, %d threads, %d rank(s); %s target tokens a step, at most %s on a device",
            f"{sum(p.numel() for p in self.model.parameters()):,}",
            self.precision,
            self.ranks.device,
            torch.get_num_threads(),
            self.ranks.world_size,
            f"{self.data.tokens_per_step:,}",
            f"{self.device_tokens:,}",
        )
        folder = self.folder if self.ranks.is_main else None
        self.monitor = Monitor(folder, self.progress.step, self.settings.train.max_steps)
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._train()
            self._finishing = True
            if self._signum:
                raise Interrupted(self._signum)
            if self.ranks.is_main:
                self._finish()
            self.ranks.wait()
        except Interrupted:
            if self.ranks.is_main:
                write_status(self.folder, "interrupted", self.progress.step)
            raise
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
            self.monitor.close()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Asks the loop to stop behind this step; when all is saved, or when asked again, stops at once."""
        log.info("stopping behind this step; once more stops at once")
        signal.signal(signum, signal.SIG_DFL)
        self._signum = signum
        if self._finishing:
            raise Interrupted(signum)

    def _train(self) -> None:
        """Takes optimizer steps until something ends the run."""
        ranks, batch_tokens = self.ranks, self.settings.train.batch_tokens
        steps = self.data.steps(self.progress.position)
        with closing(ready_steps(steps, batch_tokens, ranks.rank, ranks.world_size, self.updater.prepare)) as ready:
            self._take(ready)
        if ranks.is_main and self.progress.validated_step != self.progress.step:
            self._validate()
        if [path.name for path in checkpoint_folders(self.folder)][-1:] != [f"step-{self.progress.step:08d}"]:
            self._save()

    def _take(self, steps: Iterator[Step]) -> None:
        """Takes optimizer steps, validates and saves on the way."""
        progress, train = self.progress, self.settings.train
        self.model.train()
        started = time.monotonic() - progress.seconds
        for step in steps:
            reason = self._end_reason() if self.ranks.is_main else None
            if self.ranks.largest(reason is not None):
                log.info("training ends: %s", reason)
                break
            if progress.step == 0:
                for name, lengths in step.lengths().items():
                    self.monitor.histogram(0, f"data/{name}", lengths)
            step_started = time.monotonic()
            update = self.updater.take(step, progress.step + 1)
            self._count(step, update, step_started)
            progress.seconds = time.monotonic() - started
            if progress.step % train.validate_every == 0 and self.ranks.is_main:
                self._validate()
            if progress.step % RELEASE_EVERY == 0:
                release_freed_memory()
            signum = self.ranks.largest(self._signum)
            progress.seconds = time.monotonic() - started
            if progress.step % train.checkpoint_every == 0 or signum:
                self._save()
            if signum:
                raise Interrupted(signum)

    def _end_reason(self) -> str | None:
        """Says why training is over; None if it is not."""
        progress, train = self.progress, self.settings.train
        if progress.step >= train.max_steps:
            return f"{progress.step:,} steps done (train.max_steps)"
        if train.max_epochs is not None and progress.position.epoch >= train.max_epochs:
            return f"{progress.position.epoch} epochs done (train.max_epochs)"
        if train.max_minutes is not None and progress.seconds >= 60 * train.max_minutes:
            return f"{progress.seconds / 60:.1f} minutes done (train.max_minutes)"
        if train.patience is not None and progress.bad_validations >= train.patience:
            return f"no better {train.best_metric} in {progress.bad_validations} validations (train.patience)"
        return None

    def _count(self, step: Step, update: Update, started: float) -> None:
        """Brings the progress up to date behind a step, and logs it when it is time."""
        progress, train = self.progress, self.settings.train
        progress.step += 1
        progress.position = step.next
        progress.tokens += step.n_tokens
        self._unread.append(update)
        due = progress.step % train.log_every == 0
        if due or self.ranks.device.type == "cpu" or len(self._unread) >= READ_EVERY:
            self._read()
        progress.window_seconds += time.monotonic() - started
        mean_loss = progress.window_loss / max(1, progress.window_tokens)
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
        self.monitor.event(progress.step, progress.seconds, values)
        log.info(
            "step %s of %s  loss %.3f  rate %.2e  gradient %.2f  %s tokens/s  %s left",
            f"{progress.step:,}",
            f"{train.max_steps:,}",
            mean_loss,
            update.learning_rate,
            update.gradient_norm,
            f"{speed:,.0f}",
            timedelta(seconds=round(self._seconds_left())),
        )
        progress.window_loss, progress.window_tokens, progress.window_seconds = 0.0, 0, 0.0

    def _read(self) -> None:
        """Waits for the steps that a GPU has not finished, and adds up their losses.

        Raises:
            DivergedError: one is not finite.
        """
        for update in self._unread:
            self.progress.window_loss += update.loss
            self.progress.window_tokens += update.n_tokens
        self._unread.clear()

    def _seconds_left(self) -> float:
        """Estimates the time to the end from the time so far, validations included."""
        progress, train = self.progress, self.settings.train
        shares = [progress.step / train.max_steps]  # of the run that are done, by each of its limits
        if train.max_epochs is not None and (tokens := self.data.tokens_per_epoch):
            shares.append(progress.tokens / (tokens * train.max_epochs))
        if train.max_minutes is not None:
            shares.append(progress.seconds / 60 / train.max_minutes)
        return progress.seconds * max(0.0, 1 / max(shares) - 1)

    def _validate(self, what: str = "valid") -> None:
        """Measures the model, and keeps it as the best one if it is; `what` is measured stands before the metrics.

        Where the recipe asks for a moving average of the weights, that is the model.
        """
        self._read()
        average = self.updater.average if what == "valid" else None
        with average.applied() if average else nullcontext():
            self._measure(what)

    def _measure(self, what: str) -> None:
        progress, train = self.progress, self.settings.train
        found = self.validator.measure()
        progress.validated_step = progress.step
        events = {f"{what}/{name}": value for name, value in found.values().items()}
        self.monitor.event(progress.step, progress.seconds + found.seconds, events)
        value = found.values()[train.best_metric]
        sign = -1 if train.best_metric == "loss" else 1
        better = progress.best_value is None or sign * value > sign * progress.best_value
        log.info(
            "%s at step %s  %s  (%.0f s)%s",
            what,
            f"{progress.step:,}",
            found.text(),
            found.seconds,
            "  best so far" if better else "",
        )
        self.monitor.text(progress.step, f"{what}/samples", found.samples)
        for name, picture in found.pictures.items():
            self.monitor.image(progress.step, f"{what}/{name}", picture)
        if found.samples:
            log.info("%s", found.samples[0])
        if better:
            progress.best_value, progress.best_step, progress.bad_validations = value, progress.step, 0
            with atomic_folder(self.folder / "best") as temporary:
                save_model(temporary, self.trained)
        else:
            progress.bad_validations += 1

    def _save(self) -> None:
        """Writes a checkpoint of this step."""
        self._read()
        if self.ranks.is_main:
            save_checkpoint(self.folder, self.trained, self.updater, self.progress, self.conditions)

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
            load_weights(self.model, find_model(self.folder) / "model.safetensors")
            found, texts = tester.test()
            values = {f"test/{name}": value for name, value in found.items()}
            self.monitor.event(progress.step, progress.seconds, values)
            more |= values
            for text in texts:
                log.info("test, best model, %s", text)
        write_status(self.folder, "finished", progress.step, **more)
        log.info("finished after %s; best model: %s", timedelta(seconds=round(progress.seconds)), self.folder / "best")
