"""How far a run has come: when it is over, and what the log says on the way."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
from torch import nn

from seq2seq.config import AnyTrainSettings, Settings
from seq2seq.train.checkpoint import Progress
from seq2seq.train.distributed import Ranks


def start_line(
    model: nn.Module, conditions: Mapping[str, Any], ranks: Ranks, tokens_per_step: int, device_tokens: int
) -> str:
    """Returns what the log says of a run that starts: its sizes, and on what it runs."""
    return (
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {conditions['precision']} on {ranks.device}, "
        f"{torch.get_num_threads()} threads, {ranks.world_size} rank(s); {tokens_per_step:,} target tokens a step, "
        f"at most {device_tokens:,} on a device"
    )


def end_reason(progress: Progress, settings: Settings) -> str | None:
    """Says why training is over; None if it is not."""
    train = settings.train
    if progress.step >= train.max_steps:
        return f"{progress.step:,} steps done (train.max_steps)"
    if train.max_epochs is not None and progress.position.epoch >= train.max_epochs:
        return f"{progress.position.epoch} epochs done (train.max_epochs)"
    if train.max_minutes is not None and progress.seconds >= 60 * train.max_minutes:
        return f"{progress.seconds / 60:.1f} minutes done (train.max_minutes)"
    if train.patience is not None and progress.bad_validations >= train.patience:
        return f"no better {train.best_metric} in {progress.bad_validations} validations (train.patience)"
    return None


def step_line(
    values: Mapping[str, float], progress: Progress, train: AnyTrainSettings, tokens_per_epoch: float | None
) -> str:
    """Returns what the log says of a step, and of the time that is left.

    Args:
        values: the step's numbers by their names in metrics.jsonl.
        progress: of the run.
        train: its limits.
        tokens_per_epoch: None where a corpus is streamed.
    """
    left = timedelta(seconds=round(_seconds_left(progress, train, tokens_per_epoch)))
    return (
        f"step {progress.step:,} of {train.max_steps:,}  loss {values['train/loss']:.3f}  "
        f"rate {values['train/learning_rate']:.2e}  gradient {values['train/gradient_norm']:.2f}  "
        f"{values['train/tokens_per_second']:,.0f} tokens/s  {left} left"
    )


def _seconds_left(progress: Progress, train: AnyTrainSettings, tokens_per_epoch: float | None) -> float:
    """Estimates the time to the end from the time so far, validations included."""
    shares = [progress.step / train.max_steps]  # of the run that are done, by each of its limits
    if train.max_epochs is not None and tokens_per_epoch:
        shares.append(progress.tokens / (tokens_per_epoch * train.max_epochs))
    if train.max_minutes is not None:
        shares.append(progress.seconds / 60 / train.max_minutes)
    return progress.seconds * max(0.0, 1 / max(shares) - 1)
