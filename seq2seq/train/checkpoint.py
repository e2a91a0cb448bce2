"""Checkpoints: a model folder with the optimizer and the state of the run beside it."""

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from seq2seq.config import Settings, differences, settings_from_dict
from seq2seq.data.order import Position
from seq2seq.errors import DamagedError, ModelError, RecipeError, RunError
from seq2seq.files import atomic_folder, remove_folder, restore_replaced, verify_manifest, write_json
from seq2seq.model.folder import (
    canonical_weights,
    checkpoint_folders,
    checkpoint_step,
    load_model,
    load_weights,
    save_model,
    save_tensors,
)
from seq2seq.model.transformer import Transformer
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.optimizer import optimizer_tensors, set_optimizer_tensors

log = logging.getLogger(__name__)

# Where files lie does not change what a run computes; what they hold is compared by its fingerprint.
FREE_KEYS = frozenset({"output", "data.root", "data.cache"})


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
        validated_step: of the last validation.
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
    validated_step: int = 0


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
        save_tensors(optimizer_tensors(model, optimizer), temporary / "optimizer.safetensors")
        write_json(temporary / "state.json", {"progress": asdict(progress), "conditions": conditions})
    *older, _ = checkpoint_folders(folder)
    # Where a signal stopped the run must not change which checkpoints are averaged at its end.
    regular = [path for path in older if checkpoint_step(path) % settings.train.checkpoint_every == 0]
    kept = regular[max(0, len(regular) + 1 - settings.train.keep_checkpoints) :]
    for old in set(older) - set(kept):
        try:
            remove_folder(old)
        except OSError as error:
            log.warning("cannot delete old checkpoint %s: %s", old, error)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint of a run that is whole; damaged ones are set aside with a warning.

    Raises:
        ModelError: there were checkpoints, and none of them is usable.
    """
    for stale in folder.glob("checkpoints/.step-*.old"):
        restore_replaced(stale.with_name(stale.name[1:].removesuffix(".old")))
    restore_replaced(folder / "best")
    for path in reversed(checkpoint_folders(folder)):
        try:
            return _read(path)
        except DamagedError as error:
            aside = path.with_name(f"{path.name}.corrupt")
            remove_folder(aside)
            os.rename(path, aside)
            log.warning("%s; set aside as %s, taking the checkpoint before it", error, aside.name)
    if list(folder.glob("checkpoints/*.corrupt")):
        raise ModelError(f"{folder / 'checkpoints'}: no usable checkpoint is left; choose another output or delete it")
    return None


def changed_settings(before: Settings, now: Settings) -> dict[str, tuple[object, object]]:
    """Returns the settings that differ, by key, as they were and as they are."""
    return {key: (old, new) for key, old, new in differences(before, now) if key not in FREE_KEYS}


def refuse_changes(folder: Path, changed: dict[str, tuple[object, object]]) -> None:
    """Stops a run that would go on under other settings or conditions than it was started with.

    Raises:
        RunError: something has changed; with the list.
    """
    if changed:
        rows = [f"  {key}: was {before!r}, is {now!r}" for key, (before, now) in changed.items() if key != "data"]
        if "data" in changed:  # two hashes would tell nobody anything
            rows.append("  data: the training or validation text is not what it was")
        keys = " ".join(f"--accept {key}" for key in changed)
        raise RunError(
            "\n".join([f"{folder} was started under other conditions:", *rows])
            + f"\nChoose another output, or go on all the same with: {keys}"
        )


def average_checkpoints(run: Path, last: int, output: Path) -> list[int]:
    """Writes the mean of a run's last checkpoints as a model folder; returns their steps.

    Raises:
        ModelError: the run has fewer checkpoints, or one of them is damaged.
    """
    folders = checkpoint_folders(run)[-last:]
    if len(folders) < last:
        raise ModelError(f"{run}: has {len(folders)} checkpoints, not {last} (train.keep_checkpoints)")
    for folder in folders:
        verify_manifest(folder)
    newest = load_model(folders[-1])
    with atomic_folder(output) as temporary:
        save_model(temporary, average_weights(folders), newest.tokenizer, newest.settings, newest.max_source_length)
    return [checkpoint_step(folder) for folder in folders]


def average_weights(folders: list[Path]) -> dict[str, Tensor]:
    """Returns the mean of the weights of several checkpoints, summed in float64."""
    total: dict[str, Tensor] = {}
    for folder in folders:
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
        return Checkpoint(path, progress, settings, state["conditions"])
    except (ValueError, KeyError, TypeError, RecipeError) as error:
        raise ModelError(f"{path}: whole, but not of this program's making or version: {error}") from error
