"""Raw text in, raw text out: one translation for each line, whatever the line holds."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import Hypothesis, LengthPenalty
from seq2seq.decode.context import encode, last, own_lengths, passages
from seq2seq.decode.stepper import MAX_SCORES, TransformerStepper
from seq2seq.errors import ModelError
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import autocast, choose_device, evaluating
from seq2seq.model.folder import TrainedModel, find_model, load_model
from seq2seq.text.ids import BOS, EOS, Ids
from seq2seq.text.lines import in_chunks, is_blank, one_line
from seq2seq.text.sentences import split_sentences

EXTRA_LENGTH = 10  # tokens that a translation may have beyond max_length_ratio times its source
QUEUE = 4  # times as many sentences as are decoded at once that must be left to make another group worthwhile
STREAM_LINES = 4096  # lines of a stream that are sorted by length together

Found = list[Hypothesis] | Exception  # of a sentence: the best hypotheses, or why there are none


@dataclass(frozen=True)
class Candidate:
    """One of the n best translations of a line: text, score, summed log-probability (nats), target ids."""

    text: str
    score: float
    log_prob: float
    tokens: list[int] = field(repr=False)


@dataclass(frozen=True)
class Translation:
    """The translation of one line.

    Attributes:
        text: the best translation; empty for a blank line.
        candidates: the n best, the best first; none for a blank line, one for a line that was split.
        parts: pieces that the line was split into because it was longer than any source the model was trained on.
        truncated: whether the best translation had to be ended at the longest length allowed.
        error: why there is no translation, the text being empty.
    """

    text: str
    candidates: list[Candidate]
    parts: int = 1
    truncated: bool = False
    error: Exception | None = None

    @property
    def reason(self) -> str:
        """The error in words, on one line; empty if there is none."""
        return "" if self.error is None else one_line(str(self.error) or type(self.error).__name__)

    def record(self, n_best: int = 1) -> dict[str, Any]:
        """Returns what one line of `--format jsonl` holds."""
        best = self.candidates[0] if self.candidates else None
        record: dict[str, Any] = {
            "translation": self.text,
            "score": best and best.score,
            "log_prob": best and best.log_prob,
            "split": self.parts > 1,
            "truncated": self.truncated,
            "failed": self.error is not None,
        }
        if self.error is not None:
            record["error"] = self.reason
        if n_best > 1:
            record["n_best"] = [
                {"translation": c.text, "score": c.score, "log_prob": c.log_prob} for c in self.candidates
            ]
        return record


BLANK = Translation("", [])


class Translator:
    """Translates lines of text with a trained model.

    Args:
        trained: the model, on its device; `trained.settings.decode` says how to search. Lines longer than any it was
            trained on are split.
        batch_size: sentences translated at once at the most; None: as many as `decode.batch_tokens` allows.
        target_language: what a model of several languages translates into; None: `data.target_language`.

    Attributes:
        context: lines in front of a line that it is translated with, if they are of the same document.
        tell: is called now and then with the share of the present lines, from 0 to 1, whose search has ended.

    Raises:
        DataError: the model does not translate into the language.
        ModelError: `decode.shortlist` asks for a shortlist, and the model has none.
    """

    tell: Callable[[float], None] = staticmethod(lambda share: None)

    def __init__(
        self, trained: TrainedModel, batch_size: int | None = None, target_language: str | None = None
    ) -> None:
        self.trained = trained
        self.language = trained.target_language(target_language)
        self.source_language = trained.source_language(self.language)
        self.tokenizer = trained.tokenizer
        self.context = trained.settings.data.context
        self.decode = trained.settings.decode
        self.penalty = LengthPenalty(self.decode.length_norm, self.decode.length_penalty)
        self.batch_size = batch_size
        self._searched = self._to_search = 0  # sources of the present lines
        self.shortlist = trained.shortlist if self.decode.shortlist else None
        if self.decode.shortlist and not self.shortlist:
            raise ModelError(
                "the model has no shortlist (decode.shortlist); learn one from parallel text with\n"
                "  seq2seq-shortlist MODEL --source FILE --target FILE\nor translate with --no-shortlist"
            )

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        batch_size: int | None = None,
        target_language: str | None = None,
        **decode: Any,
    ) -> "Translator":
        """Loads a model folder, or the best model of a run folder.

        Args:
            path: the folder.
            device: `auto`, `cpu`, `cuda`, `cuda:1` ...
            batch_size: see the class.
            target_language: see the class.
            **decode: replaces decode settings of the recipe, such as `beam_size=1`; unknown names are errors.

        Raises:
            ModelError: there is no usable model.
            RecipeError: a decode setting does not exist or has no valid value.
            DataError: the model does not translate into the language.
        """
        trained = load_model(find_model(Path(path)), choose_device(device), decode)
        trained.prepare()
        return cls(trained, batch_size, target_language)

    def translate(self, lines: Sequence[str]) -> list[str]:
        """Returns one translation for each line; of a model with context the lines are a text."""
        if isinstance(lines, str):
            raise TypeError("translate() takes a list of lines, not a single string")
        return [translation.text for translation in self.translate_all(lines)]

    def translate_stream(
        self, lines: Iterable[str], n_best: int = 1, at_once: int = STREAM_LINES
    ) -> Iterator[Translation]:
        """Yields one translation for each line, `at_once` lines after another; see `translate_all`."""
        before: list[str] = []
        for chunk in in_chunks(lines, at_once):
            yield from self.translate_all(chunk, n_best, before)
            before = last([*before, *chunk], self.context)
            release_freed_memory()

    def translate_all(self, lines: Sequence[str], n_best: int = 1, before: Sequence[str] = ()) -> list[Translation]:
        """Returns one translation with scores for each line, in order; like lines are translated once.

        Args:
            lines: raw text; a line break inside a line counts as a space. To a model with context a blank line is the
                end of a document.
            n_best: candidates for each line, at most the beam size.
            before: lines in front of them, of which the last `context` matter.

        Raises:
            Exception: what the first line that could not be translated, not even alone, has met.
        """
        translations = self.translate_each(lines, n_best, before)
        for translation in translations:
            if translation.error is not None:
                raise translation.error
        return translations

    def translate_each(self, lines: Sequence[str], n_best: int = 1, before: Sequence[str] = ()) -> list[Translation]:
        """Returns what `translate_all` does, but a line that cannot be translated is empty and says why."""
        # Lone surrogates have no bytes.
        before, lines = ([line.encode("utf-8", "replace").decode("utf-8") for line in part] for part in (before, lines))
        rows = passages(lines, before, self.context)
        unique = list(dict.fromkeys(row for row in rows if not is_blank(row.line)))
        encoded = encode(self.trained, unique, self.language)
        sources = [self._parts(row.line, ids) for row, ids in zip(unique, encoded, strict=True)]
        found = self._search([ids for parts in sources for ids in parts], n_best)
        ends = np.cumsum([len(parts) for parts in sources], dtype=int)
        pieces = [found[end - len(parts) : end] for parts, end in zip(sources, ends, strict=True)]
        translations = {row: self._join(parts) for row, parts in zip(unique, pieces, strict=True)}
        return [translations.get(row, BLANK) for row in rows]

    def _parts(self, line: str, ids: Ids) -> list[Ids]:
        """Returns the ids of a line, in several parts if it is longer than what the model has seen."""
        if len(ids) <= self.trained.max_source_length:
            return [ids]
        sentences = [text.strip() for text in split_sentences(line, self.source_language) if not is_blank(text)]
        encoded = self.tokenizer.encode_source(sentences, self.language)
        bare = self.tokenizer.tag_length + 1  # tokens of a source without text
        return [part for ids in encoded if len(ids) > bare for part in self._cut(ids)] or [
            np.append(ids[: bare - 1], ids[-1:])
        ]

    def _cut(self, ids: Ids) -> list[Ids]:
        """Cuts a sentence without ends that is still too long, between words if it can."""
        start = self.tokenizer.tag_length
        tag, ids = ids[:start], ids[start:]
        limit = max(self.trained.max_source_length - start, 2)
        parts = []
        while len(ids) > limit:
            breaks = [i for i in range(limit // 2, limit) if self.tokenizer.starts_word(ids[i])]
            cut = breaks[-1] if breaks else limit - 1
            parts.append(np.concatenate([tag, ids[:cut], [EOS]]).astype(ids.dtype))
            ids = ids[cut:]
        return [*parts, np.concatenate([tag, ids])]

    def _search(self, sources: Sequence[Ids], n_best: int) -> list[Found]:
        """Searches for each source: those of like length after one another, a new one where another is done."""
        # Many short sentences are few source tokens, but each of their beams is a row of the whole vocabulary.
        rows = max(1, MAX_SCORES // (self.decode.beam_size * self.tokenizer.target_vocab_size))
        rows = min(rows, self.batch_size or rows)
        found: list[Found] = [[] for _ in sources]
        lengths = [len(ids) for ids in sources]
        self._searched, self._to_search = 0, len(sources)
        for chosen, at_once in _queues(lengths, self.decode.batch_tokens, rows, waiting=not self.shortlist):
            hypotheses = self._search_in_halves([sources[i] for i in chosen], at_once, n_best)
            for i, best in zip(chosen, hypotheses, strict=True):
                found[i] = best
        return found

    def _search_in_halves(self, sources: Sequence[Ids], at_once: int, n_best: int) -> list[Found]:
        """Searches for sources; where that fails, for one half after the other, in the end for each alone.

        So a sentence that cannot be translated harms no other, and where memory is short less is computed at once.
        """
        before = self._searched
        try:
            found = self._search_queue(sources, at_once, n_best)
        except Exception as error:
            _forget(error)
            failure = error
        else:
            self._count(before + len(sources))
            return [*found]
        release_freed_memory()
        if len(sources) == 1:
            self._count(before + 1)
            return [failure]
        self._searched, half = before, len(sources) // 2
        at_once = min(half, -(-at_once // 2))
        return [
            one for part in (sources[:half], sources[half:]) for one in self._search_in_halves(part, at_once, n_best)
        ]

    def _count(self, searched: int) -> None:
        """Tells how many sources of the present lines have been searched for."""
        self._searched = searched
        self.tell(searched / self._to_search)

    def _search_queue(self, sources: Sequence[Ids], at_once: int, n_best: int) -> list[list[Hypothesis]]:
        """Searches for sources, the longest first, of which `at_once` are decoded together."""
        choice = self.shortlist.choose(sources) if self.shortlist else None
        lengths = own_lengths(self.tokenizer, sources)
        limits = [int(self.decode.max_length_ratio * length) + EXTRA_LENGTH for length in lengths]
        stepper = TransformerStepper(self.trained.model, sources, at_once, choice)

        def refill(places: list[int]) -> None:
            self._count(self._searched + len(places))
            stepper.refill(places)

        with evaluating(self.trained.model), autocast(self.trained.decode_precision, self.trained.device):
            try:
                found = beam_search(
                    stepper,
                    self._search_settings(n_best),
                    max_lengths=limits,
                    bos=BOS,
                    eos=EOS,
                    forbidden=self.tokenizer.unspoken,
                    refill=refill,
                    device=self.trained.device,
                )
            except FloatingPointError as error:
                raise ModelError(f"{error}: the model's weights are unusable") from error
        if choice is None:
            return found
        return [[replace(one, tokens=choice.ids[one.tokens].tolist()) for one in found_of] for found_of in found]

    def _search_settings(self, n_best: int) -> Search:
        decode = self.decode
        return Search(decode.beam_size, n_best, decode.min_length, self.penalty)

    def _join(self, found: Sequence[Found]) -> Translation:
        """Makes one translation of the hypotheses for the parts of a line."""
        parts: list[list[Hypothesis]] = []
        for hypotheses in found:
            if isinstance(hypotheses, Exception):
                return Translation("", [], len(found), error=hypotheses)
            parts.append(hypotheses)
        if len(parts) == 1:
            texts = self.tokenizer.decode_target([hypothesis.tokens for hypothesis in parts[0]])
            candidates = [
                Candidate(text, hypothesis.score, hypothesis.log_prob, hypothesis.tokens)
                for text, hypothesis in zip(texts, parts[0], strict=True)
            ]
            return Translation(texts[0], candidates, truncated=parts[0][0].truncated)
        best = [hypotheses[0] for hypotheses in parts]
        text = " ".join(filter(None, self.tokenizer.decode_target([hypothesis.tokens for hypothesis in best])))
        tokens = [token for hypothesis in best for token in hypothesis.tokens]
        log_prob = sum(hypothesis.log_prob for hypothesis in best)
        score = log_prob / self.penalty(len(tokens) + len(best))
        truncated = any(hypothesis.truncated for hypothesis in best)
        return Translation(text, [Candidate(text, score, log_prob, tokens)], len(parts), truncated)


def _forget(error: BaseException) -> None:
    """Frees what the frames of an error hold: tensors that the next try has no room beside."""
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__


def _queues(lengths: Sequence[int], tokens: int, rows: int, waiting: bool = True) -> Iterator[tuple[list[int], int]]:
    """Yields groups of indices, the longest first, each with the number that is decoded at once.

    That number follows from the longest of a group. A group ends where twice as many of those left fit at once, if
    there are so many that it is worth waiting for the last ones of the group.

    Args:
        lengths: tokens of each source.
        tokens: that are decoded at once at the most, padding included (a longer source comes alone).
        rows: sources that are decoded at once at the most.
        waiting: whether there may be more in a group than are decoded at once. A shortlist holds for few sentences.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        at_once, end = min(rows, max(1, tokens // lengths[order[start]])), start + 1
        while end < len(order) and (waiting or end - start < at_once):
            left = len(order) - end
            more = min(rows, left, tokens // lengths[order[end]])
            if more >= 2 * at_once and left >= QUEUE * at_once:
                break
            end += 1
        yield order[start:end], at_once
        start = end
