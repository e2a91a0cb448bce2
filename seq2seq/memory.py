"""Memory of the CPU: what a program that makes ever new tensors needs of the C library and of oneDNN."""

import ctypes
import os
import sys
from typing import Any


def prepare_memory() -> None:
    """Sets up a CPU program that makes tensors of ever new shapes; call it before the first product.

    - glibc returns large freed blocks to the system and takes them anew for the next tensor, page fault by page fault,
      which costs a training step up to a third of its time: it is told to keep them.
    - oneDNN keeps the code and the workspace of the last 1,024 shapes of a product, in which a training on ragged text
      loses gigabytes: a few dozen are as fast.

    Does nothing about the allocator where the C library is another one.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
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
