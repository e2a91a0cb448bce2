"""Token ids, and those that every tokenizer reserves."""

import numpy as np
import numpy.typing as npt

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIAL_IDS = {"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS}

Ids = npt.NDArray[np.integer]
