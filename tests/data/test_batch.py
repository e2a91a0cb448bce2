"""Batches: what is cut stays whole, what is padded stays apart."""

import numpy as np
import pytest

from seq2seq.data.batch import TokenBatch, cut_by_tokens
from seq2seq.text.ids import PAD


@pytest.mark.parametrize(("tokens", "rows"), [(1, 3), (20, 3), (50, 100), (10**6, 10**6)])
def test_batches_hold_every_row_once_and_are_as_full_as_they_may_be(tokens: int, rows: int) -> None:
    lengths = np.random.default_rng(1).integers(0, 30, 200).tolist()
    cuts = list(cut_by_tokens(lengths, tokens, rows))
    order = [i for cut in cuts for i in cut]
    assert order == sorted(range(200), key=lambda i: -lengths[i])
    for cut, behind in zip(cuts, [*cuts[1:], []], strict=True):
        width = max(1, lengths[cut[0]])
        assert len(cut) == 1 or (len(cut) <= rows and len(cut) * width <= tokens)
        assert not behind or len(cut) == rows or (len(cut) + 1) * width > tokens
    assert list(cut_by_tokens([], tokens, rows)) == []


def test_each_id_of_running_text_is_predicted_from_the_one_before_it() -> None:
    rows = [np.array(row, dtype=np.uint16) for row in ([5, 6, 7, 8], [9, 10], [11, 12, 13])]
    batch = TokenBatch.from_ids(rows)
    assert batch.targets.tolist() == [[6, 7, 8], [10, PAD, PAD], [12, 13, PAD]]
    read = [[token for token, target in zip(*pair, strict=True) if target != PAD] for pair in zip(
        batch.tokens.tolist(), batch.targets.tolist(), strict=True
    )]  # fmt: skip
    assert read == [[5, 6, 7], [9], [11, 12]]
    assert batch.n_tokens == 6
    assert batch.tokens.dtype == batch.targets.dtype
