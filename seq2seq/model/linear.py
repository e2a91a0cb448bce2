"""The projections of a model: the one place that knows which kernel computes them."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.model.device import Precision, cpu_has_bf16, product_dtype

FEW_ROWS = 32  # up to which oneDNN's own operator is faster (measured on AVX-512)
ONEDNN: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None in builds without oneDNN

PACK: Any = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
INT8_ENTRIES = 2**19  # of a matrix, from which on a product in int8 gains more than rounding its input costs
LEVELS, TINY = 127.0, 1e-30  # steps on either side of 0; so that rows of zeros divide by something

PostOp = Literal["none", "relu"]  # what is done to the result of a product, in oneDNN's words
Product = Callable[[Tensor, PostOp], Tensor]


class Linear(nn.Linear):
    """A projection that can be prepared for products with a weight that changes no more.

    Args:
        inputs: D.
        outputs: F.
        bias: whether there is one.
        parts: rows of the weight that products are made with, if not with all at once.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, parts: Sequence[range] = ()) -> None:
        super().__init__(inputs, outputs, bias)
        self._parts = parts
        self.products: dict[range | None, Product] = {}

    def prepare(self, precision: Precision, keep: bool) -> None:
        """Lets products run in `precision` from now on, and unless told to keep it frees the weight; does so once."""
        if self.products:
            return
        for part in self._parts or (None,):
            rows = slice(part.start, part.stop) if part else slice(None)
            bias = None if self.bias is None else self.bias.detach()[rows]
            self.products[part] = _product(self.weight.detach()[rows], bias, precision)
        if not keep:  # its shape stays
            self.weight = nn.Parameter(self.weight.detach().to("meta"), requires_grad=False)


def project(x: Tensor, linear: Linear, part: range | None = None, then: PostOp = "none") -> Tensor:
    """Returns x W^T + b of rows [..., D] and a layer's W [F, D]: [..., F].

    Of few rows on a CPU, as in decoding, time goes into reading the matrix. oneDNN shares it among all threads, which
    PyTorch's product in fp32 does not.

    Args:
        x: [..., D] float.
        linear: the layer.
        part: rows of W, and entries of b, that alone count; None: all.
        then: what is done to the result.
    """
    if linear.products:
        return linear.products[part](x, then)
    weight: Tensor = linear.weight
    bias: Tensor | None = linear.bias
    if part is not None:
        weight, bias = weight[part.start : part.stop], None if bias is None else bias[part.start : part.stop]
    few = x.device.type == "cpu" and not torch.is_grad_enabled() and x.numel() <= FEW_ROWS * x.shape[-1]
    if few and ONEDNN is not None:
        dtype = product_dtype(x)
        out: Tensor = ONEDNN(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), then, [], "")
        return out
    out = F.linear(x, weight, bias)
    return out.relu() if then == "relu" else out


def prepare_for_decoding(model: nn.Module, precision: Precision) -> None:
    """Rounds and lays out the matrices of a model that is not trained any more, once, as its products want them.

    The model can from now on compute, but neither be trained nor saved. Embeddings and the output's matrix, which may
    be one of them, stay what they are: others look at them too.
    """
    for module in model.modules():
        if isinstance(module, Linear):
            module.prepare(precision, keep=module is getattr(model, "output", None))


def _product(weight: Tensor, bias: Tensor | None, precision: Precision) -> Product:
    """Returns the product by a weight in the format of `precision`."""
    if precision == "int8":
        if weight.numel() >= INT8_ENTRIES:
            return Int8Product(weight, bias)
        precision = "bf16" if cpu_has_bf16() else "fp32"
    return FloatProduct(weight, bias, torch.bfloat16 if precision == "bf16" else torch.float32)


class FloatProduct:
    """A product in fp32 or bf16.

    Args:
        weight: [F, D] float.
        bias: [F] float.
        dtype: of both sides and of the result; sums are fp32.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.bias = None if bias is None else bias.to(dtype)
        self.packed = weight.device.type == "cpu" and ONEDNN is not None and PACK is not None
        # In blocks, as oneDNN's kernels read it.
        self.weight = PACK(weight.to(dtype), None) if self.packed else weight.to(dtype)

    def __call__(self, x: Tensor, then: PostOp) -> Tensor:
        """Maps [..., D] to [..., F]."""
        x = x.to(self.dtype)
        if self.packed:
            out: Tensor = ONEDNN(x, self.weight, self.bias, then, [], "")
            return out
        out = F.linear(x, self.weight, self.bias)
        return out.relu() if then == "relu" else out


class Int8Product:
    """A product in 8-bit integers: twice as fast as in bf16 on CPUs that have instructions for it.

    Each row of the weight and each row of the input is divided by the largest of its absolute values and rounded to
    255 steps, the input on the fly; sums are exact.

    Args:
        weight: [F, D] float.
        bias: [F] float.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        scales = weight.abs().amax(1).float().clamp(min=TINY) / LEVELS  # [F]
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self.scales, self.zeros = scales, torch.zeros(len(weight), dtype=torch.long)
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias
        self.packed = torch.ops.onednn.qlinear_prepack(rounded, None)

    def __call__(self, x: Tensor, then: PostOp) -> Tensor:
        """Maps [..., D] to [..., F], in the format of products."""
        dtype = product_dtype(x)
        rows = x.reshape(-1, x.shape[-1])
        # On a CPU fp32 is converted, compared and rounded several times faster than bf16.
        rows = rows.to(torch.float32, copy=True)
        scales = rows.abs().amax(1, keepdim=True).clamp_(min=TINY).div_(LEVELS)  # [N, 1]
        rounded = rows.mul_(scales.reciprocal()).round_().to(torch.int8)
        rounded = rounded.view(torch.uint8).add_(128)  # one side must be unsigned: the same numbers, 128 above
        sums = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, 128, self.packed, self.scales, self.zeros, None, 1.0, 0, dtype, "none", [], ""
        )
        out = torch.addcmul(self.bias.to(dtype), sums, scales.to(dtype))
        return (out.relu_() if then == "relu" else out).view(*x.shape[:-1], -1)
