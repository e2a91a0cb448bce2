"""The number format of products."""

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """Returns the format in which products with a tensor are computed here: that of `autocast`, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def in_precision(x: Tensor) -> Tensor:
    """Returns a tensor in the format of products."""
    return x.to(product_dtype(x))
