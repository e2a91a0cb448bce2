"""Ranks: what the loop asks about the other processes of a training, one or many."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from seq2seq.model.device import choose_device


class Ranks:
    """The processes that train together; with one process every method is trivial.

    Attributes:
        rank: of this process, from 0.
        world_size: number of processes.
        device: what this process computes on.
    """

    def __init__(self, device: torch.device, rank: int = 0, world_size: int = 1) -> None:
        self.device = device
        self.rank = rank
        self.world_size = world_size

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces float tensors by their sums over all ranks, in one message."""
        if self.world_size > 1:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            dist.all_reduce(flat)
            for tensor, summed in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
                tensor.copy_(summed.view_as(tensor))

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        self.largest(0)

    def largest(self, flag: int) -> int:
        """Returns the largest flag of all ranks."""
        if self.world_size > 1:
            box = torch.tensor(int(flag), device=self.device)
            dist.all_reduce(box, op=dist.ReduceOp.MAX)
            flag = int(box)
        return flag

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Lets rank 0 run the block before the others do: what it leaves on disk they find."""
        if self.world_size > 1 and not self.is_main:
            dist.barrier()
        yield
        if self.world_size > 1 and self.is_main:
            dist.barrier()


@contextmanager
def join_ranks(device: str = "auto") -> Iterator[Ranks]:
    """Joins the processes that torchrun started, if it did, and leaves them at the end of the block.

    Args:
        device: `auto`, `cpu`, `cuda` ...; with several ranks on CUDA each takes the device of its local rank.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield Ranks(choose_device(device))
        return
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    chosen = choose_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # The others wait while rank 0 tokenises a large corpus or translates a validation set.
    timeout = timedelta(hours=4)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=timeout)
    try:
        yield Ranks(chosen, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
