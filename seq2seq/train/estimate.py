"""What a recipe will cost, before it is run."""

import torch

from seq2seq.config import Settings
from seq2seq.data.order import CHUNK_TOKENS
from seq2seq.model.device import TRAINING_WIDTH, choose_device, choose_device_tokens, choose_precision
from seq2seq.train.initial import freeze, initial_tokenizer
from seq2seq.train.monitor import logging_to
from seq2seq.train.task import Data, open_task

GUESS = " (a guess: training finds by trial how many fit)"


def estimate(settings: Settings, device_name: str = "auto") -> str:
    """Prepares the data of a recipe (they stay in the cache) and returns sizes and estimates as text.

    Raises:
        DataError: a corpus cannot be used.
    """
    with logging_to(None, speak=True):
        task = open_task(settings, initial_tokenizer(settings))
    device = choose_device(device_name)
    precision = choose_precision(settings.train.precision, device, settings.model.d_model, TRAINING_WIDTH)
    with torch.device("meta"):
        model = task.build(torch.device("meta"), None).model
    freeze(model, settings.train.freeze)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    n_trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    device_tokens = choose_device_tokens(settings.train.device_tokens, device)
    memory = _memory(settings, n_parameters, n_trained, task.held_per_token(), device_tokens)
    by_trial = settings.train.device_tokens == "auto" and device.type == "cuda"
    rows = [
        ("vocabulary", task.vocabulary()),
        ("parameters", f"{n_parameters:,}" + (f", {n_trained:,} of them trained" if settings.train.freeze else "")),
        *task.facts(),
        *_epochs(settings, task.data(device_tokens, 1)),
        ("device", f"{device}, {precision}, at most {device_tokens:,} tokens at once{GUESS if by_trial else ''}"),
        ("memory, estimated", f"{memory / 2**20:,.0f} MiB"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _epochs(settings: Settings, data: Data) -> list[tuple[str, str]]:
    """Says how long an epoch is and how many of them the run has, where that is known."""
    max_steps = settings.train.max_steps
    if data.tokens_per_epoch is None:
        return [("the whole run", f"at most {max_steps:,} steps over streamed text")]
    steps = max(1, round(data.tokens_per_epoch / data.tokens_per_step))
    return [
        ("an epoch", f"{round(data.tokens_per_epoch):,} target tokens, about {steps:,} steps"),
        ("the whole run", f"at most {max_steps:,} steps, about {max_steps / steps:.1f} epochs"),
    ]


def _memory(settings: Settings, n_parameters: int, n_trained: int, held_per_token: int, device_tokens: int) -> float:
    """Estimates the bytes that training holds at its peak.

    Weights, their moving average, gradients and Adam's two moments take 4 bytes each, and so does each number that is
    kept for the backward pass. Of pairs more than a chunk of the training order is never held at once.
    """
    tokens = min(device_tokens, settings.train.batch_tokens)
    if settings.task == "translation":
        tokens = min(tokens, CHUNK_TOKENS)
    weights = 4.0 * n_parameters * (2 if settings.train.ema_decay else 1) + 12.0 * n_trained
    return weights + 4.0 * tokens * held_per_token
