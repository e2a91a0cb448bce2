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


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turns queries or keys by their positions, so that a product of two depends on their distance alone.

    Rotary positions, *RoFormer* (Su et al. 2021), equation 34: entries 2i and 2i+1 are the coordinates of a point in a
    plane, which position p turns by the angle p / 10000^(2i/E). Pairs interleave as in the paper (many models keep the
    first coordinates in one half and the second in the other), so the sinusoids of width E are sines and cosines
    of just these angles.

    Args:
        x: [B, H, T, E] float.
        rotation: [T, E] float32, `sinusoids` of the T positions.

    Returns:
        [B, H, T, E] in the dtype of `x`, computed in fp32.
    """
    if torch.compiler.is_compiling():  # compiled, four products are one loop; complex numbers are not compiled
        sine, cosine, first, second = rotation[..., ::2], rotation[..., 1::2], x[..., ::2].float(), x[..., 1::2].float()
        return torch.stack([first * cosine - second * sine, first * sine + second * cosine], -1).flatten(-2).type_as(x)
    # A point is a complex number, and turning it one product: measured on a CPU three times as fast as four.
    turns = torch.view_as_complex(rotation.view(*rotation.shape[:-1], -1, 2).flip(-1))  # [T, E/2]: cosine + i sine
    points = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))  # [B, H, T, E/2]
    return torch.view_as_real(points * turns).flatten(-2).type_as(x)  # [B, H, T, E]


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
