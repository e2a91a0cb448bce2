"""Token ids, and those that every tokenizer reserves."""

from typing import Any

import numpy as np
import numpy.typing as npt

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIAL_IDS = {"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS}

Ids = npt.NDArray[np.integer]


def stored_type(vocab_size: int) -> np.dtype[Any]:
    """Returns the smallest type in which the ids of a vocabulary are kept on disk."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.int32)
