"""The Transformer as search sees it."""

import torch.nn.functional as F
from torch import Tensor

from seq2seq.model.transformer import DecoderState, Transformer


class TransformerStepper:
    """Steps of a decoder with its cache, for one batch of sources.

    Args:
        model: in evaluation mode.
        src: [B, S] int64 source ids, padded on the right.
    """

    def __init__(self, model: Transformer, src: Tensor) -> None:
        self.model = model
        self.src = src
        self.beam_size = 0
        self._state: DecoderState | None = None

    @property
    def state(self) -> DecoderState:
        """The decoder's state between steps."""
        assert self._state is not None, "start() comes first"
        return self._state

    def start(self, beam_size: int) -> int:
        """Encodes the sources; see `beam.Stepper`."""
        self.beam_size = beam_size
        self._state = self.model.start(self.src, cached=True)
        return len(self.src)

    def step(self, tokens: Tensor) -> Tensor:
        """Returns log-probabilities [N, V] float32 of what follows `tokens` [N] int64; see `beam.Stepper`."""
        hidden = self.model.decode(tokens[:, None], self.state)[:, 0]  # [N, D]
        return F.log_softmax(self.model.logits(hidden).float(), dim=-1)

    def reorder(self, rows: Tensor) -> None:
        """Reorders the beams and drops sentences that are done; see `beam.Stepper`."""
        sentences = rows[:: self.beam_size] // self.beam_size
        self.state.reorder(rows, sentences)
