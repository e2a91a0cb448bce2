"""Random choices that follow from a seed alone: no generator state needs to be stored."""

import hashlib

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def shuffled(indices: Indices, n: int, *key: int) -> Indices:
    """Returns where a random permutation of 0 to n - 1, chosen by `key`, sends the given indices.

    A Feistel network with cycle walking (Black & Rogaway 2002): any part of the permutation of any number of
    examples is there at once, without memory, on every machine alike.
    """
    half = np.uint64(max(1, (max(n - 1, 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    out = indices.astype(np.uint64)
    todo = np.arange(len(out))
    while len(todo):
        left, right = out[todo] >> half, out[todo] & mask
        for round_key in range(10):  # fewer are visibly uneven where n is small
            left, right = right, left ^ (_mix(right, *key, round_key) & mask)
        out[todo] = (left << half) | right
        todo = todo[out[todo] >= n]
    return out.astype(np.int64)


def _mix(values: npt.NDArray[np.uint64], *key: int) -> npt.NDArray[np.uint64]:
    """Hashes values with a key (the finaliser of MurmurHash3 after each number of the key)."""
    with np.errstate(over="ignore"):
        for number in key:
            values = values ^ np.uint64((number * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) % 2**64)
            values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
            values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
            values = values ^ (values >> np.uint64(33))
    return values


def uniform(n: int, *key: int) -> int:
    """Returns a number from 0 to n - 1 that follows from the key alone, each with the same chance."""
    return derive_seed(*key) % n  # of 2^63 numbers: no n is large enough for the remainder to matter


def derive_seed(seed: int, *parts: int | str) -> int:
    """Returns a seed for torch that depends on all parts."""
    digest = hashlib.blake2b("/".join(map(str, (seed, *parts))).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
