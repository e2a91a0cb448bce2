"""One optimizer step: what happens between a batch and the next weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from seq2seq.config import Settings
from seq2seq.data.batch import AnyBatch
from seq2seq.data.order import Step
from seq2seq.data.permutation import derive_seed
from seq2seq.errors import DivergedError
from seq2seq.model.device import autocast
from seq2seq.model.folder import canonical_weights, load_weights, save_tensors
from seq2seq.train.distributed import Ranks
from seq2seq.train.ema import MovingAverage
from seq2seq.train.optimizer import build_optimizer, learning_rate, optimizer_tensors, set_optimizer_tensors

OPTIMIZER, AVERAGE = "optimizer.safetensors", "ema.safetensors"


@dataclass(frozen=True)
class Update:
    """What an optimizer step reports: summed loss (nats), gradient norm before clipping, learning rate."""

    loss: float
    gradient_norm: float
    learning_rate: float


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
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Settings,
        ranks: Ranks,
        precision: Literal["fp32", "bf16"],
        loss: Callable[[AnyBatch], Tensor],
    ) -> None:
        self.model = model
        self.settings = settings
        self.ranks = ranks
        self.precision = precision
        self.loss = loss
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = build_optimizer(model, settings.train)
        decay = settings.train.ema_decay
        self.average = MovingAverage(model, decay) if decay else None

    def take(self, step: Step, number: int) -> Update:
        """Takes optimizer step `number` (from 1).

        The gradient is that of the loss summed over all tokens of all micro-batches of all ranks, divided by their
        number, and only then clipped: cutting a step in other micro-batches does not change it.

        Raises:
            DivergedError: the loss or the gradient is not finite.
        """
        train = self.settings.train
        loss = self._differentiate(step, number)
        norm = torch.nn.utils.get_total_norm([cast(Tensor, parameter.grad) for parameter in self.trained])
        if not math.isfinite(loss) or not math.isfinite(float(norm)):
            raise DivergedError(
                f"step {number}: loss {loss / step.n_tokens}, gradient norm {float(norm)}: "
                "training has diverged; lower train.learning_rate or raise train.warmup_steps"
            )
        if train.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.trained, train.clip_norm, norm)
        rate = learning_rate(number, train, self.settings.model.d_model)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(number)
        return Update(loss, float(norm), rate)

    def _differentiate(self, step: Step, number: int) -> float:
        """Leaves the gradient of a step in the parameters, on every rank alike, and returns the summed loss.

        On a CPU the micro-batches' gradients are summed in float64. Rounded to float32 behind the last one, the sum
        does not depend on their order, so training is the same, bit for bit, on any number of ranks.
        """
        ranks, device = self.ranks, self.ranks.device
        precise = torch.float64 if device.type == "cpu" else torch.float32
        loss = torch.zeros((), dtype=precise, device=device)
        if len(step.micro_batches) == 1 and ranks.world_size == 1:
            loss += self._backward(step, 0, number)
            gradients = [_gradient(parameter) for parameter in self.trained]
        else:
            gradients = [torch.zeros_like(parameter, dtype=precise) for parameter in self.trained]
            for i in range(ranks.rank, len(step.micro_batches), ranks.world_size):
                loss += self._backward(step, i, number)
                torch._foreach_add_(gradients, [_gradient(parameter) for parameter in self.trained])
                self.optimizer.zero_grad(set_to_none=True)
            ranks.sum_([*gradients, loss])
        torch._foreach_div_(gradients, float(step.n_tokens))
        for parameter, gradient in zip(self.trained, gradients, strict=True):
            parameter.grad = gradient.to(parameter.dtype)
        return float(loss)

    def _backward(self, step: Step, i: int, number: int) -> Tensor:
        """Adds the gradient of a micro-batch's loss to the parameters' and returns the loss."""
        batch = step.batch(i).to(self.ranks.device)
        torch.manual_seed(derive_seed(self.settings.seed, number - 1, i, "dropout"))
        with autocast(self.precision, self.ranks.device):
            summed = self.loss(batch)
        torch.autograd.backward(summed)
        return summed.detach()

    def save(self, folder: Path) -> None:
        """Writes all that decides the next steps, besides the weights, into a checkpoint's folder."""
        save_tensors(optimizer_tensors(self.model, self.optimizer), folder / OPTIMIZER)
        if self.average:
            with self.average.applied():
                save_tensors(canonical_weights(self.model), folder / AVERAGE)

    def restore(self, folder: Path) -> None:
        """Reads weights and what `save` wrote from a verified checkpoint."""
        load_weights(self.model, folder / "model.safetensors")
        set_optimizer_tensors(self.model, self.optimizer, load_file(folder / OPTIMIZER))
        if self.average:
            saved = folder / AVERAGE  # missing if the average was switched on later: it then starts here
            with self.average.applied():
                load_weights(self.model, saved if saved.exists() else folder / "model.safetensors")


def _gradient(parameter: Tensor) -> Tensor:
    """Returns a parameter's gradient; zeros if the loss did not depend on it."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
