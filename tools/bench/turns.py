"""Taking turns: what all systems have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch


class Trained(ABC):
    """A model that is trained on the batches of a plan, turn by turn.

    Attributes:
        n_batches: of a turn.
        device: of the model.
        n_parameters: numbers that are trained.
    """

    def __init__(self, n_batches: int, device: torch.device) -> None:
        self.n_batches = n_batches
        self.device = device
        self.n_parameters = 0

    @abstractmethod
    def take(self, numbers: Sequence[int]) -> None:
        """Takes optimizer steps on batches, by their numbers."""

    def turn(self) -> float:
        """Goes over all batches once and returns the seconds that it took.

        One more step comes first, which is not timed: it takes the memory that others had meanwhile.
        """
        self.take([self.n_batches - 1])
        synchronize(self.device)
        started = time.perf_counter()
        self.take(range(self.n_batches))
        synchronize(self.device)
        return time.perf_counter() - started

    def facts(self) -> dict[str, Any]:
        """Returns what else there is to say."""
        return {"parameters": self.n_parameters}


def synchronize(device: torch.device) -> None:
    """Waits until a device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
