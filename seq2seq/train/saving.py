"""When checkpoints are written: while training waits, or in the background."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from seq2seq.errors import explain_error
from seq2seq.model.folder import AnyTrained
from seq2seq.train.checkpoint import Progress, Snapshot, snapshot, write_checkpoint
from seq2seq.train.update import Updater

log = logging.getLogger(__name__)


class Saver:
    """Writes the checkpoints of a run, never two at a time.

    One that a full disk forbids is survived: the next one is due soon, and older ones are there. When that one fails
    too, or one that must not fail, the error is raised.

    Args:
        run: the run folder.
        background: whether training goes on while a checkpoint is written. Tensors are then copied first.
    """

    def __init__(self, run: Path, background: bool) -> None:
        self._run = run
        self._thread = ThreadPoolExecutor(1, "saver") if background else None
        self._pending: Future[None] | None = None
        self._failed = False

    def save(
        self,
        trained: AnyTrained,
        updater: Updater,
        progress: Progress,
        conditions: dict[str, Any],
        must: bool = False,
    ) -> None:
        """Saves the state of the run.

        Args:
            trained: see `checkpoint.snapshot`.
            updater: see there.
            progress: see there.
            conditions: see there.
            must: whether this is the last chance: it is then written when this returns.

        Raises:
            OSError: it cannot be written, nor could the one before, unless this one must be.
        """
        self.wait()
        if self._thread is None or must:
            self._write(snapshot(trained, updater, progress, conditions), must)
            return
        taken = snapshot(trained, updater, progress, conditions, copy=True)
        self._pending = self._thread.submit(self._write, taken)

    def wait(self) -> None:
        """Returns when all that was saved is written.

        Raises:
            OSError: see `save`.
        """
        if self._pending:
            pending, self._pending = self._pending, None
            pending.result()

    def check(self) -> None:
        """Raises the error of a save in the background that has failed; does not wait."""
        if self._pending and self._pending.done():
            self.wait()

    def close(self) -> None:
        """Waits for what is being written; an error is only logged, since something else ends the run."""
        try:
            self.wait()
        except OSError as error:
            log.warning("the last checkpoint could not be written: %s", error)
        if self._thread:
            self._thread.shutdown()

    def _write(self, taken: Snapshot, must: bool = False) -> None:
        try:
            write_checkpoint(self._run, taken)
        except OSError as error:
            if must or self._failed:
                raise
            self._failed = True
            step = taken.state["progress"]["step"]
            message, _ = explain_error(error) or (str(error), 0)
            log.warning("no checkpoint of step %d: %s; training goes on to the next", step, message)
        else:
            self._failed = False
