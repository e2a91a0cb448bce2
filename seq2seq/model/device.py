"""What a model runs on: device, number format of the products, memory of the CPU."""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from seq2seq.errors import Seq2SeqError

# From this width on bf16 products gain more than the conversions around them cost (measured on AVX-512 with bf16).
WORTHWHILE_WIDTH = 256


def choose_precision(
    precision: Literal["auto", "fp32", "bf16"], device: torch.device, d_model: int
) -> Literal["fp32", "bf16"]:
    """Returns the precision that a recipe's `precision` stands for on a device.

    `auto` is bf16 on CUDA devices that have it, and on CPUs that have it where the model is wide enough to gain.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and d_model >= WORTHWHILE_WIDTH:
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
    return "fp32"


def autocast(precision: Literal["fp32", "bf16"], device: torch.device) -> AbstractContextManager[object]:
    """Returns a context in which matrix products run in `precision`; parameters stay fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def choose_device(name: str) -> torch.device:
    """Returns the device of a name: `auto` is the first CUDA device if there is one, else the CPU.

    Raises:
        Seq2SeqError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise Seq2SeqError(f"--device {name}: not usable here: {str(error).splitlines()[0]}") from error
    return device


def keep_freed_memory() -> None:
    """Makes the C allocator keep freed memory for the next tensor instead of giving it back to the system.

    glibc returns large blocks at once and takes them anew for the next tensor, page fault by page fault, which costs
    a training step on a CPU up to half of its time. Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3  # malloc.h
        mallopt(m_mmap_threshold, 2**30)
        mallopt(m_trim_threshold, -1)
        mallopt(m_top_pad, 64 * 2**20)
