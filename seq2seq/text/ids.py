"""Token ids, and those that every tokenizer reserves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIAL_IDS = {"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS}

Ids = npt.NDArray[np.integer]


@dataclass(frozen=True)
class IdRows:
    """The ids of many texts, one behind the other.

    Attributes:
        ids: [N] int32.
        lengths: [n] int64, ids of each text.
    """

    ids: Ids
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "IdRows":
        """Takes rows of plain numbers."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths)

    @classmethod
    def joined(cls, parts: Sequence["IdRows"]) -> "IdRows":
        """Puts the texts of several behind each other."""
        return cls(np.concatenate([part.ids for part in parts]), np.concatenate([part.lengths for part in parts]))

    @cached_property
    def rows(self) -> list[Ids]:
        """The ids of each text."""
        ends = self.lengths.cumsum().tolist()
        return [self.ids[start:end] for start, end in pairwise([0, *ends])]

    def where(self, chosen: npt.NDArray[np.bool_]) -> "IdRows":
        """Returns some of the texts; chosen: [n]."""
        return IdRows(self.ids[np.repeat(chosen, self.lengths)], self.lengths[chosen])


def spans(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the indices of many stretches of an array, one behind the other.

    Args:
        starts: [n], where each begins.
        lengths: [n], of each.
    """
    ends = lengths.cumsum()
    return np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)


def stored_type(vocab_size: int) -> np.dtype[Any]:
    """Returns the smallest type in which the ids of a vocabulary are kept on disk."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.int32)
