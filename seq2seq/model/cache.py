"""What a decoder keeps between steps: keys and values of what it has read and of the source."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.model.attention import MASKED, Layout

GROWTH = 16  # steps for which a cache keeps room


class KeyValueCache:
    """Keys and values that one layer has computed so far, for N rows of a batch; room for more is kept ready."""

    def __init__(self) -> None:
        self._length = 0
        # Keys lie as the product with queries wants them: [N, H, E, C] for keys, [N, H, C, E] for values.
        self._keys = self._values = torch.empty(0)

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Appends the keys and values of T entries, two [N, H, T, E], and returns all there are, [N, H, P + T, E]."""
        start, end = self._length, self._length + k.shape[2]
        if start == 0 or end > self._keys.shape[3]:
            self._grow(k, max(start + GROWTH * k.shape[2], 3 * start // 2))
        self._keys[..., start:end] = k.transpose(2, 3)
        self._values[:, :, start:end] = v
        self._length = end
        return self._keys[..., :end].transpose(2, 3), self._values[:, :, :end]

    def _grow(self, like: Tensor, capacity: int) -> None:
        """Makes room for `capacity` entries of rows like `like`, [N, H, T, E]."""
        n, heads, _, width = like.shape
        keys, values = like.new_zeros(n, heads, width, capacity), like.new_zeros(n, heads, capacity, width)
        if self._length:
            keys[..., : self._length] = self._keys[..., : self._length]
            values[:, :, : self._length] = self._values[:, :, : self._length]
        self._keys, self._values = keys, values

    def drop(self, entries: int) -> None:
        """Forgets the oldest entries."""
        kept = slice(entries, self._length)
        self._length -= entries
        self._keys[..., : self._length] = self._keys[..., kept].clone()
        self._values[:, :, : self._length] = self._values[:, :, kept].clone()

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was; rows: int64, any number of them."""
        if self._length:
            self._keys, self._values = _moved(self._keys, rows), _moved(self._values, rows)


def _moved(x: Tensor, rows: Tensor) -> Tensor:
    """Returns rows [N', ...] of a tensor [N, ...], which it may change: only what changes its place is copied."""
    if len(rows) > len(x):
        return x.index_select(0, rows)
    places = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
    if len(places):
        x[places] = x[rows[places]]
    return x[: len(rows)]


class DecoderCache:
    """What a decoder keeps of the sentences it is writing, K hypotheses (beams) of each.

    Each sentence has a place among G. The beams of a sentence share all entries that any of them has written, and a
    mask says which of them a beam descends from: so nothing is copied when beams change places. All beams write an
    entry at each step, whenever their sentence began; what was written before that is masked too.

    Args:
        layers: of the decoder.
        beam_size: K.
        device: of the model.
    """

    def __init__(self, layers: int, beam_size: int, device: torch.device) -> None:
        self.beam_size = beam_size
        self.layers = [KeyValueCache() for _ in range(layers)]
        self.memory = Memory([], Layout())  # of the sources, as far as the longest one goes
        self.positions = torch.empty(0, dtype=torch.long, device=device)  # [G], of the next token
        self.longest = 0  # above all positions
        self._sources: list[tuple[Tensor, Tensor]] = []  # what `memory` is a part of, for longer sources
        self._source_lengths: list[int] = []  # of each place
        self._source_mask = torch.empty(0, device=device)  # [G, 1, 1, S], added to scores
        self._mask = torch.empty(0, 1, beam_size, 0, device=device)  # [G, 1, K, entries], added to scores
        # A beam sees its own entry of a step alone.
        own = torch.eye(beam_size, dtype=torch.bool, device=device)
        self._own = torch.zeros(beam_size, beam_size, device=device).masked_fill(~own, MASKED)  # [K, K]
        self._begun: list[int] = []  # entries there were when the sentence of a place began

    @property
    def memory_layout(self) -> Layout:
        """Which source positions are real."""
        return Layout(self._source_mask)

    def step(self) -> Layout:
        """Makes room for an entry of each beam; returns which ones each beam may attend to, its own included."""
        places = len(self._begun)
        self._drop_what_none_sees()
        self._mask = torch.cat([self._mask, self._own.expand(places, 1, -1, -1)], dim=3)
        return Layout(self._mask)

    def advance(self) -> None:
        """Counts the tokens of a step."""
        self.positions = self.positions + 1
        self.longest += 1

    def _drop_what_none_sees(self) -> None:
        oldest = min(self._begun)
        if oldest >= max(GROWTH * self.beam_size, self._mask.shape[3] // 2):
            for layer in self.layers:
                layer.drop(oldest)
            self._mask = self._mask[..., oldest:]
            self._begun = [begun - oldest for begun in self._begun]
            self.longest = int(self.positions.max())

    def put(self, places: Sequence[int], memory: Sequence[tuple[Tensor, Tensor]], real: Tensor) -> None:
        """Begins sentences at places whose sentences are done, or behind all others.

        Args:
            places: of n sentences; those behind the others in order.
            memory: for each layer keys and values of their sources, two [n, H, S, E].
            real: [n, S] bool, which source positions are no padding.
        """
        mask = torch.zeros(real.shape, device=real.device).masked_fill(~real, MASKED)[:, None, None]
        if not self._begun:
            # Contiguous as the products want them: keys [n, H, E, S], values [n, H, S, E].
            self.memory = [(k.transpose(2, 3).contiguous().transpose(2, 3), v.contiguous()) for k, v in memory]
            self._source_mask = mask
            self._mask = self._mask.new_zeros(len(places), 1, self.beam_size, 0)
            self.positions = self.positions.new_zeros(len(places))
            self._begun = [0] * len(places)
            return
        index = torch.tensor(places, device=real.device)
        length = real.shape[1]
        for (keys, values), (new_keys, new_values) in zip(self.memory, memory, strict=True):
            keys[index, :, :length] = new_keys
            values[index, :, :length] = new_values
        self._source_mask[index] = MASKED
        self._source_mask[index, :, :, :length] = mask
        self._mask[index] = MASKED
        self.positions[index] = 0
        for place in places:
            self._begun[place] = self._mask.shape[3]

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was; the K rows of a sentence stay together, sentences may change places.

        Args:
            rows: [N'] int64; a beam is a row of its sentence, place * K + beam.
        """
        sentences = rows.view(-1, self.beam_size)[:, 0] // self.beam_size  # [G']
        parents = rows % self.beam_size  # [N']
        if not torch.equal(sentences, torch.arange(len(self._begun), device=rows.device)):
            for layer in self.layers:
                layer.reorder(sentences)
            self.memory = [(_moved(k, sentences), _moved(v, sentences)) for k, v in self.memory]
            self._source_mask = _moved(self._source_mask, sentences)
            self.positions = self.positions[sentences]
            self._begun = [self._begun[i] for i in sentences.tolist()]
        if self.beam_size > 1 or len(sentences) != len(self._mask):
            groups = sentences[:, None].expand(-1, self.beam_size)
            self._mask = self._mask[groups, 0, parents.view(-1, self.beam_size)][:, None]
