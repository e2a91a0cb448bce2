"""What a decoder keeps between steps: keys and values of what it has written and of the source."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq.model.attention import MASKED, AnyLayout, Layout

KeysValues = list[tuple[Tensor, Tensor]]

GROWTH = 8  # steps by which a cache grows at least


class KeyValueCache:
    """Keys and values that one layer has computed so far, for N rows of a batch."""

    def __init__(self) -> None:
        self._length = 0
        # Keys lie as the product with queries wants them: [N, H, E, C] for keys, [N, H, C, E] for values.
        self._keys = self._values = torch.empty(0)

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Appends the keys and values of T positions, two [N, H, T, E], and returns all, [N, H, P + T, E]."""
        start, end = self._length, self._length + k.shape[2]
        if not start:
            self._keys, self._values = _room(k.mT, 3, end + GROWTH), _room(v, 2, end + GROWTH)
        elif end > self._keys.shape[3]:
            more = max(end + GROWTH, 3 * start // 2) - self._keys.shape[3]
            self._keys, self._values = F.pad(self._keys, (0, more)), F.pad(self._values, (0, 0, 0, more))
        self._keys[..., start:end] = k.mT
        self._values[:, :, start:end] = v
        self._length = end
        return self._keys[..., :end].mT, self._values[:, :, :end]

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was; rows: int64, any number of them."""
        if self._length:
            self._keys, self._values = _moved([self._keys, self._values], rows)


class RingCache:
    """Keys and values of one decoder layer for the newest steps, K entries each: a new step replaces the oldest one.

    All there is room for is always handed out: shapes then stay the same, for each of which oneDNN makes a program,
    and no part of a tensor must be copied. A mask hides what is not written or not to be seen.

    Attributes:
        slot: where the entries of this step go.
        room: entries.
    """

    def __init__(self) -> None:
        self.slot = slice(0, 0)
        self.room = 0
        self._keys = self._values = torch.empty(0)  # [B, H, E, C] and [B, H, C, E]

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Writes the keys and values of a step, two [B, H, K, E], and returns all there is room for, [B, H, C, E]."""
        if not self._keys.numel():
            self._keys, self._values = _room(k.mT, 3, self.room), _room(v, 2, self.room)
        self._keys[..., self.slot] = k.mT
        self._values[:, :, self.slot] = v
        return self._keys.mT, self._values

    def grow(self, oldest: int, entries: int) -> None:
        """Makes room behind all there is; `oldest` is where the oldest entries are."""
        self.room += entries
        if self._keys.numel():
            self._keys = F.pad(self._keys.roll(-oldest, 3), (0, entries))
            self._values = F.pad(self._values.roll(-oldest, 2), (0, 0, 0, entries))

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was; rows: int64, any number of them."""
        if self._keys.numel():
            self._keys, self._values = _moved([self._keys, self._values], rows)


def _room(like: Tensor, dim: int, entries: int) -> Tensor:
    """Returns zeros of a tensor's shape but for one dimension."""
    return like.new_zeros([entries if i == dim else size for i, size in enumerate(like.shape)])


def _moved(tensors: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
    """Returns rows [N', ...] of tensors [N, ...], which it may change: only what changes its place is copied."""
    if len(rows) > len(tensors[0]):
        return [x.index_select(0, rows) for x in tensors]
    places = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
    if len(places):
        for x in tensors:
            x[places] = x[rows[places]]
    return [x[: len(rows)] for x in tensors]


@dataclass(frozen=True)
class Memory:
    """What the decoder sees of a batch of sources.

    Attributes:
        keys_values: for each layer keys and values, two [B, H, S, E]; packed: [M, H, E].
        layout: which source positions are real.
    """

    keys_values: KeysValues
    layout: AnyLayout


class DecoderCache:
    """What a decoder keeps of the sentences it is writing, K hypotheses (beams) of each.

    Each sentence has a place among B. The beams of a sentence share all entries that any of them has written, and a
    mask says which of them a beam descends from: so nothing is copied when beams change places. All beams write an
    entry at each step, whenever their sentence began; what was written before that is masked too.

    Args:
        layers: of the decoder.
        beam_size: K.
        device: of the model.

    Attributes:
        layers: keys and values of each layer.
        memory: of the sources.
        positions: [B] int64, of the token of each sentence that this step writes.
    """

    def __init__(self, layers: int, beam_size: int, device: torch.device) -> None:
        self.beam_size = beam_size
        self.layers = [RingCache() for _ in range(layers)]
        self.memory = Memory([], Layout())
        self.positions = torch.empty(0, dtype=torch.long, device=device)
        self._source_lengths: list[int] = []  # of each place
        self._ages: list[int] = []  # steps since the sentence of a place began
        self._next = 0  # where the entries of the next step go
        self._mask = torch.empty(0, 1, beam_size, 0, device=device)  # [B, 1, K, C], added to scores
        # A beam sees its own entry of a step alone.
        own = torch.eye(beam_size, dtype=torch.bool, device=device)
        self._own = torch.zeros(beam_size, beam_size, device=device).masked_fill(~own, MASKED)  # [K, K]

    @property
    def longest(self) -> int:
        """What all positions are below."""
        return max(self._ages)

    def step(self) -> Layout:
        """Makes room for an entry of each beam; returns which ones each beam may attend to, its own included."""
        room, more = self._mask.shape[3], GROWTH * self.beam_size
        if max(self._ages) * self.beam_size >= room:
            for layer in self.layers:
                layer.grow(self._next, more)
            self._mask = F.pad(self._mask.roll(-self._next, 3), (0, more), value=MASKED)
            self._next, room = room, room + more
        slot = slice(self._next, self._next + self.beam_size)
        self._next = slot.stop % room
        for layer in self.layers:
            layer.slot = slot
        self._mask[..., slot] = self._own
        self.positions = torch.tensor(self._ages, device=self._own.device)
        self._ages = [age + 1 for age in self._ages]
        return Layout(self._mask)

    def put(self, places: Sequence[int], sources: KeysValues, lengths: Sequence[int]) -> None:
        """Begins sentences: the first ones at all places, later ones where others are done.

        Args:
            places: of n sentences.
            sources: for each layer keys and values of the n sources.
            lengths: tokens of each source; never above the longest one in place.
        """
        if self._ages:
            self._replace(places, sources, lengths)
            return
        self._source_lengths, self._ages = list(lengths), [0] * len(places)
        self._mask = self._mask.new_zeros(len(places), 1, self.beam_size, 0)
        self._see([(k.mT.contiguous().mT, v.contiguous()) for k, v in sources])

    def _replace(self, places: Sequence[int], sources: KeysValues, lengths: Sequence[int]) -> None:
        index, keys_values = torch.tensor(places, device=self._own.device), self.memory.keys_values
        length = min(sources[0][0].shape[2], keys_values[0][0].shape[2])
        assert max(lengths) <= length, "sources must not become longer"
        for (keys, values), (new_keys, new_values) in zip(keys_values, sources, strict=True):
            keys[index, :, :length] = new_keys[:, :, :length]
            values[index, :, :length] = new_values[:, :, :length]
        self._mask[index] = MASKED
        for place, source_length in zip(places, lengths, strict=True):
            self._ages[place], self._source_lengths[place] = 0, source_length
        self._see(keys_values)

    def _see(self, keys_values: KeysValues) -> None:
        """Lets the decoder see sources, two [B, H, S, E] for each layer, of which no more is kept than needed."""
        room, longest = keys_values[0][0].shape[2], max(self._source_lengths, default=0)
        if 4 * longest <= 3 * room:
            keys_values = [
                (k.mT[..., :longest].contiguous().mT, v[:, :, :longest].contiguous()) for k, v in keys_values
            ]
            room = longest
        lengths = torch.tensor(self._source_lengths, device=self._own.device)
        behind = torch.arange(room, device=lengths.device) >= lengths[:, None]  # [B, S]
        mask = torch.zeros(behind.shape, device=lengths.device).masked_fill(behind, MASKED)
        self.memory = Memory(keys_values, Layout(mask[:, None, None]))

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was; the K rows of a sentence stay together, sentences may change places.

        Args:
            rows: [N'] int64; a beam is a row of its sentence, place * K + beam.
        """
        beams = rows.view(-1, self.beam_size)  # [B', K]
        sentences = beams[:, 0] // self.beam_size  # [B']
        if not torch.equal(sentences, torch.arange(len(self._ages), device=rows.device)):
            for layer in self.layers:
                layer.reorder(sentences)
            self._ages = [self._ages[i] for i in sentences.tolist()]
            self._source_lengths = [self._source_lengths[i] for i in sentences.tolist()]
            moved = iter(_moved([x for pair in self.memory.keys_values for x in pair], sentences))
            self._see(list(zip(moved, moved, strict=True)))
        self._mask = self._mask[sentences[:, None], 0, beams % self.beam_size][:, None]
