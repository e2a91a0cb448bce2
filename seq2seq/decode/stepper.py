"""The Transformer as search sees it."""

import torch
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
        hidden = self.model.decode(tokens[:, None].to(self.src.device), self.state)[:, 0]  # [N, D]
        return F.log_softmax(self.model.logits(hidden).float(), dim=-1)

    def reorder(self, rows: Tensor) -> None:
        """Reorders the beams and drops sentences that are done; see `beam.Stepper`."""
        sentences = rows[:: self.beam_size] // self.beam_size
        self.state.reorder(rows.to(self.src.device), sentences.to(self.src.device))


@torch.inference_mode()
def target_log_probs(model: Transformer, src: Tensor, tgt_in: Tensor, tgt_out: Tensor) -> Tensor:
    """Returns the log-probability of each token of given translations, without a cache.

    Args:
        model: in evaluation mode.
        src: [B, S] int64.
        tgt_in: [B, T] int64, behind bos.
        tgt_out: [B, T] int64, ending in eos.

    Returns:
        [B, T] float32, nats; positions of padding hold the log-probability of pad.
    """
    logits = model.logits(model.decode(tgt_in, model.start(src)))
    return F.log_softmax(logits.float(), dim=-1).gather(-1, tgt_out[:, :, None]).squeeze(-1)
