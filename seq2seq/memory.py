"""The C allocator's memory: what a CPU program that makes ever new tensors needs of it."""

import ctypes
import sys
from typing import Any


def keep_freed_memory() -> None:
    """Makes the C allocator keep freed memory for the next tensor instead of giving it back to the system.

    glibc returns large blocks at once and takes them anew for the next tensor, page fault by page fault, which costs
    a training step on a CPU up to half of its time. Does nothing where the C library is another one.
    """
    mallopt = _c_function("mallopt")
    if mallopt:
        m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3  # malloc.h
        mallopt(m_mmap_threshold, 2**30)  # blocks below a GiB come from the heap, which is kept
        mallopt(m_trim_threshold, -1)  # never given back unasked
        mallopt(m_top_pad, 64 * 2**20)  # bytes by which the heap grows at least


def release_freed_memory() -> None:
    """Gives memory that the C allocator has kept back to the system.

    Tensors of ever new shapes leave holes that the next ones do not fit; called every few steps this bounds them.
    """
    malloc_trim = _c_function("malloc_trim")
    if malloc_trim:
        malloc_trim(0)


def _c_function(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
