"""Models as search and sampling see them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq.decode.windows import dropped, window_start
from seq2seq.model.device import in_precision
from seq2seq.model.gpt import GPT, GPTState
from seq2seq.model.linear import project_by
from seq2seq.model.transformer import DecoderState, Transformer
from seq2seq.text.shortlist import Choice

MAX_SCORES = 2**26  # scores of the vocabulary that a batch holds at once (256 MiB)


class TransformerStepper:
    """Steps of a decoder with its cache, for one batch of sources.

    Args:
        model: in evaluation mode.
        src: [B, S] int64 source ids, padded on the right.
        choice: target tokens that each sentence may use; search then deals in their places in `choice.ids`, and their
            probabilities sum to 1. None: all.
    """

    def __init__(self, model: Transformer, src: Tensor, choice: Choice | None = None) -> None:
        self.model = model
        self._listed = None if choice is None else Listed(model, choice, src.device)
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
        if self._listed:
            tokens = self._listed.ids[tokens]
        hidden = self.model.decode(tokens[:, None], self.state)[:, 0]  # [N, D]
        logits = self._listed.logits(hidden) if self._listed else self.model.logits(hidden)
        return F.log_softmax(logits.float(), dim=-1)

    def reorder(self, rows: Tensor) -> None:
        """Reorders the beams and drops sentences that are done; see `beam.Stepper`."""
        sentences = rows[:: self.beam_size] // self.beam_size
        if self._listed:
            self._listed.reorder(sentences)
        self.state.reorder(rows, sentences)


class Listed:
    """The part of the output projection that gives scores of listed tokens.

    Args:
        model: whose output it is.
        choice: the tokens.
        device: where they are wanted.
    """

    def __init__(self, model: Transformer, choice: Choice, device: torch.device) -> None:
        self.ids = torch.from_numpy(choice.ids).to(device)
        self._weight = in_precision(model.output.weight[self.ids])  # [n, D]
        self._refused = torch.from_numpy(~choice.allowed).to(device)  # [B, n]

    def logits(self, hidden: Tensor) -> Tensor:
        """Maps hidden rows [N, D], equally many for each sentence, to scores [N, n]."""
        scores = project_by(hidden, self._weight, None).view(len(self._refused), -1, len(self.ids))  # [B, K, n]
        return scores.masked_fill_(self._refused[:, None], -torch.inf).flatten(0, 1)

    def reorder(self, sentences: Tensor) -> None:
        """Keeps the given sentences [B'] int64, which stay in order."""
        if len(sentences) != len(self._refused):
            self._refused = self._refused[sentences]


class GPTStepper:
    """Steps of a language model, for one batch of prompts, however long they become; see `windows`.

    All rows stand at the same position of their windows: the model then needs no mask and one position for all. So the
    prompts of a batch have the same length, or are so long that the same number of their tokens is left in the window.

    Args:
        model: in evaluation mode.
        prompts: ids of each prompt, at least one; `start` reads all but the last.
        log_probs: whether a step returns log-probabilities, as beam search wants them, or logits, at whose signs the
            repetition penalty of sampling looks.
        cached: whether keys and values of the tokens in the window are kept; without them each step reads the whole
            window, for comparison.

    Raises:
        ValueError: the prompts fill their windows differently.
    """

    def __init__(
        self, model: GPT, prompts: Sequence[Sequence[int]], log_probs: bool = False, cached: bool = True
    ) -> None:
        self.model = model
        self.log_probs = log_probs
        self.cached = cached
        self.prompts = [ids[window_start(len(ids) - 1, model.settings.context) : -1] for ids in prompts]
        if len({len(ids) for ids in self.prompts}) > 1:
            raise ValueError("prompts of one batch must leave the same number of tokens in their windows")
        self._state: GPTState = model.start()
        self._window = torch.empty(0, 0, dtype=torch.long)  # [N, T], what the rows see; the state has read its begin

    def start(self, beam_size: int) -> int:
        """Reads the prompts; see `beam.Stepper`."""
        device = self.model.token_embedding.weight.device
        self._state = self.model.start()
        self._window = torch.tensor(self.prompts, dtype=torch.long, device=device).view(len(self.prompts), -1)
        if self.cached and self._window.numel():
            self.model.hidden(self._window, self._state)
        self.reorder(torch.arange(len(self.prompts), device=device).repeat_interleave(beam_size))
        return len(self.prompts)

    def step(self, tokens: Tensor) -> Tensor:
        """Returns scores [N, V] float32 of what follows `tokens` [N] int64; see `beam.Stepper`."""
        context = self.model.settings.context
        if self._window.shape[1] == context:
            self._window = self._window[:, dropped(context) :]
            self._state = self.model.start()
        self._window = torch.cat([self._window, tokens[:, None]], dim=1)
        if not self.cached:
            self._state = self.model.start()
        unread = self._window[:, self._state.length :]
        logits = self.model.logits(self.model.hidden(unread, self._state)[:, -1]).float()  # [N, V]
        return F.log_softmax(logits, dim=-1) if self.log_probs else logits

    def reorder(self, rows: Tensor) -> None:
        """Reorders, copies and drops rows; see `beam.Stepper`."""
        self._window = self._window[rows]
        self._state.reorder(rows)
