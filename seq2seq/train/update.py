"""One optimizer step: what happens between a batch and the next weights."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file

from seq2seq.config import TranslationSettings
from seq2seq.data.order import Step
from seq2seq.data.permutation import derive_seed
from seq2seq.errors import DivergedError
from seq2seq.model.device import autocast
from seq2seq.model.folder import canonical_weights, load_weights, save_tensors
from seq2seq.model.transformer import Transformer
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

    Attributes:
        average: moving average of the weights, if the recipe asks for one.
    """

    def __init__(
        self, model: Transformer, settings: TranslationSettings, ranks: Ranks, precision: Literal["fp32", "bf16"]
    ) -> None:
        self.model = model
        self.settings = settings
        self.ranks = ranks
        self.precision = precision
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
        train, ranks = self.settings.train, self.ranks
        loss = torch.zeros((), device=ranks.device)
        for i in range(ranks.rank, len(step.micro_batches), ranks.world_size):
            batch = step.batch(i).to(ranks.device)
            torch.manual_seed(derive_seed(self.settings.seed, number - 1, i, "dropout"))
            with autocast(self.precision, ranks.device):
                summed, _ = self.model(batch, train.label_smoothing, train.r_drop)
            summed.backward()
            loss += summed.detach()
        gradients = []
        for parameter in self.trained:
            if parameter.grad is None:  # no micro-batch for this rank
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        ranks.sum_([*gradients, loss])
        torch._foreach_div_(gradients, float(step.n_tokens))
        norm = torch.nn.utils.get_total_norm(gradients)
        if not math.isfinite(float(loss)) or not math.isfinite(float(norm)):
            raise DivergedError(
                f"step {number}: loss {float(loss) / step.n_tokens}, gradient norm {float(norm)}: "
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
        return Update(float(loss), float(norm), rate)

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
