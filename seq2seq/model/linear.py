"""The projections of a model: the one place that knows which kernel computes them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.model.device import product_dtype

FEW_ROWS = 32  # up to which oneDNN's own operator is faster (measured on AVX-512)
ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None in builds without oneDNN


def project(x: Tensor, linear: nn.Linear) -> Tensor:
    """Returns x W^T + b of rows [..., D] and a layer's W [F, D]: [..., F]."""
    return project_by(x, linear.weight, linear.bias)


def project_by(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`project` by a matrix [F, D] and a bias [F], which may be parts of a layer's.

    Of few rows on a CPU, as in decoding, time goes into reading the matrix. oneDNN shares it among all threads, which
    PyTorch's product in fp32 does not.
    """
    few = x.device.type == "cpu" and not torch.is_grad_enabled() and x.numel() <= FEW_ROWS * x.shape[-1]
    if few and ONEDNN is not None:
        dtype = product_dtype(x)
        out: Tensor = ONEDNN(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), "none", [], "")
        return out
    return F.linear(x, weight, bias)
