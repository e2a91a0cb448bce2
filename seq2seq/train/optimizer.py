"""Adam and the learning-rate schedules."""

import math

import torch
from torch import Tensor, nn

from seq2seq.config import AnyTrainSettings
from seq2seq.errors import ModelError

STEP = "step"
STATES = (STEP, "exp_avg", "exp_avg_sq")  # what Adam keeps of each parameter


def build_optimizer(model: nn.Module, settings: AnyTrainSettings) -> torch.optim.Optimizer:
    """Returns Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) over all parameters that are trained.

    Weight decay applies to matrices only, never to biases and norms.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() > 1]
    others = [p for p in trained if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return optimizer(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon, fused=True)


def learning_rate(step: int, settings: AnyTrainSettings, d_model: int) -> float:
    """Returns the learning rate of an optimizer step.

    noam: factor * D^-0.5 * min(step^-0.5, step * warmup^-1.5), *Attention Is All You Need*, equation 3. The others
    rise linearly to the peak during warm-up, then fall as peak * sqrt(warmup / step), as a half cosine down to the
    minimum at `max_steps`, or stay.

    Args:
        step: from 1.
        settings: schedule, peak (or factor), warm-up and length.
        d_model: D.
    """
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "noam":
        return float(peak * d_model**-0.5 * min(step**-0.5, step * warmup**-1.5))
    if step < warmup:
        return peak * step / warmup
    match settings.schedule:
        case "inverse_sqrt":
            return peak * math.sqrt(max(warmup, 1) / step)
        case "cosine":
            done = min(1.0, (step - warmup) / max(1, settings.max_steps - warmup))
            lowest = settings.min_learning_rate
            return lowest + (peak - lowest) * (1 + math.cos(math.pi * done)) / 2
        case "constant":
            return peak


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns the optimizer's state as named tensors, `parameter name/what`."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def set_optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restores what `optimizer_tensors` returned.

    Raises:
        ModelError: a tensor is none of this model's, or has another shape.
    """
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, _, what = key.rpartition("/")
        parameter = parameters.get(name)
        if parameter is None or what not in STATES or value.shape != (() if what == STEP else parameter.shape):
            raise ModelError(f"{key}: {list(value.shape)} is not part of this model's optimizer")
        if not parameter.requires_grad:  # frozen since the checkpoint
            continue
        # A copy: loaded tensors are mapped to a file that pruning deletes. Fused Adam keeps `step` on the device too.
        optimizer.state[parameter][what] = value.to(parameter.device, copy=True)
