"""Translating a text of any length, line by line, into a file or a stream."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Protocol

import torch

from seq2seq import __version__
from seq2seq.decode.context import last
from seq2seq.decode.tally import State, Tally
from seq2seq.decode.token_scores import TokenScores
from seq2seq.decode.translation import Translation
from seq2seq.decode.translator import STREAM_LINES, Translator
from seq2seq.errors import DataError, Seq2SeqError
from seq2seq.memory import release_freed_memory
from seq2seq.text.inputs import TextInput
from seq2seq.text.lines import json_line

CHUNK_BYTES = 2**22  # of text that is held at once, a longer line excepted
HOPELESS = 100  # lines that fail, none having succeeded, after which no other is tried

Write = Callable[[bytes, Mapping[str, Any]], None]  # takes a block of lines, and what is needed to go on behind it
Align = Callable[[Sequence[str], Sequence[Translation]], Iterable[Any]]  # see `alignment.OutputAligner`
Score = Callable[[Sequence[Translation]], Iterable[TokenScores]]  # see `token_scores.TokenScorer`


class Watcher(Protocol):
    """Who wants to know how it goes."""

    def show(self, lines: float, tokens: int, share: float | None) -> None:
        """Is told, often, how many lines are done, with how many tokens, and which share of the input."""

    def failed(self, line: int, reason: str) -> None:
        """Is told of a line, counted from 1, that could not be translated."""


class BulkTranslation:
    """Translates all lines of an input, in chunks, in bounded memory: one line out for each line in.

    A line that cannot be translated becomes an empty one and is counted.

    Args:
        translator: see there.
        source: the input.
        n_best: candidates for each line.
        jsonl: whether a JSON object is written for each line instead of text.
        at_once: lines of a chunk, whose sentences are sorted by length together.
        align: aligns translations with the lines of a chunk and returns what the field `alignment` of each holds; where
            that is None there is none.
        prefixes: with what the translation of each line begins; empty: with anything. None: all are empty.
        score: returns for the translations of a chunk what their tokens score, which goes into the objects.

    Attributes:
        tally: what has become of the lines so far.
    """

    def __init__(
        self,
        translator: Translator,
        source: TextInput,
        n_best: int,
        jsonl: bool,
        at_once: int = STREAM_LINES,
        align: Align | None = None,
        prefixes: Iterator[str] | None = None,
        score: Score | None = None,
    ) -> None:
        self._translator, self._source = translator, source
        self._n_best, self._jsonl, self._at_once = n_best, jsonl, at_once
        self._align, self._prefixes, self._score = align, prefixes, score
        self.tally = Tally()
        self._first_error: Exception | None = None

    def go_on(self, state: Mapping[str, Any]) -> bool:
        """Goes on behind what another process has done; says whether the input begins with what that has read."""
        before = State.of(state)
        self.tally = before.tally
        return self._source.skip(before.read)

    def run(self, write: Write, watcher: Watcher) -> None:
        """Translates what is left of the input.

        Args:
            write: gets the lines of each chunk, and the state from which `go_on` goes on behind it.
            watcher: is told how it goes.

        Raises:
            Exception: what the first of the lines has met, if none could be translated.
        """
        share = self._source.share
        before = self._source.before
        held = b""  # lines of which none could be translated: of nothing but them no output is made
        for chunk in self._source.chunks(self._at_once, CHUNK_BYTES):
            earlier, share = share, self._source.share
            self._translator.tell = _teller(watcher, self.tally, len(chunk), earlier, share)
            found = self._translator.translate_each(chunk, self._n_best, before, self._begins(len(chunk)))
            before = last([*before, *chunk], self._translator.context)
            aligned = self._align(chunk, found) if self._align else repeat(None)
            scored = self._score(found) if self._score else repeat(None)
            held += b"".join([self._line(*each, watcher) for each in zip(found, aligned, scored, strict=False)])
            self._refuse_failure(HOPELESS)
            if self.tally.translated or not self.tally.failed:
                write(held, self._state())
                held = b""
            watcher.show(self.tally.lines, self.tally.tokens, share)
            release_freed_memory()
        self._refuse_failure(1)
        if self._prefixes and (more := sum(1 for _ in self._prefixes)):
            lines = self.tally.lines
            raise DataError(f"there are {lines + more:,} prefixes, more than the {lines:,} lines of the input")
        if not self.tally.lines:
            write(b"", self._state())

    def _begins(self, n: int) -> list[str]:
        """Returns with what the translations of the next lines begin.

        Raises:
            DataError: there are too few prefixes.
        """
        found = list(islice(self._prefixes, n)) if self._prefixes else [""] * n
        if len(found) < n:
            before = self.tally.lines
            raise DataError(
                f"--prefixes: there are {before + len(found):,} for {before + n:,} lines or more of the input; "
                "each line needs one, which may be blank"
            )
        return found

    def _line(self, translation: Translation, alignment: Any, scores: TokenScores | None, watcher: Watcher) -> bytes:
        """Returns a line of the output."""
        self.tally.add(translation)
        if translation.error is not None:
            self._first_error = self._first_error or translation.error
            watcher.failed(self.tally.lines, translation.reason)
        record = translation.record(self._n_best) if self._jsonl else None
        if record and alignment is not None:
            record["alignment"] = alignment
        if record and scores is not None:
            record |= scores.record()
        text = json_line(record) if record else translation.text
        return text.encode("utf-8", "replace") + b"\n"

    def _state(self) -> dict[str, Any]:
        return State(start=self._source.start, read=self._source.place, tally=self.tally).model_dump()

    def _refuse_failure(self, n: int) -> None:
        """Gives up if lines, this many or more, have failed and none has not."""
        if self.tally.failed >= n and not self.tally.translated:
            raise self._first_error or Seq2SeqError("none of the lines could be translated")


def describe_job(
    translator: Translator, hashes: Sequence[str], n_best: int, jsonl: bool, token_scores: bool
) -> dict[str, Any]:
    """Returns all that decides the output beside the input, by name.

    In fp32 the text of a translation does not depend on what is computed beside it; its scores do, by rounding.

    Args:
        translator: see there.
        hashes: of the model, and of the others that translate together with it.
        n_best: candidates for each line.
        jsonl: whether a JSON object is written for each line.
        token_scores: whether it holds the scores of tokens.
    """
    trained, decode = translator.trained, translator.decode.model_dump(mode="json")
    precision = "int8" if decode["precision"] == "int8" else trained.decode_precision
    rounding = {
        "batch_tokens": decode.pop("batch_tokens"),
        "batch_size": translator.searcher.batch_size,
        "threads": torch.get_num_threads(),
    }
    job = {
        "model": hashes[0],
        "seq2seq": __version__,
        "format": "jsonl" if jsonl else "text",
        "n_best": n_best,
        "target_language": translator.language,
        **decode,
        "precision": precision,
        "device": trained.device.type,
    }
    if len(hashes) > 1:
        job["others"] = list(hashes[1:])
    if token_scores:
        job["token_scores"] = True
    if decode["search"] == "sampling":
        job["seed"] = translator.searcher.seed
    if translator.steering.is_needed:
        job["steering"] = translator.steering.fingerprint
    if translator.guard:
        job["guard"] = True
    return job | rounding if jsonl or precision != "fp32" else job


def _teller(
    watcher: Watcher, tally: Tally, n_lines: int, before: float | None, share: float | None
) -> Callable[[float], None]:
    """Returns what passes on how much of a chunk is done; `before` and `share`: of the input, without and with it."""
    lines, tokens = tally.lines, tally.tokens

    def tell(part: float) -> None:
        whole = None if before is None or share is None else before + part * (share - before)
        watcher.show(lines + part * n_lines, tokens, whole)

    return tell
