"""Steps whose loss or gradient is not finite: where that begins, and the batch for whoever wants to look at it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seq2seq.data.batch import AnyBatch, Batch, PackedBatch
from seq2seq.data.order import Step
from seq2seq.errors import DivergedError
from seq2seq.files import write_json
from seq2seq.model.folder import AnyTrained
from seq2seq.text.ids import PAD
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.checkpoint import Progress
from seq2seq.train.update import Update, Updater

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Culprit:
    """What makes a step not finite: a micro-batch of this rank, and where in the model it shows first."""

    micro_batch: int
    batch: AnyBatch
    where: str


def examine(updater: Updater, step: Step, update: Update, progress: Progress, trained: AnyTrained) -> None:
    """Counts a step that was not finite, and so changed nothing, and logs where that begins.

    Raises:
        DivergedError: there were `train.max_bad_steps` of them in a row; what this one was trained on, as far as it is
            to blame, is written into the run folder.
    """
    progress.bad_steps += 1
    progress.skipped_steps += 1
    folder, number, rank = Path(trained.settings.output), update.number, updater.ranks.rank
    culprit = find_culprit(updater, step, number)
    if culprit or updater.ranks.is_main:
        where = f"micro-batch {culprit.micro_batch}, {culprit.where}" if culprit else "nothing on this rank any more"
        log.warning(
            "rank %d: step %d changes nothing: loss %.4g, gradient norm %.4g; first not finite: %s",
            *(rank, number, update.loss / update.n_tokens, update.gradient_norm, where),
        )
    if progress.bad_steps < trained.settings.train.max_bad_steps:
        return
    path = folder / f"bad-step-{number:08d}-rank-{rank}.json"
    if culprit or updater.ranks.is_main:
        batches = {culprit.micro_batch: culprit.batch} if culprit else {i: step.batch(i) for i in updater.own(step)}
        where = culprit.where if culprit else "unknown"
        rows = [row for i, batch in batches.items() for row in batch_rows(batch, i, trained.tokenizer)]
        with suppress(OSError):  # a full disk must not hide why the run ends
            write_json(path, {"step": number, "rank": rank, "where": where, "rows": rows})
            log.warning("rank %d: the batch is in %s", rank, path)
    updater.ranks.wait()  # until each rank has looked: the first that fails ends all
    raise DivergedError(
        f"step {number}: {progress.bad_steps} steps in a row were not finite (train.max_bad_steps): training has "
        f"diverged; lower train.learning_rate or raise train.warmup_steps; the batch is in {folder}/bad-step-*.json"
    )


def find_culprit(updater: Updater, step: Step, number: int) -> Culprit | None:
    """Goes through this rank's micro-batches of optimizer step `number` again.

    Returns:
        The first one that is not finite; None if all are, with the weights as they are now.
    """
    for i in updater.own(step):
        try:
            where = _first_place(updater.model, lambda i=i: _backward(updater, step, i, number))  # type: ignore[misc]
        finally:
            updater.optimizer.zero_grad(set_to_none=True)
        if where:
            return Culprit(i, step.batch(i), where)
    return None


def batch_rows(batch: AnyBatch, micro_batch: int, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Returns what the rows of a micro-batch are made of: ids of each side, and the pieces they stand for."""
    return [
        {
            "micro_batch": micro_batch,
            **{side: {"ids": ids, "pieces": _pieces(tokenizer, side, ids)} for side, ids in row.items()},
        }
        for row in _rows(batch)
    ]


def _backward(updater: Updater, step: Step, i: int, number: int) -> Tensor:
    """Does what training does with a micro-batch, but never compiled: hooks see each module."""
    compiled, updater.loss = updater.loss, updater.plain_loss
    try:
        return updater.backward(step, i, number)
    finally:
        updater.loss = compiled


def _first_place(model: nn.Module, backward: Callable[[], Tensor]) -> str | None:
    """Says what is first not finite: a weight, what a module returns, the loss, or a gradient, from the loss on."""
    for name, parameter in model.named_parameters():
        if not _finite(parameter):
            return f"weight {name}"
    bad: list[str] = []

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            if not bad and not all(map(_finite, _tensors(output))):
                bad.append(f"output of {name}")

        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in model.named_modules() if name]
    try:
        loss = backward()
    finally:
        for handle in hooks:
            handle.remove()
    if not bad and not _finite(loss):
        bad.append("loss")
    for name, parameter in reversed(list(model.named_parameters())):
        if not bad and parameter.grad is not None and not _finite(parameter.grad):
            bad.append(f"gradient of {name}")
    return bad[0] if bad else None


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _tensors(output: Any) -> Iterator[Tensor]:
    """Yields the tensors of numbers that a module has returned."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, tuple | list):
        for part in output:
            yield from _tensors(part)


def _rows(batch: AnyBatch) -> Iterator[dict[str, list[int]]]:
    """Yields the ids of each row of a batch by side."""
    if isinstance(batch, PackedBatch):
        sides = {
            "source": _unpacked(batch.src.ids, batch.src.offsets),
            "target": _unpacked(batch.tgt_out, batch.tgt_in.offsets),
        }
    elif isinstance(batch, Batch):
        sides = {"source": batch.src.tolist(), "target": batch.tgt_out.tolist()}
    else:
        sides = {"text": torch.cat([batch.tokens[:, :1], batch.targets], dim=1).tolist()}
    for row in zip(*sides.values(), strict=True):
        yield {side: [i for i in ids if i != PAD] for side, ids in zip(sides, row, strict=True)}


def _unpacked(ids: Tensor, offsets: Tensor) -> list[list[int]]:
    return [part.tolist() for part in torch.tensor_split(ids, offsets[1:-1].cpu().long())]


def _pieces(tokenizer: Tokenizer, side: str, ids: list[int]) -> list[str]:
    pieces = tokenizer.source_pieces if side == "source" else tokenizer.target_pieces
    return pieces([np.array(ids)])[0]
