"""Positions of tokens as vectors."""

import torch
from torch import Tensor


def sinusoids(positions: Tensor, d_model: int) -> Tensor:
    """Returns the sinusoidal position vectors of *Attention Is All You Need*, section 3.5.

    PE(pos, 2i) = sin(pos / 10000^(2i/D)) and PE(pos, 2i+1) = cos(pos / 10000^(2i/D)): sine and cosine interleave.

    Args:
        positions: [...] int64, from 0.
        d_model: D, even.

    Returns:
        [..., D] float32.
    """
    # Angles in float64: far positions lose their low bits in float32.
    pairs = torch.arange(0, d_model, 2, dtype=torch.float64, device=positions.device)
    angles = positions.unsqueeze(-1).double() * 10000.0 ** (-pairs / d_model)  # [..., D/2]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2).float()  # [..., D]


class SinusoidalPositions(torch.nn.Module):
    """A table of sinusoids that grows with the longest input it has met."""

    table: Tensor

    def __init__(self, d_model: int, length: int = 512) -> None:
        super().__init__()
        self.d_model = d_model
        self.register_buffer("table", sinusoids(torch.arange(length), d_model), persistent=False)

    def forward(self, positions: Tensor, longest: int) -> Tensor:
        """Returns [..., D] float32 vectors of [...] int64 positions, all below `longest`."""
        if longest > len(self.table):
            grown = torch.arange(max(longest, 2 * len(self.table)), device=self.table.device)
            self.table = sinusoids(grown, self.d_model)
        return self.table[positions]
