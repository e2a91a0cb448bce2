"""One optimizer step: what happens between a batch and the next weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from seq2seq.config import Settings, TranslationSettings
from seq2seq.data.ahead import own_micro_batches
from seq2seq.data.batch import AnyBatch, Batch
from seq2seq.data.order import Step
from seq2seq.data.permutation import derive_seed
from seq2seq.errors import TooLargeError, is_out_of_memory
from seq2seq.model.device import Precision, autocast
from seq2seq.model.folder import WEIGHTS
from seq2seq.model.weights import canonical_weights, load_tensors, load_weights
from seq2seq.train.compiled import compiled
from seq2seq.train.distributed import Ranks
from seq2seq.train.ema import MovingAverage
from seq2seq.train.optimizer import build_optimizer, learning_rate, optimizer_tensors, set_optimizer_tensors

OPTIMIZER, AVERAGE = "optimizer.safetensors", "ema.safetensors"


@dataclass(frozen=True)
class Update:
    """What an optimizer step reports.

    Attributes:
        number: of the step, from 1.
        summed: loss of all tokens, in nats; on the device, which may still be computing it.
        n_tokens: of the step.
        norm: of the gradient before clipping; on the device.
        learning_rate: with which it was taken.
    """

    number: int
    summed: Tensor
    n_tokens: int
    norm: Tensor
    learning_rate: float

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradient before clipping."""
        return float(self.norm)

    @property
    def loss(self) -> float:
        """Summed loss in nats."""
        return float(self.summed)

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient are numbers; if not, the step has changed nothing."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


class Updater:
    """Changes a model's weights step by step.

    Args:
        model: on the device of `ranks`; frozen parameters are left alone.
        settings: the recipe.
        ranks: this process among those that train together.
        precision: of the products of the forward pass.
        loss: the model's summed loss of a batch in nats, as it is trained on.

    Attributes:
        average: moving average of the weights, if the recipe asks for one.
        plain_loss: the loss, never compiled.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Settings,
        ranks: Ranks,
        precision: Precision,
        loss: Callable[[AnyBatch], Tensor],
    ) -> None:
        self.model = model
        self.settings = settings
        self.ranks = ranks
        self.precision = precision
        self.loss = compiled(loss, ranks.device) if settings.train.compile else loss
        self.plain_loss = loss
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(model, settings.train)
        decay = settings.train.ema_decay
        self.average = MovingAverage(model, decay) if decay else None

    def take(self, step: Step, number: int) -> Update:
        """Takes optimizer step `number` (from 1); where the loss or the gradient is not finite, it changes nothing.

        The gradient is that of the loss summed over all tokens of all micro-batches of all ranks, divided by their
        number, and only then clipped: cutting a step in other micro-batches does not change it. With one process,
        nothing here waits for a GPU.

        Raises:
            TooLargeError: a rank has not found the memory; on all ranks alike, and nothing is changed.
        """
        train = self.settings.train
        loss = self._differentiate(step, number)
        norm = torch.nn.utils.get_total_norm([cast(Tensor, p.grad) for p in self.trained]) / step.n_tokens
        # Fused Adam divides the gradient by this number while it reads it: mean and clipping cost no pass of their own.
        clipping = (train.clip_norm / (norm + 1e-6)).clamp(max=1.0) if train.clip_norm else torch.ones_like(norm)
        self.optimizer.grad_scale = step.n_tokens / clipping  # type: ignore[attr-defined]
        bad = (~(norm + loss).isfinite()).float()
        self.optimizer.found_inf = bad  # type: ignore[attr-defined]
        rate = learning_rate(number, train, self.settings.model.d_model)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(number, bad)
        return Update(number, loss, step.n_tokens, norm, rate)

    def prepare(self, batch: AnyBatch) -> AnyBatch:
        """Returns a micro-batch as the device likes it best: on a GPU pinned, and pairs without padding if it can."""
        if self.ranks.device.type != "cuda":
            return batch
        settings = self.settings
        if isinstance(settings, TranslationSettings) and isinstance(batch, Batch):
            dropping = settings.train.r_drop or settings.model.attention_dropout
            if self.precision == "bf16" and not dropping:  # the kernel computes in 16 bits and drops no weights
                return batch.packed().pinned()
        return batch.pinned()

    def _differentiate(self, step: Step, number: int) -> Tensor:
        """Leaves the gradient of a step in the parameters, on every rank alike, and returns the summed loss.

        On a CPU the micro-batches' gradients are summed in float64. Rounded to float32 behind the last one, the sum
        does not depend on their order, so training is the same, bit for bit, on any number of ranks.
        """
        ranks = self.ranks
        gradients: list[Tensor] = []
        loss, fits = torch.zeros(()), True
        try:
            loss, gradients = self._own_gradients(step, number)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            fits = False  # and what the error holds is given back
        if ranks.largest(not fits):
            self.optimizer.zero_grad(set_to_none=True)
            raise TooLargeError("out of memory; lower train.batch_tokens, data.max_length or the sizes of the model")
        if ranks.world_size > 1:
            ranks.sum_([*gradients, loss])
        for parameter, gradient in zip(self.trained, gradients, strict=True):
            parameter.grad = gradient.to(parameter.dtype)
        return loss

    def _own_gradients(self, step: Step, number: int) -> tuple[Tensor, list[Tensor]]:
        """Returns summed loss and gradients of this rank's micro-batches."""
        ranks, device = self.ranks, self.ranks.device
        precise = torch.float64 if device.type == "cpu" else torch.float32
        loss = torch.zeros((), dtype=precise, device=device)
        if len(step.micro_batches) == 1 and ranks.world_size == 1:
            loss += self.backward(step, 0, number)
            return loss, [_gradient(parameter) for parameter in self.trained]
        gradients = [torch.zeros_like(parameter, dtype=precise) for parameter in self.trained]
        for i in self.own(step):
            loss += self.backward(step, i, number)
            torch._foreach_add_(gradients, [_gradient(parameter) for parameter in self.trained])
            self.optimizer.zero_grad(set_to_none=True)
        return loss, gradients

    def own(self, step: Step) -> Sequence[int]:
        """Returns the numbers of the micro-batches of a step that are this rank's."""
        return own_micro_batches(step, self.ranks.rank, self.ranks.world_size)

    def backward(self, step: Step, i: int, number: int) -> Tensor:
        """`add_gradient` of micro-batch `i` of step `number`, with the dropout that is its own."""
        torch.manual_seed(derive_seed(self.settings.seed, number - 1, i, "dropout"))
        return self.add_gradient(step.batch(i))

    def add_gradient(self, batch: AnyBatch) -> Tensor:
        """Adds the gradient of a micro-batch's loss to the parameters' and returns the loss."""
        device = self.ranks.device
        with autocast(self.precision, device):
            summed = self.loss(batch.to(device))
        torch.autograd.backward(summed)
        return summed.detach()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Returns all that decides the next steps, besides the weights, by file of a checkpoint and name."""
        found = {OPTIMIZER: optimizer_tensors(self.model, self.optimizer)}
        if self.average:
            with self.average.applied():
                found[AVERAGE] = canonical_weights(self.model)
        return found

    def restore(self, folder: Path) -> None:
        """Reads weights and what `tensors` returned from a verified checkpoint.

        Raises:
            ModelError: they do not fit the model.
        """
        load_weights(self.model, folder / WEIGHTS)
        set_optimizer_tensors(self.model, self.optimizer, load_tensors(folder / OPTIMIZER))
        if self.average:
            saved = folder / AVERAGE  # missing if the average was switched on later: it then starts here
            with self.average.applied():
                load_weights(self.model, saved if saved.exists() else folder / WEIGHTS)


def _gradient(parameter: Tensor) -> Tensor:
    """Returns a parameter's gradient; zeros if the loss did not depend on it."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
