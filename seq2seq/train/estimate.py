"""What a recipe will cost, before it is run."""

from collections.abc import Sequence

import torch

from seq2seq.config import TranslationSettings
from seq2seq.data.order import CHUNK_TOKENS
from seq2seq.data.pools import Pools
from seq2seq.data.store import describe_counts
from seq2seq.model.device import choose_device, choose_device_tokens, choose_precision
from seq2seq.model.folder import build_model
from seq2seq.train.initial import freeze, initial_tokenizer
from seq2seq.train.monitor import logging_to
from seq2seq.train.prepare import HeldOut, prepare


def estimate(settings: TranslationSettings, device_name: str = "auto") -> str:
    """Prepares the data of a recipe (they stay in the cache) and returns sizes and estimates as text.

    Raises:
        DataError: a corpus cannot be used.
    """
    with logging_to(None, speak=True):
        prepared = prepare(settings, initial_tokenizer(settings))
    device = choose_device(device_name)
    precision = choose_precision(settings.train.precision, device, settings.model.d_model)
    with torch.device("meta"):
        model = build_model(settings, prepared.tokenizer)
    freeze(model, settings.train.freeze)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    n_trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    device_tokens = choose_device_tokens(settings.train.device_tokens, device)
    vocab = prepared.tokenizer
    shared = " (shared)" if vocab.shared else ""
    memory = _memory(settings, n_parameters, n_trained, vocab.target_vocab_size, device_tokens)
    rows = [
        ("vocabulary", f"{vocab.source_vocab_size:,} source, {vocab.target_vocab_size:,} target{shared}"),
        ("parameters", f"{n_parameters:,}" + (f", {n_trained:,} of them trained" if settings.train.freeze else "")),
        *((f"corpus {store.name}", describe_counts(store.counts)) for store in prepared.stores),
        ("validation", _sizes(prepared.valid)),
        ("test", _sizes(prepared.test)),
        *_epochs(settings, prepared.pools),
        ("device", f"{device}, {precision}, at most {device_tokens:,} tokens at once"),
        ("memory, estimated", f"{memory / 2**20:,.0f} MiB"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _sizes(sets: Sequence[HeldOut]) -> str:
    """Says how many pairs the sets to validate or test on have."""
    return ", ".join(f"{len(held_out.pairs):,} pairs {held_out.direction}" for held_out in sets) or "none"


def _epochs(settings: TranslationSettings, pools: Pools) -> list[tuple[str, str]]:
    """Says how long an epoch is and how many of them the run has, where that is known."""
    max_steps = settings.train.max_steps
    if pools.tokens_per_epoch is None:
        return [("the whole run", f"at most {max_steps:,} steps over streamed text")]
    steps = max(1, round(pools.tokens_per_epoch / settings.train.batch_tokens))
    return [
        ("an epoch", f"{round(pools.tokens_per_epoch):,} target tokens, about {steps:,} steps"),
        ("the whole run", f"at most {max_steps:,} steps, about {max_steps / steps:.1f} epochs"),
    ]


def _memory(
    settings: TranslationSettings, n_parameters: int, n_trained: int, vocab_size: int, device_tokens: int
) -> float:
    """Estimates the bytes that training holds at its peak.

    Weights, their moving average, gradients and Adam's two moments take 4 bytes each. For the backward pass a layer
    keeps about 14 rows of width D and 2 of width F for each token (20 and 2 in the decoder); the loss holds about 3
    rows of the vocabulary.
    More than a chunk of the training order is never held at once.
    """
    sizes = settings.model
    tokens = min(device_tokens, settings.train.batch_tokens, CHUNK_TOKENS)
    encoder = (sizes.encoder_layers or sizes.layers) * (14 * sizes.d_model + 2 * sizes.d_feedforward)
    decoder = (sizes.decoder_layers or sizes.layers) * (20 * sizes.d_model + 2 * sizes.d_feedforward)
    weights = 4.0 * n_parameters * (2 if settings.train.ema_decay else 1) + 12.0 * n_trained
    return weights + 4.0 * tokens * (encoder + decoder + 3 * vocab_size)
