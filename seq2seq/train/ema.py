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

    def update(self, step: int, skipped: Tensor | None = None) -> None:
        """Takes in the weights as they stand behind an optimizer step.

        Args:
            step: from 1.
            skipped: 1 if the step has changed nothing, so that the average stays as well, else 0; on the device.
        """
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        difference = torch._foreach_sub(self._parameters, self._averages)
        torch._foreach_mul_(difference, share if skipped is None else share * (1 - skipped))
        torch._foreach_add_(self._averages, list(difference))

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
