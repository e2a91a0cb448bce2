"""What a run tells: the log, metrics.jsonl, samples.jsonl, TensorBoard, the progress bar and status.json."""

import errno
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seq2seq.files import parse_json, read_json, write_json
from seq2seq.train.samples import Sample, sample_text

log = logging.getLogger(__name__)

MAX_BINS = 256  # of a histogram
AT_THE_END = ("average/", "test/")  # begins the names of what is measured when the run has ended


class _BarSafeHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes log lines to stderr above a progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


@contextmanager
def logging_to(path: Path | None, speak: bool) -> Iterator[None]:
    """Sends the package's log to stderr and, with a path, to a file, while the block runs.

    Args:
        path: file that is appended to.
        speak: whether this process logs at all below warnings (only one rank does).
    """
    logger = logging.getLogger("seq2seq")
    handlers: list[logging.Handler] = [_BarSafeHandler()]
    if path:
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    for handler, dates in zip(handlers, ("%H:%M:%S", "%Y-%m-%d %H:%M:%S"), strict=False):
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt=dates))
        logger.addHandler(handler)
    level, logger.propagate = logger.level, False
    logger.setLevel(logging.INFO if speak else logging.WARNING)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = True


class _Lines:
    """Appends lines of JSON to a file, whole ones; while the disk is full they wait in memory.

    Args:
        path: the file; what is behind a step or was measured again goes, see `cut_metrics`.
        step: see there.
        validated: see there.
    """

    def __init__(self, path: Path, step: int, validated: int) -> None:
        cut_metrics(path, step, validated)
        self._name = path.name
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
        self._waiting = b""

    def add(self, event: dict[str, Any]) -> None:
        """Writes an event, behind those that wait: all or none."""
        self._waiting += json.dumps(event).encode() + b"\n"
        self._write()

    def _write(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(self._waiting) != len(self._waiting):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._waiting = b""
        except OSError as error:
            os.ftruncate(self._file.fileno(), size)
            log.warning("%s: %s; what it is to hold waits in memory", self._name, error.strerror)

    def close(self) -> None:
        """Writes what still waits."""
        if self._waiting:
            self._write()
        self._file.close()


class Monitor:
    """Writes the events of a run; on ranks other than the first it does nothing.

    A full disk does not end a training: events wait until there is room, and TensorBoard is given up.

    Args:
        folder: the run folder; None: write nothing.
        step: the step from which the run goes on; events behind it are cut off.
        total_steps: for the progress bar.
        validated: the last step whose validation the run knows of.
    """

    def __init__(self, folder: Path | None, step: int, total_steps: int, validated: int = 0) -> None:
        self._folder = folder
        if folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        self._metrics = _Lines(folder / "metrics.jsonl", step, validated)
        self._samples = _Lines(folder / "samples.jsonl", step, validated)
        self._board: SummaryWriter | None = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        # A bar where somebody watches; elsewhere the log lines say the same.
        self._bar = tqdm(
            total=total_steps, initial=step, unit="step", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )

    def event(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Records values of one step in metrics.jsonl and TensorBoard; those that are not finite are left out."""
        if self._folder is None:
            return
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        self._metrics.add({"step": step, "seconds": round(seconds, 3), **values})
        for name, value in values.items():
            self._show("add_scalar", name, value, step)

    def _show(self, what: str, *arguments: Any, **options: Any) -> None:
        """Calls a method of TensorBoard's writer, until it fails."""
        try:
            if self._board:
                getattr(self._board, what)(*arguments, **options)
        except OSError as error:
            log.warning("TensorBoard shows nothing from here on: %s", error)
            self._board = None

    def samples(self, step: int, what: str, samples: Sequence[Sample]) -> None:
        """Records some of the model's work in samples.jsonl and TensorBoard; `what` was measured stands before it."""
        if self._folder is not None and samples:
            self._samples.add({"step": step, f"{what}/samples": [dict(sample) for sample in samples]})
            text = "\n\n".join(f"<pre>{escape(sample_text(sample))}</pre>" for sample in samples)
            self._show("add_text", f"{what}/samples", text, step)

    def image(self, step: int, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Records a picture [height, width, 3] in TensorBoard."""
        if self._folder is not None:
            self._show("add_image", name, picture, step, dataformats="HWC")

    def histogram(self, step: int, name: str, values: npt.NDArray[np.integer]) -> None:
        """Records in TensorBoard how often each of some whole numbers [n], at least one, occurs."""
        if self._folder is not None:
            low, high = int(values.min()), int(values.max())
            width = -(-(high - low + 1) // MAX_BINS)  # a whole number, so that all bins are equally wide to the data
            self._show("add_histogram", name, values, step, bins=np.arange(low, high + width + 1, width) - 0.5)

    def advance(self, description: str) -> None:
        """Moves the progress bar by a step."""
        if self._folder is not None:
            self._bar.set_postfix_str(description, refresh=False)
            self._bar.update()

    def close(self) -> None:
        """Ends the bar and writes what is still in memory."""
        if self._folder is not None:
            self._bar.close()
            self._metrics.close()
            self._samples.close()
            self._show("close")


def cut_metrics(path: Path, step: int, validated: int) -> None:
    """Removes the events behind a step from metrics.jsonl or samples.jsonl, and a line that a crash left unfinished.

    What is measured again goes too: the end of the run, and a validation that the run does not know of.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            event = parse_json(line.decode())
            again = (*AT_THE_END, "valid/") if event["step"] > validated else AT_THE_END
            if event["step"] <= step and not any(key.startswith(again) for key in event):
                kept.append(line + b"\n")
        except (ValueError, KeyError, TypeError):
            continue
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(b"".join(kept))
    temporary.replace(path)


def write_status(folder: Path, state: str, step: int, **more: Any) -> None:
    """Writes status.json: `running`, `finished`, `interrupted` or `failed`, and the step."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(folder / "status.json", {"state": state, "step": step, "time": now, **more})


def read_status(folder: Path) -> dict[str, Any]:
    """Returns what status.json holds; nothing if there is none."""
    try:
        status: dict[str, Any] = read_json(folder / "status.json")
    except (OSError, ValueError):
        return {}
    return status
