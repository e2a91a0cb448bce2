"""A language model continues texts."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import LengthPenalty
from seq2seq.decode.sampling import End, Sampling, sample
from seq2seq.decode.scorer import token_log_probs
from seq2seq.decode.stepper import MAX_SCORES, GPTStepper
from seq2seq.decode.windows import window_start
from seq2seq.decode.writing import Continuation, Prompt, Writing
from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import autocast, choose_device, evaluating
from seq2seq.model.folder import TrainedGPT, find_model, load_gpt
from seq2seq.text.ids import EOS
from seq2seq.text.lines import encodable, in_chunks

STREAM_PROMPTS = 256  # prompts that `generate_stream` sorts by length together


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
        self._device, self._precision = trained.device, trained.decode_precision
        # Filters and draws hold several copies of the scores, in double precision.
        rows = max(1, MAX_SCORES // (8 * self.tokenizer.target_vocab_size))
        self._rows = min(batch_size or rows, rows)

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
        trained = load_gpt(find_model(Path(path)), choose_device(device), decode)
        trained.prepare()
        return cls(trained, batch_size)

    def generate(
        self,
        prompts: Sequence[str],
        n_samples: int = 1,
        *,
        seed: int = 1,
        stop: Sequence[str] = (),
        begin: bool = False,
        max_new_tokens: int | None = None,
    ) -> list[list[Continuation]]:
        """Returns continuations of each prompt.

        What is drawn follows from the seed, the prompt and the number of the sample alone, in fp32 also its text: like
        prompts are continued alike, in whatever batch.

        Args:
            prompts: texts; an empty one stands for the beginning of a text.
            n_samples: continuations of each prompt; with beam search the best ones, at most the beam size.
            seed: another seed draws others.
            stop: a text ends in front of the first of these; beam search finds the best texts first and ends them then.
            begin: whether each prompt is the beginning of a text, rather than from the midst of one.
            max_new_tokens: longest continuation in tokens; None: `decode.max_new_tokens`.

        Raises:
            Seq2SeqError: more continuations are wanted than there are beams, or a stop string is empty.
        """
        if isinstance(prompts, str):
            raise TypeError("generate() takes a list of prompts, not a single string")
        _check_stops(stop)
        length = max_new_tokens or self.decode.max_new_tokens
        cleaned = [encodable(prompt) for prompt in prompts]
        unique = self._prompts(list(dict.fromkeys(cleaned)), begin)
        if self.decode.beam_size:
            found = self._search(unique, n_samples, stop, length)
        else:
            drawn = [
                [Writing(prompt, self.tokenizer, _key(seed, prompt, j), stop) for j in range(n_samples)]
                for prompt in unique
            ]
            for batch in self._batches([writing for writings in drawn for writing in writings], length):
                # Entered here once: `autocast` forgets the weights it has rounded when it is left.
                with self._evaluating():
                    for _ in self._steps(batch, length):
                        pass
            found = [[writing.finished() for writing in writings] for writings in drawn]
        continuations = {prompt.text: texts for prompt, texts in zip(unique, found, strict=True)}
        return [continuations[prompt] for prompt in cleaned]

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
        begin: bool = False,
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
            begin: see `generate`.
            max_new_tokens: see `generate`.
        """
        _check_stops(stop)
        if self.decode.beam_size:
            found = self.generate([prompt], number + 1, stop=stop, begin=begin, max_new_tokens=max_new_tokens)
            yield found[0][number].text
            return
        (start,) = self._prompts([encodable(prompt)], begin)
        writing, shown = Writing(start, self.tokenizer, _key(seed, start, number), stop, at_once=True), 0
        for _ in self._steps([writing], max_new_tokens or self.decode.max_new_tokens):
            yield from filter(None, writing.pieces[shown:])
            shown = len(writing.pieces)

    def _prompts(self, texts: Sequence[str], begin: bool) -> list[Prompt]:
        """Returns what the model reads of some texts."""
        rows = [row[:-1].tolist() for row in self.tokenizer.encode_texts(texts)]
        return [Prompt(text, [EOS, *row] if begin or not row else row) for text, row in zip(texts, rows, strict=True)]

    def _search(
        self, prompts: Sequence[Prompt], n_best: int, stop: Sequence[str], length: int
    ) -> list[list[Continuation]]:
        """Returns the most probable continuations of each prompt that beam search finds."""
        beam_size = self.decode.beam_size
        if n_best > beam_size:
            raise Seq2SeqError(
                f"{n_best} continuations are more than the beam size, {beam_size}: ask for fewer or raise it"
            )
        found = {}
        ordered = sorted(prompts, key=self._filled)
        for _, group in groupby(ordered, key=self._filled):
            for batch in in_chunks(group, max(1, self._rows // beam_size)):
                for prompt, hypotheses in zip(batch, self._search_batch(batch, n_best, length), strict=True):
                    found[prompt.text] = [self._written(prompt, stop, *tokens) for tokens in hypotheses]
        return [found[prompt.text] for prompt in prompts]

    def _search_batch(
        self, batch: Sequence[Prompt], n_best: int, length: int
    ) -> list[list[tuple[list[int], list[float]]]]:
        """Returns ids and their log-probabilities of the best continuations of prompts that are searched together."""
        starts = [prompt.ids for prompt in batch]
        with self._evaluating():
            hypotheses = beam_search(
                GPTStepper(self.model, starts, cached=self.cached),
                Search(self.decode.beam_size, n_best, penalty=LengthPenalty("none"), forced_end_counts=False),
                max_lengths=[length] * len(batch),
                bos=[start[-1] for start in starts],
                eos=EOS,
                forbidden=self.tokenizer.unspoken,
                device=self._device,
            )
            ids = [[h.tokens if h.truncated else [*h.tokens, EOS] for h in found] for found in hypotheses]
            rows = [np.array([*start, *row]) for start, found in zip(starts, ids, strict=True) for row in found]
            log_probs = iter(token_log_probs(self.model, rows, self.decode.batch_tokens))
        return [[(row, next(log_probs)[-len(row) :]) for row in found] for found in ids]

    def _written(
        self, prompt: Prompt, stop: Sequence[str], ids: Sequence[int], log_probs: Sequence[float]
    ) -> Continuation:
        """Returns the continuation that consists of some tokens."""
        writing = Writing(prompt, self.tokenizer, (), stop)
        for i, (token, log_prob) in enumerate(zip(ids, log_probs, strict=True)):
            stopped = token != EOS and writing.show(token)
            last: End | None = "length" if i + 1 == len(ids) else None
            end: End | None = "eos" if token == EOS else "stop" if stopped else last
            writing.add(token, log_prob, end)
            if end is not None:
                break
        return writing.finished()

    def _filled(self, prompt: Prompt) -> int:
        """Returns how many tokens of a prompt but its last are in the window."""
        read = len(prompt.ids) - 1
        return read - window_start(read, self.model.settings.context)

    def _batches(self, writings: Sequence[Writing], length: int) -> Iterator[list[Writing]]:
        """Yields continuations that are written together; the samples of a prompt stay side by side.

        The longer prompts of a batch are read on while the shorter ones are continued, for at most as many tokens as
        are to be written.
        """
        batch: list[Writing] = []
        for writing in sorted(writings, key=lambda writing: self._filled(writing.prompt)):
            filled = self._filled(writing.prompt)
            tokens = (len(batch) + 1) * min(self.model.settings.context, filled + 1 + length)
            full = len(batch) == self._rows or tokens > self.decode.batch_tokens
            if batch and (full or filled - self._filled(batch[0].prompt) > length):
                yield batch
                batch = []
            batch.append(writing)
        if batch:
            yield batch

    def _steps(self, writings: Sequence[Writing], length: int) -> Iterator[None]:
        """Writes continuations of one batch, token by token; those of a prompt stand side by side."""
        groups = [list(group) for _, group in groupby(writings, key=lambda writing: writing.prompt)]
        prompts = [group[0].prompt.ids for group in groups]
        starts = [window_start(len(ids) - 1, self.model.settings.context) for ids in prompts]
        common = min(len(ids) - start for ids, start in zip(prompts, starts, strict=True))
        ends = [start + common for start in starts]  # how far all are read before the first step
        read = [ids[start:end] for ids, start, end in zip(prompts, starts, ends, strict=True)]
        steps = sample(
            GPTStepper(self.model, read, cached=self.cached),
            self._sampling,
            prompts=[ids[:end] for ids, end in zip(prompts, ends, strict=True)],
            keys=[[writing.key for writing in group] for group in groups],
            max_lengths=[length] * len(groups),
            given=[ids[end:] for ids, end in zip(prompts, ends, strict=True)],
            eos=EOS,
            forbidden=self.tokenizer.unspoken,
            stop=lambda i, j, tokens: groups[i][j].show(tokens[-1]),
            device=self._device,
        )
        while True:
            with self._evaluating():  # between two steps whoever reads them is in no mode of ours
                tokens = next(steps, None)
            if tokens is None:
                return
            for new in tokens:
                groups[new.prompt][new.sample].add(new.token, new.log_prob, new.end)
            yield

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Lets the model compute in the precision of decoding, without gradients.

        Raises:
            ModelError: what it computes is not finite.
        """
        try:
            with evaluating(self.model), autocast(self._precision, self._device):
                yield
        except FloatingPointError as error:
            raise ModelError(f"{error}: the model's weights are unusable") from error

    @property
    def _sampling(self) -> Sampling:
        decode = self.decode
        return Sampling(decode.repetition_penalty, decode.temperature, decode.top_k, decode.top_p, decode.min_p)


def _key(seed: int, prompt: Prompt, number: int) -> tuple[int, ...]:
    """Returns what decides about the random numbers of a prompt's sample."""
    return seed, int.from_bytes(blake2b(prompt.text.encode(), digest_size=8).digest(), "big"), number


def _check_stops(stop: Sequence[str]) -> None:
    """Refuses stop strings that would stop everything.

    Raises:
        Seq2SeqError: one is empty.
    """
    if isinstance(stop, str):
        raise TypeError("stop takes a list of strings, not a single string")
    if not all(stop):
        raise Seq2SeqError("a stop string must have a character")
