"""Checkpoints: a model folder with the optimizer and the state of the run beside it."""

import logging
import os
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter
from torch import Tensor

from seq2seq.config import Settings, differences
from seq2seq.data.pools import Position
from seq2seq.errors import DamagedError, ModelError, RunError, Seq2SeqError
from seq2seq.files import (
    MANIFEST,
    atomic_folder,
    is_whole,
    read_json,
    recover,
    remove_folder,
    verify_manifest,
    write_json,
)
from seq2seq.model.device import Precision
from seq2seq.model.folder import (
    WEIGHTS,
    AnyTrained,
    ModelConfig,
    checkpoint_folder,
    checkpoint_folders,
    checkpoint_step,
    load_any,
    save_model,
)
from seq2seq.model.weights import (
    canonical_weights,
    check_shapes,
    load_tensors,
    read_shapes,
    save_tensors,
    set_weights,
)
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.update import Updater

log = logging.getLogger(__name__)

STATE = "state.json"
MOST = 2**62  # steps, epochs, rows

# Where files lie and when they are written does not change what a run computes; what they hold has a fingerprint.
FREE_KEYS = frozenset({"output", "data.root", "data.cache", "train.background_save"})


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
        device_tokens: that have been found to fit on the devices, by trial or when memory ran out; None: as asked for.
        bad_steps: of the last steps, those in a row that changed nothing since a loss or gradient was not finite.
        skipped_steps: all such steps.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

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
    device_tokens: int | None = None
    bad_steps: int = 0
    skipped_steps: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk: its folder, where the run stood, and under which settings and conditions.

    Attributes:
        max_source_length: tokens of the longest source a translation model has been trained on.
        names: files that it is made of.
    """

    folder: Path
    progress: Progress
    settings: Settings
    conditions: dict[str, Any]
    max_source_length: int
    names: frozenset[str]

    def tokenizer(self) -> Tokenizer:
        """Returns the run's tokenizer."""
        return Tokenizer.load(self.folder / "tokenizer")

    def shortlist(self) -> Shortlist | None:
        """Returns the shortlist of the run's model, if it has one."""
        return Shortlist.load(self.folder, self.tokenizer()) if SHORTLIST in self.names else None


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint holds, as it stands at one step.

    Attributes:
        trained: the model; its weights are not read from here.
        weights: by their canonical names.
        tensors: all else, by file and name.
        state: of the run.
    """

    trained: AnyTrained
    weights: dict[str, Tensor]
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def snapshot(
    trained: AnyTrained, updater: Updater, progress: Progress, conditions: dict[str, Any], copy: bool = False
) -> Snapshot:
    """Returns the state of a run.

    Args:
        trained: the model as it stands.
        updater: its state is saved.
        progress: of the run.
        conditions: what must stay the same for an exact resume (data, threads, precision).
        copy: whether training may go on before it is written.
    """
    tensors = updater.tensors()
    if copy:
        tensors = {file: {name: x.to("cpu", copy=True) for name, x in of.items()} for file, of in tensors.items()}
    state = {"progress": asdict(progress), "conditions": conditions}
    return Snapshot(trained, canonical_weights(trained.model), tensors, state)


def write_checkpoint(run: Path, taken: Snapshot) -> None:
    """Writes `checkpoints/step-N` of a run folder, whole or not at all, and deletes those no longer kept."""
    settings = taken.trained.settings.train
    with atomic_folder(checkpoint_folder(run, taken.state["progress"]["step"])) as temporary:
        save_model(temporary, taken.trained, taken.weights)
        for file, tensors in taken.tensors.items():
            save_tensors(tensors, temporary / file)
        write_json(temporary / STATE, taken.state)
    *older, _ = checkpoint_folders(run)
    # Where a signal stopped the run must not change which checkpoints are averaged at its end.
    regular = [path for path in older if _is_regular(path, settings.checkpoint_every)]
    kept = regular[max(0, len(regular) + 1 - max(2, settings.keep_checkpoints)) :]
    for old in set(older) - set(kept):
        try:
            remove_folder(old)
        except OSError as error:
            log.warning("cannot delete old checkpoint %s: %s", old, error)


def _is_regular(path: Path, every: int) -> bool:
    """Says whether a checkpoint is one that an undisturbed run writes; see `Trainer._save`."""
    if checkpoint_step(path) % every:
        return False
    try:
        state = read_json(path / STATE)
        return not state["progress"].get("bad_steps")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True  # damaged; it is set aside when it is read


def recover_run(folder: Path) -> None:
    """Makes good what a crash has left in a run folder; only for the process that holds its lock."""
    for parent in (folder, folder / "checkpoints"):
        recover(parent)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint of a run that is whole; damaged ones are set aside with a warning.

    Raises:
        ModelError: there were checkpoints, and none of them is usable.
    """
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


def conditions(fingerprint: str, precision: Precision, device: torch.device) -> dict[str, Any]:
    """Returns what, besides the settings, must stay the same for an exact resume; `fingerprint` is that of the data."""
    found: dict[str, Any] = {"data": fingerprint, "precision": precision, "device": device.type}
    if device.type == "cpu":  # the number of threads decides in which order sums are rounded
        found["threads"] = torch.get_num_threads()
    return found


def changed_settings(before: Settings, now: Settings) -> dict[str, tuple[object, object]]:
    """Returns the settings that differ, by key, as they were and as they are."""
    return {key: (old, new) for key, old, new in differences(before, now) if key not in FREE_KEYS}


def refuse_changes(run: Path, changed: dict[str, tuple[object, object]], accept: frozenset[str]) -> None:
    """Stops a run that would go on under other settings or conditions than it was started with.

    Args:
        run: the run folder.
        changed: by key, what was and what is.
        accept: keys that may have changed.

    Raises:
        RunError: something else has changed; with the list.
    """
    refused = {key: row for key, row in changed.items() if key not in accept}
    if refused:
        rows = [f"  {key}: was {before!r}, is {now!r}" for key, (before, now) in refused.items() if key != "data"]
        if "data" in refused:  # two hashes would tell nobody anything
            rows.append("  data: the training or validation text is not what it was")
        keys = " ".join(f"--accept {key}" for key in refused)
        raise RunError(
            "\n".join([f"{run} was started under other conditions:", *rows])
            + f"\nChoose another output, or go on all the same with: {keys}"
        )


def average_checkpoints(run: Path, last: int, output: Path) -> list[int]:
    """Writes the mean of a run's last checkpoints as a model folder; returns their steps.

    Raises:
        ModelError: the run has fewer checkpoints, or one of them is damaged.
        Seq2SeqError: `output` holds something else than a model.
    """
    output = output.resolve()
    if output.exists() and not ((output / MANIFEST).exists() or (output.is_dir() and not any(output.iterdir()))):
        raise Seq2SeqError(f"{output}: exists and is not a model folder; choose another output")
    folders = checkpoint_folders(run)[-last:]
    if len(folders) < last:
        raise ModelError(f"{run}: has {len(folders)} checkpoints, not {last} (train.keep_checkpoints)")
    for folder in folders:
        verify_manifest(folder)
    newest = load_any(folders[-1])
    set_weights(newest.model, average_weights(folders))
    with atomic_folder(output) as temporary:
        save_model(temporary, newest)
    return [checkpoint_step(folder) for folder in folders]


def last_whole_checkpoints(run: Path, last: int) -> list[Path]:
    """Returns the last checkpoints of a run, oldest first; damaged ones are left out with a warning."""
    folders = checkpoint_folders(run)[-last:] if last else []
    whole = [folder for folder in folders if is_whole(folder)]
    for folder in set(folders) - set(whole):
        log.warning("%s is damaged and left out of the average", folder)
    return whole


def average_weights(folders: list[Path]) -> dict[str, Tensor]:
    """Returns the mean of the weights of several checkpoints, summed in float64.

    Raises:
        ModelError: they are of different models.
    """
    total: dict[str, Tensor] = {}
    shapes = read_shapes(folders[0] / WEIGHTS)
    for folder in folders:
        check_shapes(folder / WEIGHTS, shapes)
        for name, value in load_tensors(folder / WEIGHTS).items():
            total[name] = total[name] + value.double() if name in total else value.double()
    return {name: (value / len(folders)).float() for name, value in total.items()}


def _read(path: Path) -> Checkpoint:
    """Verifies and reads all of a checkpoint but its tensors."""
    if not (path / MANIFEST).exists():
        raise DamagedError(f"{path / MANIFEST}: missing")
    names = verify_manifest(path)
    config = ModelConfig.load(path)
    settings = config.recipe(path)
    try:
        state = read_json(path / STATE)
        progress = TypeAdapter(Progress).validate_python(state["progress"])
        place = progress.position
        counts = (progress.step, place.epoch, place.pool, place.step, place.tokens, *chain.from_iterable(place.rows))
        if not all(0 <= count <= MOST for count in counts):
            raise ValueError("says that it is where no run can be")
        return Checkpoint(path, progress, settings, dict(state["conditions"]), config.max_source_length, names)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: whole, but not of this program's making or version: {error}") from error
