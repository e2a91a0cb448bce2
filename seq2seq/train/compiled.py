"""The training loss, compiled by torch."""

from collections.abc import Callable

import torch
from torch import Tensor

from seq2seq.data.batch import AnyBatch
from seq2seq.errors import Seq2SeqError

MISSING = {  # what compiling needs that an installation of torch may lack
    "cpu": "Install a C++ compiler (g++, or the one that CXX names) and Python's headers",
    "cuda": "Install triton, of the version that belongs to this torch, and a C compiler",
}


def compiled(loss: Callable[[AnyBatch], Tensor], device: torch.device) -> Callable[[AnyBatch], Tensor]:
    """Returns a loss that torch compiles when it is first called, for batches of any shape.

    The model and its names stay what they are. Sums are rounded otherwise, dropout draws other numbers, and what is
    compiled may depend on the shapes that come first, so a resumed run is not the same bit for bit. That a loss is
    compiled is a setting, in which a run that goes on must not differ; so it needs no condition of its own.

    Raises:
        Seq2SeqError: nothing can be compiled for the device here.
    """
    try:  # now, and not with an error from the depths of the first step
        torch.compile(_trial, dynamic=True)(torch.ones(2, device=device))
    except Exception as error:  # compilers fail in many ways, which have no class in common
        reason = str(error).strip().splitlines()[0][:200]
        raise Seq2SeqError(
            f"train.compile: cannot compile for {device.type}: {reason}\n"
            f"{MISSING[device.type]}, or leave train.compile out"
        ) from error
    return torch.compile(loss, dynamic=True)


def _trial(x: Tensor) -> Tensor:
    return x.exp() + 1
