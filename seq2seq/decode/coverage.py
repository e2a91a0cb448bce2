"""How well the tokens of a source have been attended to: what the coverage penalty needs."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seq2seq.decode.stepper import TransformerStepper
from seq2seq.model.attention import Layout
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import Ids
from seq2seq.text.shortlist import Choice

LEAST = 1e-9  # attention that a token is taken to have got, so that its logarithm is finite


class CoveringStepper(TransformerStepper):
    """Steps of a decoder that add up its attention to the source: the mean over the heads of the last layer.

    Args:
        model: see `TransformerStepper`, as for the rest.
        sources: see there.
        at_once: see there.
        choice: see there.
    """

    def __init__(
        self, model: Transformer, sources: Sequence[Ids], at_once: int | None = None, choice: Choice | None = None
    ) -> None:
        super().__init__(model, sources, at_once, choice)
        self._longest = max(map(len, sources), default=0)
        self._attended = torch.empty(0, self._longest, device=self._device)  # [N, S]
        self._lengths = torch.empty(0, dtype=torch.long, device=self._device)  # [N], of the sources without eos

    def start(self, beam_size: int) -> int:
        """Encodes the first sources; see `beam.Stepper`."""
        n = beam_size * min(self.at_once, len(self.sources))
        self._attended = torch.zeros(n, self._longest, device=self._device)
        self._lengths = torch.zeros(n, dtype=torch.long, device=self._device)
        return super().start(beam_size)

    def refill(self, places: list[int]) -> None:
        """Puts the next sources in some places."""
        first, beam_size = self._begun, self._cache.beam_size
        super().refill(places)
        for place, ids in zip(places, self.sources[first : first + len(places)], strict=True):
            rows = slice(place * beam_size, (place + 1) * beam_size)
            self._attended[rows], self._lengths[rows] = 0.0, len(ids) - 1

    def step(self, tokens: Tensor) -> Tensor:
        """Returns logits [N, V] of what follows `tokens`; see `beam.Stepper`."""
        seen: list[Tensor] = []
        memory = self._cache.memory
        assert isinstance(memory.layout, Layout)
        self._cache.memory = replace(memory, layout=replace(memory.layout, seen=seen))
        logits = super().step(tokens)
        weights = seen[-1].mean(dim=1).flatten(0, 1)  # [N, S], of the sources that are in place
        self._attended[:, : weights.shape[1]] += weights
        return logits

    def reorder(self, rows: Tensor) -> None:
        """Reorders beams and sentences; see `beam.Stepper`."""
        super().reorder(rows)
        self._attended, self._lengths = self._attended[rows], self._lengths[rows]

    def coverage(self) -> Tensor:
        """Returns [N]: sum over source tokens but eos of log(min(attention so far, 1)); Wu et al. 2016, equation 14."""
        real = torch.arange(self._longest, device=self._device) < self._lengths[:, None]  # [N, S]
        return self._attended.clamp(LEAST, 1.0).log().masked_fill(~real, 0.0).sum(dim=1)
