"""Batches as tensors: sentence pairs, or running text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq.text.ids import BOS, EOS, PAD, Ids


@dataclass(frozen=True)
class Tensors:
    """Tensors that go places together."""

    def to(self, device: torch.device) -> Self:
        """Returns them on a device; what is pinned is copied while other things go on."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Self:
        """Returns them in memory that a GPU can read by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self,
            **{name: value._each(change) for name, value in values.items() if isinstance(value, Tensors)},
            **{name: change(value) for name, value in values.items() if isinstance(value, Tensor)},
        )


@dataclass(frozen=True)
class Batch(Tensors):
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

    def packed(self) -> "PackedBatch":
        """Returns the same pairs without padding."""
        source, target = self.src != PAD, self.tgt_out != PAD  # a row of `tgt_in` is as long as one of `tgt_out`
        return PackedBatch(
            Rows.packed(self.src, source), Rows.packed(self.tgt_in, target), self.tgt_out[target], self.n_tokens
        )

    def repeat(self, times: int) -> "Batch":
        """Returns all rows several times, one copy behind the other."""
        src, tgt_in, tgt_out = (tensor.repeat(times, 1) for tensor in (self.src, self.tgt_in, self.tgt_out))
        return Batch(src, tgt_in, tgt_out, times * self.n_tokens)


@dataclass(frozen=True)
class Rows(Tensors):
    """Sentences one behind the other, without padding.

    Attributes:
        ids: [N] int64.
        positions: [N] int64, of each id in its sentence.
        offsets: [B + 1] int32, where sentences begin, and the end of the last one.
        longest: tokens of the longest sentence.
    """

    ids: Tensor
    positions: Tensor
    offsets: Tensor
    longest: int

    @classmethod
    def packed(cls, ids: Tensor, real: Tensor) -> "Rows":
        """Packs padded ids [B, T] by a mask [B, T] that is true of the first ones of each row."""
        lengths = real.sum(dim=1)
        offsets = F.pad(lengths.cumsum(0), (1, 0)).int()
        return cls(ids[real], real.nonzero()[:, 1], offsets, int(lengths.max()))


@dataclass(frozen=True)
class PackedBatch(Tensors):
    """Sentence pairs without padding.

    Attributes:
        src: source ids, each sentence ending in eos.
        tgt_in: target ids behind bos: what the decoder reads.
        tgt_out: [N] int64, what it predicts, each sentence ending in eos.
        n_tokens: N.
    """

    src: Rows
    tgt_in: Rows
    tgt_out: Tensor
    n_tokens: int


@dataclass(frozen=True)
class TokenBatch(Tensors):
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


AnyBatch = Batch | PackedBatch | TokenBatch


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
