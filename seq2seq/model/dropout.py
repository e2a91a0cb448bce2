"""Dropout: with its exact probability, and cheap on a CPU too."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORDS = 2**16  # distinct values of the 16-bit random words that decide about dropout on a CPU


def kept(like: Tensor, probability: float) -> tuple[Tensor, float]:
    """Draws which entries stay, and says what they are multiplied by so that the expectation stays exactly the same.

    The probability is rounded to a multiple of 2^-16, so that one 64-bit random word decides about four entries:
    several times cheaper than one Bernoulli draw each.

    Args:
        like: [...] float, on a CPU.
        probability: of an entry becoming zero, in [0, 1).

    Returns:
        1 or 0 for each entry, in its shape and dtype, and the factor.
    """
    mask = torch.empty_like(like, memory_format=torch.contiguous_format)
    dropped = round(probability * WORDS)
    # NumPy's generator, seeded by torch's: it draws words in two thirds of the time.
    random = np.random.SFC64(int(torch.randint(2**62, ())))
    words = torch.from_numpy(random.random_raw((like.numel() + 3) // 4).view(np.int64))
    torch.ge(words.view(torch.int16)[: like.numel()].view(like.shape), dropped - WORDS // 2, out=mask)
    return mask, WORDS / (WORDS - dropped)


def dropout(x: Tensor, probability: float) -> Tensor:
    """Zeroes entries [...] with a probability and scales the others up; see `kept`.

    Compiled code draws its own numbers, in one loop with what comes before and after.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    mask, factor = kept(x, probability)
    return x * mask.mul_(factor)


class Dropout(nn.Module):
    """`dropout` in training, nothing otherwise."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Returns [...] like `x`."""
        return dropout(x, self.probability) if self.training and self.probability else x
