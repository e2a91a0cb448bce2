"""Batches as tensors: sentence pairs, or running text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seq2seq.text.ids import BOS, EOS, PAD, Ids


@dataclass(frozen=True)
class Batch:
    """Sentence pairs padded to a common length.

    Attributes:
        src: [B, S] int64 source ids, each row ending in eos, then pad.
        tgt_in: [B, T] int64 target ids behind bos: what the decoder reads.
        tgt_out: [B, T] int64 target ids ending in eos, then pad: what it predicts.
        n_tokens: target tokens to predict, padding not counted.
    """

    src: Tensor
    tgt_in: Tensor
    tgt_out: Tensor
    n_tokens: int

    @classmethod
    def from_ids(cls, sources: Sequence[Ids], targets: Sequence[Ids]) -> "Batch":
        """Pads sentence pairs given as ids that end in eos."""
        tgt_out = pad_rows(targets)
        tgt_in = torch.full_like(tgt_out, PAD)
        tgt_in[:, 0] = BOS
        # The last id of the longest row is eos, which is predicted and never read.
        tgt_in[:, 1:] = tgt_out[:, :-1].masked_fill(tgt_out[:, :-1] == EOS, PAD)
        return cls(pad_rows(sources), tgt_in, tgt_out, sum(len(ids) for ids in targets))

    def to(self, device: torch.device) -> "Batch":
        """Returns the batch on a device."""
        return Batch(self.src.to(device), self.tgt_in.to(device), self.tgt_out.to(device), self.n_tokens)

    def repeat(self, times: int) -> "Batch":
        """Returns all rows several times, one copy behind the other."""
        src, tgt_in, tgt_out = (tensor.repeat(times, 1) for tensor in (self.src, self.tgt_in, self.tgt_out))
        return Batch(src, tgt_in, tgt_out, times * self.n_tokens)


@dataclass(frozen=True)
class TokenBatch:
    """Rows of running text padded to a common length.

    Attributes:
        tokens: [B, T] int64 ids: what the model reads, of a shorter row its last id and pad behind that.
        targets: [B, T] int64 ids: for each of them the next one, which it predicts, or pad: nothing to predict.
        n_tokens: targets to predict, padding not counted.
    """

    tokens: Tensor
    targets: Tensor
    n_tokens: int

    @classmethod
    def from_ids(cls, rows: Sequence[Ids]) -> "TokenBatch":
        """Pads rows of ids, in each of which every id but the first is predicted from those before it."""
        padded = pad_rows(rows)
        return cls(padded[:, :-1], padded[:, 1:], sum(len(row) - 1 for row in rows))

    def to(self, device: torch.device) -> "TokenBatch":
        """Returns the batch on a device."""
        return TokenBatch(self.tokens.to(device), self.targets.to(device), self.n_tokens)


AnyBatch = Batch | TokenBatch


def cut_by_tokens(lengths: Sequence[int], tokens: int, rows: int) -> Iterator[list[int]]:
    """Groups rows of like length into batches, the longest first so that memory never grows later.

    Args:
        lengths: tokens of each row.
        tokens: of a batch at the most, padding included (a longer row comes alone).
        rows: of a batch at the most.

    Yields:
        Indices of the rows of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = min(rows, max(1, tokens // max(1, lengths[order[start]])))
        yield order[start : start + size]
        start += size


def pad_rows(rows: Sequence[Ids]) -> Tensor:
    """Returns rows of ids as one [B, longest] int64 tensor, padded on the right."""
    padded = np.full((len(rows), max(map(len, rows))), PAD, dtype=np.int64)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(padded)
