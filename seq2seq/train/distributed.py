"""Ranks: what the loop asks about the other processes of a training, one or many.

All of it has run with gloo on CPUs. Nothing has run with NCCL: that path is written for CUDA devices, not proven there.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from seq2seq.model.device import choose_device
from seq2seq.train.alarm import Alarm

RANK_TIMEOUT = 120.0  # seconds


class Ranks:
    """The processes that train together; with one process every method is trivial.

    Attributes:
        rank: of this process, from 0.
        world_size: number of processes.
        device: what this process computes on.
    """

    def __init__(self, device: torch.device, rank: int = 0, world_size: int = 1, alarm: Alarm | None = None) -> None:
        self.device = device
        self.rank = rank
        self.world_size = world_size
        self._alarm = alarm

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def on_failure(self, act: Callable[[str, int], None]) -> None:
        """Has rank 0 call `act` with message and exit code when another rank has failed, just before it ends itself."""
        if self._alarm:
            self._alarm.on_failure = act

    def pass_signals(self, come: Callable[[], int] | None, act: Callable[[int], None] | None) -> None:
        """Has all ranks hear of a signal that one of them was sent; None: not any more.

        Args:
            come: returns a signal that has come here, or 0; it is called now and then, from another thread.
            act: is called, from that thread, with a signal that any rank was sent.
        """
        if self._alarm:
            self._alarm.listen((come, act) if come and act else None)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces float tensors by their sums over all ranks, in one message."""
        if self.world_size > 1:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            self._reduce(flat, dist.ReduceOp.SUM)
            for tensor, summed in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
                tensor.copy_(summed.view_as(tensor))

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        self.largest(0)

    def largest(self, flag: int) -> int:
        """Returns the largest flag of all ranks."""
        if self.world_size > 1:
            box = torch.tensor(int(flag), device=self.device)
            self._reduce(box, dist.ReduceOp.MAX)
            flag = int(box)
        return flag

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Lets rank 0 run the block before the others do: what it leaves on disk they find."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def _reduce(self, tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> None:
        try:
            dist.all_reduce(tensor, operation)
        except RuntimeError as error:
            raise (self._alarm.lost(error) if self._alarm else error) from None


@contextmanager
def join_ranks(device: str = "auto", timeout: float = RANK_TIMEOUT) -> Iterator[Ranks]:
    """Joins the processes that torchrun started, if it did, and leaves them at the end of the block.

    When the block fails on one of several ranks, it prints its message, and all of them exit.

    Args:
        device: `auto`, `cpu`, `cuda` ...; with several ranks on CUDA each takes the device of its local rank.
        timeout: seconds without a sign of life of a process after which all of them end.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield Ranks(choose_device(device))
        return
    # The others wait while rank 0 tokenises a large corpus or translates a validation set.
    patience = timedelta(hours=4)
    store, rank, world_size = next(rendezvous("env://"))
    # The store outlives a restart: whoever finds the addresses of the processes before it calls in vain.
    start = os.environ["TORCHELASTIC_RESTART_COUNT"]
    alarm = Alarm(PrefixStore(f"alarm {start}", store), rank, world_size, timeout)
    try:
        if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
            device = f"cuda:{os.environ['LOCAL_RANK']}"
        chosen = choose_device(device)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        group = PrefixStore(f"group {start}", store)
        dist.init_process_group(backend, timeout=patience, store=group, rank=rank, world_size=world_size)
        yield Ranks(chosen, rank, world_size, alarm)
        dist.destroy_process_group()
    except (Exception, KeyboardInterrupt) as error:
        raise alarm.sound(error) from None
    finally:
        alarm.close()
