"""Several models that translate together."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from seq2seq.decode.beam import CoverageStepper, Stepper


class Member(Stepper, Protocol):
    """A model of an ensemble."""

    def refill(self, places: list[int]) -> None:
        """Puts the next sentences in some places."""


class Ensemble:
    """A stepper made of steppers: the mean of their probabilities, as in Sutskever et al. 2014.

    Args:
        steppers: for the same sentences and the same vocabulary.
    """

    def __init__(self, steppers: Sequence[Member]) -> None:
        self.steppers = steppers

    def start(self, beam_size: int) -> int:
        """See `beam.Stepper`."""
        (n,) = {stepper.start(beam_size) for stepper in self.steppers}
        return n

    def step(self, tokens: Tensor) -> Tensor:
        """Returns log-probabilities [N, V] of what follows `tokens`; see `beam.Stepper`."""
        log_probs = [stepper.step(tokens).float().log_softmax(-1) for stepper in self.steppers]
        return torch.stack(log_probs).logsumexp(0)  # the softmax of search divides by their number

    def reorder(self, rows: Tensor) -> None:
        """See `beam.Stepper`."""
        for stepper in self.steppers:
            stepper.reorder(rows)

    def refill(self, places: list[int]) -> None:
        """Puts the next sentences in some places."""
        for stepper in self.steppers:
            stepper.refill(places)

    def coverage(self) -> Tensor:
        """Returns the mean of the coverages; see `beam.CoverageStepper`."""
        return torch.stack([cast(CoverageStepper, stepper).coverage() for stepper in self.steppers]).mean(0)
