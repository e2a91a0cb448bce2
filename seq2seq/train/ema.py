"""An exponential moving average of a model's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Keeps average = decay * average + (1 - decay) * weights, taken after each optimizer step.

    In early steps the decay is smaller, (1 + step) / (10 + step), so that the random start is soon forgotten
    (as TensorFlow's ExponentialMovingAverage does).

    Args:
        model: whose parameters are averaged; the average starts as a copy of them.
        decay: in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters = [parameter.detach() for parameter in model.parameters()]
        self._averages: list[Tensor] = [parameter.clone() for parameter in self._parameters]

    def update(self, step: int) -> None:
        """Takes in the weights as they stand behind an optimizer step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._parameters, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the average in the place of the weights while the block runs; what the block loads becomes the average.

        Values change places bit for bit, and the parameters stay the same tensors.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self._averages, strict=True):
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)
