"""Models as search and sampling see them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.data.batch import pad_rows
from seq2seq.decode.windows import dropped, window_start
from seq2seq.model.attention import Layout
from seq2seq.model.cache import DecoderCache, Memory
from seq2seq.model.gpt import GPT, GPTState
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import Ids

MAX_SCORES = 2**26  # scores of the vocabulary that a batch holds at once (256 MiB)


class TransformerStepper:
    """Steps of a decoder with its cache.

    Args:
        model: in evaluation mode.
        sources: ids of each source, each ending in eos; the longest first, if not all are decoded at once.
        at_once: sources that are decoded together at the most; the others follow when asked for; None: all.
    """

    def __init__(self, model: Transformer, sources: Sequence[Ids], at_once: int | None = None) -> None:
        self.model = model
        self.sources = sources
        self.at_once = at_once or len(sources)
        self._device = model.output.weight.device
        self._cache = DecoderCache(len(model.decoder), 1, self._device)
        self._begun = 0  # sources that have got a place
        self._encoded = 0  # sources that have been encoded, of which the last ones are:
        self._ready = Memory([], Layout())

    def start(self, beam_size: int) -> int:
        """Encodes the first sources; see `beam.Stepper`."""
        self._cache = DecoderCache(len(self.model.decoder), beam_size, self._device)
        self._begun = self._encoded = 0
        n = min(self.at_once, len(self.sources))
        self.refill(list(range(n)))
        return n

    def step(self, tokens: Tensor) -> Tensor:
        """Returns logits [N, V] of what follows `tokens` [N] int64; see `beam.Stepper`."""
        hidden = self.model.step(tokens.view(-1, self._cache.beam_size), self._cache)  # [G, K, D]
        return self.model.logits(hidden.flatten(0, 1))

    def reorder(self, rows: Tensor) -> None:
        """Reorders beams and sentences; see `beam.Stepper`."""
        self._cache.reorder(rows)

    def refill(self, places: list[int]) -> None:
        """Puts the next sources in the places of sentences that are done; they are encoded many at a time."""
        while places:
            if self._begun == self._encoded:
                chunk = self.sources[self._encoded : self._encoded + self.at_once]
                self._ready = self.model.start(pad_rows(chunk).to(self._device))
                self._encoded += len(chunk)
            n = min(len(places), self._encoded - self._begun)
            begun, left = slice(self._begun, self._begun + n), self._encoded - self._begun
            first = len(self._ready.keys_values[0][0]) - left
            part = slice(first, first + n)
            keys_values = [(k[part], v[part]) for k, v in self._ready.keys_values]
            lengths = [len(ids) for ids in self.sources[begun]]
            self._cache.put(places[:n], Memory(keys_values, self._ready.layout), lengths)
            self._begun += n
            places = places[n:]


class GPTStepper:
    """Steps of a language model, for one batch of prompts, however long they become; see `windows`.

    All rows stand at the same position of their windows: the model then needs no mask and one position for all. So the
    prompts of a batch have the same length, or are so long that the same number of their tokens is left in the window.

    Args:
        model: in evaluation mode.
        prompts: ids of each prompt, at least one; `start` reads all but the last.
        cached: whether keys and values of the tokens in the window are kept; without them each step reads the whole
            window, for comparison.

    Raises:
        ValueError: the prompts fill their windows differently.
    """

    def __init__(self, model: GPT, prompts: Sequence[Sequence[int]], cached: bool = True) -> None:
        self.model = model
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
        """Returns logits [N, V] of what follows `tokens` [N] int64; see `beam.Stepper`."""
        context = self.model.settings.context
        if self._window.shape[1] == context:
            self._window = self._window[:, dropped(context) :]
            self._state = self.model.start()
        self._window = torch.cat([self._window, tokens[:, None]], dim=1)
        if not self.cached:
            self._state = self.model.start()
        unread = self._window[:, self._state.length :]
        return self.model.logits(self.model.hidden(unread, self._state)[:, -1])

    def reorder(self, rows: Tensor) -> None:
        """Reorders, copies and drops rows; see `beam.Stepper`."""
        self._window = self._window[rows]
        self._state.reorder(rows)
