"""Checkpoints: a model folder with the optimizer and the state of the run beside it."""

import json
import logging
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seq2seq.config import Settings, settings_from_dict
from seq2seq.data.order import Position
from seq2seq.errors import ModelError
from seq2seq.files import atomic_folder, remove_folder, restore_replaced, verify_manifest, write_json
from seq2seq.model.folder import canonical_weights, load_weights, save_model
from seq2seq.model.transformer import Transformer
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.optimizer import optimizer_tensors, set_optimizer_tensors

log = logging.getLogger(__name__)

NAME = re.compile(r"step-(\d{8,})")


@dataclass
class Progress:
    """How far a run has come: all that decides how it goes on, besides weights and optimizer.

    Attributes:
        step: optimizer steps done.
        position: of the next step in the order of examples.
        seconds: spent in training, over all starts of the run.
        tokens: target tokens trained on.
        window_loss: summed loss since the last log event, nats.
        window_tokens: target tokens since the last log event.
        window_seconds: spent in steps since the last log event.
        best_value: of the best metric so far; None before the first validation.
        best_step: where it was reached.
        bad_validations: validations since then.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    seconds: float = 0.0
    tokens: int = 0
    window_loss: float = 0.0
    window_tokens: int = 0
    window_seconds: float = 0.0
    best_value: float | None = None
    best_step: int = 0
    bad_validations: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk: its folder, where the run stood, and under which settings and conditions."""

    folder: Path
    progress: Progress
    settings: Settings
    conditions: dict[str, Any]

    def restore(self, model: Transformer, optimizer: torch.optim.Optimizer) -> None:
        """Puts weights and optimizer state back."""
        load_weights(model, self.folder / "model.safetensors")
        set_optimizer_tensors(model, optimizer, load_file(self.folder / "optimizer.safetensors"))

    def tokenizer(self) -> Tokenizer:
        """Returns the run's tokenizer."""
        return Tokenizer.load(self.folder / "tokenizer")


def save_checkpoint(
    folder: Path,
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    tokenizer: Tokenizer,
    settings: Settings,
    max_source_length: int,
    progress: Progress,
    conditions: dict[str, Any],
) -> None:
    """Writes `checkpoints/step-N` of a run folder, whole or not at all, and deletes those no longer kept.

    Args:
        folder: the run folder.
        model: weights to save.
        optimizer: state to save.
        tokenizer: of the run.
        settings: of the run.
        max_source_length: tokens of the longest training source.
        progress: of the run.
        conditions: what must stay the same for an exact resume (data, threads, precision).
    """
    with atomic_folder(folder / "checkpoints" / f"step-{progress.step:08d}") as temporary:
        save_model(temporary, canonical_weights(model), tokenizer, settings, max_source_length)
        save_file(optimizer_tensors(model, optimizer), temporary / "optimizer.safetensors")
        write_json(temporary / "state.json", {"progress": asdict(progress), "conditions": conditions})
    for old in checkpoint_folders(folder)[: -settings.train.keep_checkpoints]:
        try:
            remove_folder(old)
        except OSError as error:
            log.warning("cannot delete old checkpoint %s: %s", old, error)


def checkpoint_folders(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run folder, oldest first."""
    found = [path for path in folder.glob("checkpoints/step-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint of a run that is whole; damaged ones are set aside with a warning.

    Raises:
        ModelError: there are checkpoints, and none of them is whole.
    """
    for stale in folder.glob("checkpoints/.step-*.old"):
        restore_replaced(stale.with_name(stale.name[1:].removesuffix(".old")))
    folders = checkpoint_folders(folder)
    for path in reversed(folders):
        try:
            return _read(path)
        except ModelError as error:
            aside = path.with_name(f"{path.name}.corrupt")
            remove_folder(aside)
            os.rename(path, aside)
            log.warning("%s; set aside as %s, taking the checkpoint before it", error, aside.name)
    if folders:
        raise ModelError(f"{folder}/checkpoints: none of the {len(folders)} checkpoints is usable")
    return None


def average_weights(folders: list[Path]) -> dict[str, Tensor]:
    """Returns the mean of the weights of several checkpoints, summed in float64."""
    total: dict[str, Tensor] = {}
    for folder in folders:
        verify_manifest(folder)
        for name, value in load_file(folder / "model.safetensors").items():
            total[name] = total[name] + value.double() if name in total else value.double()
    return {name: (value / len(folders)).float() for name, value in total.items()}


def _read(path: Path) -> Checkpoint:
    """Verifies and reads all of a checkpoint but its tensors."""
    verify_manifest(path)
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        progress = Progress(**{**state["progress"], "position": Position(**state["progress"]["position"])})
        settings = settings_from_dict(config["settings"], str(path / "config.json"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not usable: {error}") from error
    return Checkpoint(path, progress, settings, state["conditions"])
