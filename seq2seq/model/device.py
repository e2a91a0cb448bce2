"""What a model runs on: device and number format of the products."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.errors import Seq2SeqError

Precision = Literal["fp32", "bf16", "int8"]

# Padded tokens that fit on a device when the recipe says `auto`: on a GPU a first guess, which `train.trial` tries.
AUTO_DEVICE_TOKENS = {"cpu": 8192, "cuda": 16384}

# From this width on bf16 products gain more than the conversions around them cost (measured on AVX-512 with bf16).
TRAINING_WIDTH, DECODING_WIDTH = 128, 256


def choose_precision(
    precision: Literal["auto"] | Precision, device: torch.device, d_model: int, worthwhile: int
) -> Precision:
    """Returns the precision that a recipe's `precision` stands for on a device.

    `auto` is bf16 on CUDA devices that have it, and on CPUs that have it from the width `worthwhile` on.

    Raises:
        Seq2SeqError: it is int8, and the device has no instructions for it.
    """
    if precision == "int8" and not (device.type == "cpu" and _cpu_has("avx512_vnni", "avx_vnni", "amx_int8")):
        raise Seq2SeqError(f"precision int8 needs a CPU with VNNI instructions, which {device.type!r} is not; try auto")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and d_model >= worthwhile and cpu_has_bf16() else "fp32"


def cpu_has_bf16() -> bool:
    """Says whether the CPU has instructions for products in bf16."""
    return _cpu_has("avx512_bf16", "amx_bf16")


def _cpu_has(*capabilities: str) -> bool:
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(found.get(name) for name in capabilities)


def choose_device_tokens(device_tokens: int | Literal["auto"], device: torch.device) -> int:
    """Returns how many padded tokens of the longer side a device holds at once, without trying."""
    return AUTO_DEVICE_TOKENS[device.type] if device_tokens == "auto" else device_tokens


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Returns a context in which matrix products run in `precision`; parameters stay fp32.

    With int8, whose products by weights `linear.prepare_for_decoding` arranges, all others run in bf16 where the CPU
    has it.
    """
    bf16 = precision == "bf16" or (precision == "int8" and cpu_has_bf16())
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def product_dtype(x: Tensor) -> torch.dtype:
    """Returns the format in which products with a tensor are computed here: that of `autocast`, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def in_precision(x: Tensor) -> Tensor:
    """Returns a tensor in the format of products."""
    return x.to(product_dtype(x))


def choose_device(name: str) -> torch.device:
    """Returns the device of a name: `auto` is the first CUDA device if there is one, else the CPU.

    Raises:
        Seq2SeqError: there is no such device, or it is of a kind that is not supported.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise Seq2SeqError(f"device {name!r}: must be auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise Seq2SeqError(f"device {name!r} is not usable here: {str(error).splitlines()[0][:200]}") from error
    return device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode, without gradients, while the block runs."""
    was_training = model.training
    if was_training:  # walking through all parts of a model takes a tenth of a step of generating
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if was_training:
            model.train()
