"""What must be equal after a fault and without it: tensors bit for bit, and what a run has logged."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from inject.check import expect

TIMES = ("seconds", "per_second")  # end the names of values that are never equal


def digest(folder: Path) -> str:
    """Returns the SHA-256 of all tensors of a model or checkpoint folder, by file and name."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        for name, value in sorted(load_file(path).items()):
            found.update(f"{path.name} {name} {value.dtype} {list(value.shape)}".encode())
            found.update(value.numpy().tobytes())
    return found.hexdigest()


def events(run: Path) -> list[dict[str, Any]]:
    """Returns what a run has logged in metrics.jsonl."""
    path = run / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def expect_same(run: Path, undisturbed: Path) -> None:
    """Compares two runs that have ended: weights, optimizer, best model, and what was logged.

    Raises:
        Unexpected: they differ.
    """
    checkpoints = [sorted(path.name for path in one.glob("checkpoints/step-*")) for one in (run, undisturbed)]
    expect(checkpoints[0][-1:] == checkpoints[1][-1:], f"last checkpoint is {checkpoints[0][-1:]}")
    for folder in (f"checkpoints/{checkpoints[1][-1]}", "best"):
        same = digest(run / folder) == digest(undisturbed / folder)
        expect(same, f"the tensors of {folder} are not those of an undisturbed run")
    found, expected = (list(map(_without_times, events(one))) for one in (run, undisturbed))
    for one, other in zip(found, expected, strict=False):
        expect(one == other, f"metrics.jsonl has {one}, of an undisturbed run {other}")
    expect(len(found) == len(expected), f"metrics.jsonl has {len(found)} events, not {len(expected)}")


def _without_times(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if not name.endswith(TIMES)}


@contextmanager
def warnings_of_program() -> Iterator[list[str]]:
    """Yields a list to which the program's warnings are added while the block runs."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("seq2seq")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
