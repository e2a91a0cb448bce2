"""A language model continues texts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.decode.beam import LengthPenalty, beam_search
from seq2seq.decode.sampling import End, NewToken, Sampling, sample
from seq2seq.decode.scorer import token_log_probs
from seq2seq.decode.stepper import GPTStepper
from seq2seq.decode.translator import MAX_SCORES
from seq2seq.decode.windows import window_start
from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import autocast, choose_device, evaluating
from seq2seq.model.folder import TrainedGPT, find_model, load_gpt
from seq2seq.text.ids import EOS
from seq2seq.text.lines import in_chunks
from seq2seq.text.stream import StopStrings, TextStream
from seq2seq.text.tokenizer import Tokenizer

STREAM_PROMPTS = 256  # prompts that `generate_stream` sorts by length together


@dataclass(frozen=True)
class Continuation:
    """What a model has written behind a prompt.

    Attributes:
        prompt: the prompt.
        text: what follows it, up to the stop string if there was one.
        ids: ids of the tokens drawn; eos is one of them, and what a stop string is made of.
        tokens: the pieces they stand for.
        token_log_probs: log-probability of each of them under the model, whatever settings it was drawn with, in nats.
        end: why it ends: the model ended it, a stop string was complete, or there was no room for more.
    """

    prompt: str
    text: str
    ids: list[int] = field(repr=False)
    tokens: list[str] = field(repr=False)
    token_log_probs: list[float] = field(repr=False)
    end: End

    @property
    def log_prob(self) -> float:
        """Summed log-probability of the tokens, in nats."""
        return sum(self.token_log_probs)

    def record(self) -> dict[str, Any]:
        """Returns what one line of `--format jsonl` holds."""
        return {
            "prompt": self.prompt,
            "text": self.text,
            "end": self.end,
            "log_prob": self.log_prob,
            "tokens": self.tokens,
            "token_log_probs": self.token_log_probs,
        }


class _Writing:
    """A continuation while it is written.

    Attributes:
        prompt: the prompt.
        start: its ids: those of its text, or eos, which stands between documents, where there is none.
        key: what decides about its random numbers.
        pieces: the text so far, in pieces as they became certain.
    """

    def __init__(self, prompt: str, tokenizer: Tokenizer, key: tuple[int, ...], stop: Sequence[str]) -> None:
        (row,) = tokenizer.encode_texts([prompt])
        ids = row[:-1].tolist()
        self.prompt, self.key = prompt, key
        self.start = ids or [EOS]
        self.pieces: list[str] = []
        self._tokenizer = tokenizer
        self._stream = TextStream(tokenizer.decode_text, ids)
        self._stops = StopStrings(stop)
        self._ids: list[int] = []
        self._log_probs: list[float] = []
        self._end: End = "length"

    def show(self, token: int) -> bool:
        """Takes the text of a new token and says whether it was the last."""
        self.pieces.append(self._stops.push(self._stream.push(token)))
        return self._stops.stopped

    def add(self, token: int, log_prob: float, end: End | None) -> None:
        """Takes a token, after its text."""
        self._ids.append(token)
        self._log_probs.append(log_prob)
        if end in ("eos", "length"):
            self.pieces += self._stops.push(self._stream.close()), self._stops.close()
        if end is not None:
            self._end = end

    def finished(self) -> Continuation:
        """Returns it as what it is now."""
        (pieces,) = self._tokenizer.target_pieces([np.array(self._ids)])
        return Continuation(self.prompt, "".join(self.pieces), self._ids, pieces, self._log_probs, self._end)


class Generator:
    """Continues texts with a language model.

    Args:
        trained: the model, on its device; `trained.settings.decode` says how the next token is chosen.
        batch_size: texts written at once at the most; None: as many as `decode.batch_tokens` allows.
        cached: whether the model keeps what it has computed for the tokens in its window; the text is the same.
    """

    def __init__(self, trained: TrainedGPT, batch_size: int | None = None, cached: bool = True) -> None:
        self.trained = trained
        self.model, self.decode = trained.model, trained.settings.decode
        self.tokenizer = trained.tokenizer
        self.cached = cached
        windows = self.decode.batch_tokens // self.model.settings.context
        # Filters and draws hold several copies of the scores, in double precision.
        self._rows = max(1, min(batch_size or windows, MAX_SCORES // (8 * self.tokenizer.target_vocab_size)))

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", batch_size: int | None = None, **decode: Any) -> "Generator":
        """Loads a model folder, or the best model of a run folder.

        Args:
            path: the folder.
            device: `auto`, `cpu`, `cuda`, `cuda:1` ...
            batch_size: see the class.
            **decode: replaces decode settings of the recipe, such as `temperature=0`; unknown names are errors.

        Raises:
            ModelError: there is no usable model, or it is no language model.
            RecipeError: a decode setting does not exist or has no valid value.
        """
        return cls(load_gpt(find_model(Path(path)), choose_device(device), decode), batch_size)

    def generate(
        self,
        prompts: Sequence[str],
        n_samples: int = 1,
        *,
        seed: int = 1,
        stop: Sequence[str] = (),
        max_new_tokens: int | None = None,
    ) -> list[list[Continuation]]:
        """Returns continuations of each prompt.

        What is drawn follows from the seed, the prompt and the number of the sample alone, in fp32 also its text: like
        prompts are continued alike, in whatever batch.

        Args:
            prompts: texts; one without tokens stands for the beginning of a text.
            n_samples: continuations of each prompt; with beam search the best ones, at most the beam size.
            seed: another seed draws others.
            stop: a text ends in front of the first of these.
            max_new_tokens: longest continuation in tokens; None: `decode.max_new_tokens`.

        Raises:
            Seq2SeqError: more continuations are wanted than there are beams, or a stop string is empty.
        """
        if isinstance(prompts, str):
            raise TypeError("generate() takes a list of prompts, not a single string")
        length = max_new_tokens or self.decode.max_new_tokens
        unique = dict.fromkeys(map(_clean, prompts))
        if self.decode.beam_size:
            found = self._search(list(unique), n_samples, stop, length)
        else:
            drawn = [[self._begin(prompt, seed, j, stop) for j in range(n_samples)] for prompt in unique]
            for batch in self._batches([writing for writings in drawn for writing in writings], self._rows):
                for _ in self._steps(batch, length):
                    pass
            found = [[writing.finished() for writing in writings] for writings in drawn]
        continuations = dict(zip(unique, found, strict=True))
        return [continuations[_clean(prompt)] for prompt in prompts]

    def generate_stream(
        self, prompts: Iterable[str], n_samples: int = 1, at_once: int = STREAM_PROMPTS, **options: Any
    ) -> Iterator[list[Continuation]]:
        """Yields the continuations of each prompt, `at_once` prompts after another; see `generate`."""
        for chunk in in_chunks(prompts, at_once):
            yield from self.generate(chunk, n_samples, **options)
            release_freed_memory()

    def stream(
        self,
        prompt: str,
        number: int = 0,
        *,
        seed: int = 1,
        stop: Sequence[str] = (),
        max_new_tokens: int | None = None,
    ) -> Iterator[str]:
        """Yields the text of one continuation as it is produced: whole characters, nothing that may be taken back.

        Together the pieces are the text of `generate([prompt], number + 1)[0][number]`. Beam search knows its text at
        the end only.

        Args:
            prompt: see `generate`.
            number: which of the prompt's samples.
            seed: see `generate`.
            stop: see `generate`.
            max_new_tokens: see `generate`.
        """
        if self.decode.beam_size:
            found = self.generate([prompt], number + 1, seed=seed, stop=stop, max_new_tokens=max_new_tokens)
            yield found[0][number].text
            return
        writing, shown = self._begin(_clean(prompt), seed, number, stop), 0
        for _ in self._steps([writing], max_new_tokens or self.decode.max_new_tokens):
            yield from filter(None, writing.pieces[shown:])
            shown = len(writing.pieces)

    def _begin(self, prompt: str, seed: int, number: int, stop: Sequence[str]) -> _Writing:
        """Returns a continuation of which nothing is written yet."""
        digest = int.from_bytes(blake2b(prompt.encode(), digest_size=8).digest(), "big")
        try:
            return _Writing(prompt, self.tokenizer, (seed, digest, number), stop)
        except ValueError as error:
            raise Seq2SeqError(str(error)) from error

    def _search(
        self, prompts: Sequence[str], n_best: int, stop: Sequence[str], length: int
    ) -> list[list[Continuation]]:
        """Returns the most probable continuations of each prompt that beam search finds."""
        beam_size = self.decode.beam_size
        if n_best > beam_size:
            raise Seq2SeqError(f"{n_best} continuations are more than the beam size, {beam_size}")
        found = {}
        beginnings = [self._begin(prompt, 0, 0, stop) for prompt in prompts]
        for batch in self._batches(beginnings, max(1, self._rows // beam_size)):
            for writing, hypotheses in zip(batch, self._search_batch(batch, n_best, length), strict=True):
                found[writing.prompt] = [self._written(writing.prompt, stop, *tokens) for tokens in hypotheses]
        return [found[prompt] for prompt in prompts]

    def _search_batch(
        self, batch: Sequence[_Writing], n_best: int, length: int
    ) -> list[list[tuple[list[int], list[float]]]]:
        """Returns ids and their log-probabilities of the best continuations of prompts that are searched together."""
        starts, device = [writing.start for writing in batch], self.trained.device
        with evaluating(self.model), autocast(self.trained.decode_precision, device):
            try:
                hypotheses = beam_search(
                    GPTStepper(self.model, starts, log_probs=True, cached=self.cached),
                    beam_size=self.decode.beam_size,
                    n_best=n_best,
                    max_lengths=[length] * len(batch),
                    bos=[start[-1] for start in starts],
                    eos=EOS,
                    forbidden=self.tokenizer.unspoken,
                    penalty=LengthPenalty("none"),
                    device=device,
                )
            except FloatingPointError as error:
                raise ModelError(f"{error}: the model's weights are unusable") from error
            ids = [[h.tokens if h.truncated else [*h.tokens, EOS] for h in found] for found in hypotheses]
            rows = [np.array([*start, *row]) for start, found in zip(starts, ids, strict=True) for row in found]
            log_probs = iter(token_log_probs(self.model, rows, self.decode.batch_tokens))
        return [[(row, next(log_probs)[-len(row) :]) for row in found] for found in ids]

    def _written(
        self, prompt: str, stop: Sequence[str], ids: Sequence[int], log_probs: Sequence[float]
    ) -> Continuation:
        """Returns the continuation that consists of some tokens."""
        writing = self._begin(prompt, 0, 0, stop)
        for i, (token, log_prob) in enumerate(zip(ids, log_probs, strict=True)):
            stopped = token != EOS and writing.show(token)
            last: End | None = "length" if i + 1 == len(ids) else None
            end: End | None = "eos" if token == EOS else "stop" if stopped else last
            writing.add(token, log_prob, end)
            if end is not None:
                break
        return writing.finished()

    def _batches(self, writings: Sequence[_Writing], rows: int) -> Iterator[list[_Writing]]:
        """Yields continuations that can be written together; the samples of a prompt stay side by side."""

        def filled(writing: _Writing) -> int:
            read = len(writing.start) - 1
            return read - window_start(read, self.model.settings.context)

        for _, group in groupby(sorted(writings, key=filled, reverse=True), key=filled):
            yield from in_chunks(group, rows)

    def _steps(self, writings: Sequence[_Writing], length: int) -> Iterator[None]:
        """Writes continuations of one batch, token by token; those of a prompt stand side by side."""
        groups = [list(group) for _, group in groupby(writings, key=lambda writing: writing.prompt)]
        steps = sample(
            GPTStepper(self.model, [group[0].start for group in groups], cached=self.cached),
            self._sampling,
            prompts=[group[0].start for group in groups],
            keys=[[writing.key for writing in group] for group in groups],
            max_lengths=[length] * len(groups),
            eos=EOS,
            forbidden=self.tokenizer.unspoken,
            stop=lambda i, j, tokens: groups[i][j].show(tokens[-1]),
            device=self.trained.device,
        )
        while tokens := self._computed(steps):
            for new in tokens:
                groups[new.prompt][new.sample].add(new.token, new.log_prob, new.end)
            yield

    def _computed(self, steps: Iterator[list[NewToken]]) -> list[NewToken]:
        """Returns the tokens of the next step; between two steps whoever reads them is in no mode of ours."""
        with evaluating(self.model), autocast(self.trained.decode_precision, self.trained.device):
            try:
                return next(steps, [])
            except FloatingPointError as error:
                raise ModelError(f"{error}: the model's weights are unusable") from error

    @property
    def _sampling(self) -> Sampling:
        decode = self.decode
        return Sampling(decode.repetition_penalty, decode.temperature, decode.top_k, decode.top_p, decode.min_p)


def _clean(prompt: str) -> str:
    """Returns a prompt without lone surrogates, which have no bytes."""
    return prompt.encode("utf-8", "replace").decode("utf-8")
