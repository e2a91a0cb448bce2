"""The projections of a model: the one place that knows which kernel computes them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.model.device import Precision, product_dtype

FEW_ROWS = 32  # up to which oneDNN's own operator is faster (measured on AVX-512)
ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None in builds without oneDNN

Product = Callable[[Tensor], Tensor]


class Linear(nn.Linear):
    """A projection that can be prepared for products with a weight that changes no more; see `prepare_for_decoding`.

    Attributes:
        precision: of the products; None: the weight may change, products follow `autocast`.
    """

    precision: Precision | None = None

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self._products: dict[range | None, Product] = {}

    def prepare(self, precision: Precision) -> None:
        """Lets products run in `precision` from now on; what each needs is made when it is first wanted."""
        self.precision = precision
        self._products.clear()

    def product(self, part: range | None) -> Product:
        """Returns the prepared product by the whole weight or by some of its rows."""
        found = self._products.get(part)
        if found is None:
            rows = slice(part.start, part.stop) if part else slice(None)
            bias = None if self.bias is None else self.bias.detach()[rows]
            assert self.precision is not None
            found = self._products[part] = _product(self.weight.detach()[rows], bias, self.precision)
        return found


def project(x: Tensor, linear: Linear, part: range | None = None) -> Tensor:
    """Returns x W^T + b of rows [..., D] and a layer's W [F, D]: [..., F].

    Of few rows on a CPU, as in decoding, time goes into reading the matrix. oneDNN shares it among all threads, which
    PyTorch's product in fp32 does not.

    Args:
        x: [..., D] float.
        linear: the layer.
        part: rows of W, and entries of b, that alone count; None: all.
    """
    if linear.precision is not None:
        return linear.product(part)(x)
    weight, bias = linear.weight, linear.bias
    if part is not None:
        weight, bias = weight[part.start : part.stop], bias[part.start : part.stop]
    few = x.device.type == "cpu" and x.numel() <= FEW_ROWS * x.shape[-1] and not torch.is_grad_enabled()
    if few and ONEDNN is not None:
        dtype = product_dtype(x)
        out: Tensor = ONEDNN(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), "none", [], "")
        return out
    return F.linear(x, weight, bias)


def prepare_for_decoding(model: nn.Module, precision: Precision) -> None:
    """Rounds and lays out the matrices of a model that is not trained any more, once, as its products want them."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.prepare(precision)


def _product(weight: Tensor, bias: Tensor | None, precision: Precision) -> Product:
    """Returns a function that maps [..., D] to [..., F]: x weight^T + bias, in the format of `precision`."""
    if precision == "int8":
        return Int8Product(weight, bias)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    weight = weight.to(dtype)
    bias = None if bias is None else bias.to(dtype)
    pack = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
    if weight.device.type != "cpu" or ONEDNN is None or pack is None:
        return lambda x: F.linear(x.to(dtype), weight, bias)
    packed = pack(weight, None)  # in blocks, as oneDNN's kernels read it
    return lambda x: ONEDNN(x.to(dtype), packed, bias, "none", [], "")


class Int8Product:
    """A product in 8-bit integers: four times as fast as in fp32 on CPUs that have instructions for it.

    Each row of the weight and each row of the input is divided by the largest of its absolute values and rounded to
    255 steps; sums are exact. Inputs are rounded on the fly.

    Args:
        weight: [F, D] float.
        bias: [F] float.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.scales = weight.abs().amax(1).float().clamp(min=TINY) / LEVELS  # [F]
        rounded = (weight / self.scales[:, None]).round().to(torch.int8)
        self.bias = torch.zeros(len(weight)) if bias is None else bias.float()
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        self.packed = torch.ops.onednn.qlinear_prepack(rounded, None)

    def __call__(self, x: Tensor) -> Tensor:
        """Maps [..., D] to [..., F], in the dtype of products."""
        dtype = product_dtype(x)
        rows = x.reshape(-1, x.shape[-1])
        scales = rows.abs().amax(1, keepdim=True).float().clamp_(min=TINY).div_(LEVELS)  # [N, 1]
        # Unsigned, shifted by 128: what the instructions multiply. Adding a half and cutting off rounds.
        rounded = (rows / scales).add_(128.5).to(torch.uint8)
        sums = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, 128, self.packed, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        out = torch.addcmul(self.bias, sums, scales)
        return out.to(dtype).view(*x.shape[:-1], -1)


LEVELS, TINY = 127.0, 1e-30
