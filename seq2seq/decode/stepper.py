"""Models as search and sampling see them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.data.batch import pad_rows
from seq2seq.decode.windows import dropped, window_start
from seq2seq.model.cache import DecoderCache
from seq2seq.model.device import product_dtype
from seq2seq.model.gpt import GPT, GPTState
from seq2seq.model.linear import FloatProduct
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import Ids
from seq2seq.text.shortlist import Choice

MAX_SCORES = 2**26  # scores of the vocabulary that a batch holds at once (256 MiB)


class TransformerStepper:
    """Steps of a decoder with its cache.

    Args:
        model: in evaluation mode.
        sources: ids of each source, each ending in eos; the longest first, in order, if not all are decoded at once.
        at_once: sources that are decoded together at the most; the others follow when asked for; None: all.
        choice: target tokens that each of the sources may use, all of which are decoded at once; search then deals in
            their places in `choice.ids`, and their probabilities sum to 1. None: all.
    """

    def __init__(
        self, model: Transformer, sources: Sequence[Ids], at_once: int | None = None, choice: Choice | None = None
    ) -> None:
        self.model = model
        self.sources = sources
        self.at_once = at_once or len(sources)
        self._device = model.output.weight.device
        self.choice = choice
        self._listed: Listed | None = None
        self._cache = DecoderCache(len(model.decoder), 1, self._device)
        self._begun = 0  # sources that have got a place
        self._encoded = 0  # sources that have been encoded, of which the last ones are:
        self._ready: list[tuple[Tensor, Tensor]] = []

    def start(self, beam_size: int) -> int:
        """Encodes the first sources; see `beam.Stepper`."""
        self._cache = DecoderCache(len(self.model.decoder), beam_size, self._device)
        self._begun = self._encoded = 0
        self._listed = Listed(self.model, self.choice) if self.choice else None
        n = min(self.at_once, len(self.sources))
        self.refill(list(range(n)))
        return n

    def step(self, tokens: Tensor) -> Tensor:
        """Returns logits [N, V] of what follows `tokens` [N] int64; see `beam.Stepper`."""
        if self._listed:
            tokens = self._listed.ids[tokens]
        hidden = self.model.step(tokens.view(-1, self._cache.beam_size), self._cache).flatten(0, 1)  # [N, D]
        return self._listed.logits(hidden) if self._listed else self.model.logits(hidden)

    def reorder(self, rows: Tensor) -> None:
        """Reorders beams and sentences; see `beam.Stepper`."""
        if self._listed:
            self._listed.reorder(rows[:: self._cache.beam_size] // self._cache.beam_size)
        self._cache.reorder(rows)

    def refill(self, places: list[int]) -> None:
        """Puts the next sources in the places of sentences that are done; they are encoded many at a time."""
        while places:
            if self._begun == self._encoded:
                chunk = self.sources[self._encoded : self._encoded + self.at_once]
                self._ready = self.model.start(pad_rows(chunk).to(self._device)).keys_values
                self._encoded += len(chunk)
            left = self._encoded - self._begun
            n = min(len(places), left)
            first = len(self._ready[0][0]) - left
            part = slice(first, first + n)
            lengths = [len(ids) for ids in self.sources[self._begun : self._begun + n]]
            self._cache.put(places[:n], [(k[part], v[part]) for k, v in self._ready], lengths)
            self._begun += n
            places = places[n:]


class Listed:
    """The part of the output projection that gives scores of listed tokens.

    Args:
        model: whose output it is.
        choice: the tokens.
    """

    def __init__(self, model: Transformer, choice: Choice) -> None:
        device = model.output.weight.device
        self.ids = torch.from_numpy(choice.ids).to(device)
        weight = model.output.weight.detach()[self.ids]  # [n, D]
        self._product = FloatProduct(weight, None, product_dtype(weight))
        self._refused = torch.from_numpy(~choice.allowed).to(device)  # [B, n]

    def logits(self, hidden: Tensor) -> Tensor:
        """Maps hidden rows [N, D], equally many for each sentence, to scores [N, n]."""
        scores = self._product(hidden, "none").view(len(self._refused), -1, len(self.ids))  # [B, K, n]
        return scores.masked_fill_(self._refused[:, None], -torch.inf).flatten(0, 1)

    def reorder(self, sentences: Tensor) -> None:
        """Makes sentence i what sentence sentences[i] was, [B'] int64."""
        if not torch.equal(sentences, torch.arange(len(self._refused), device=sentences.device)):
            self._refused = self._refused[sentences]


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
