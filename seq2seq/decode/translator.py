"""Raw text in, raw text out: one translation for each line, whatever the line holds."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2seq.config import DecodeSettings
from seq2seq.decode.beams import Hypothesis
from seq2seq.decode.confidence import confidence_of, doubt
from seq2seq.decode.constraints import Demand
from seq2seq.decode.context import Passage, encode, last, passages
from seq2seq.decode.forbidden import stands_in
from seq2seq.decode.guard import Guard, second_try
from seq2seq.decode.mbr import choose, posterior
from seq2seq.decode.searcher import Found, Searcher
from seq2seq.decode.steering import PLAIN, PhraseBook, Steering, Wish
from seq2seq.decode.translation import BLANK, Candidate, Searched, Translation
from seq2seq.errors import Seq2SeqError
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import choose_device
from seq2seq.model.folder import TrainedModel, find_model, load_model
from seq2seq.text.ids import EOS, Ids
from seq2seq.text.lines import encodable, in_chunks, is_blank
from seq2seq.text.sentences import split_sentences

STREAM_LINES = 4096  # lines of a stream that are sorted by length together
PLAIN_DEMAND = Demand()


class _Row(NamedTuple):
    """A line that is to be translated, with the lines in front of it and what its translation begins with."""

    passage: Passage
    prefix: str


class _Part(NamedTuple):
    """A line, or a piece of one that is too long, as search sees it."""

    ids: Ids
    demand: Demand


class Translator:
    """Translates lines of text with a trained model, or with several that have the same tokenizer.

    Args:
        trained: the model, on its device; `trained.settings.decode` says how to search. Lines longer than any it was
            trained on are split.
        batch_size: sentences translated at once at the most; None: as many as `decode.batch_tokens` allows.
        target_language: what a model of several languages translates into; None: `data.target_language`.
        others: models whose probabilities are averaged with its own.
        steering: what is asked of all translations.
        guard: whether translations that seem wrong are flagged, and tried once more; see `guard`.
        seed: of samples; None: that of the recipe.

    Attributes:
        context: lines in front of a line that it is translated with, if they are of the same document.
        calibration: by which translations get a confidence: that of the model, if it holds for how is translated.
        doubt: why it does not hold; empty if it does, and if there is none.
        tell: is called now and then with the share of the present lines, from 0 to 1, whose search has ended.

    Raises:
        DataError: the model does not translate into the language.
        ModelError: `decode.shortlist` asks for a shortlist, and the model has none; the models do not go together.
        Seq2SeqError: sampling cannot keep to what is asked.
    """

    tell: Callable[[float], None] = staticmethod(lambda share: None)

    def __init__(
        self,
        trained: TrainedModel,
        batch_size: int | None = None,
        target_language: str | None = None,
        others: Sequence[TrainedModel] = (),
        steering: Steering = PLAIN,
        guard: bool = False,
        seed: int | None = None,
    ) -> None:
        self.trained = trained
        self.language = trained.target_language(target_language)
        self.source_language = trained.source_language(self.language)
        self.tokenizer = trained.tokenizer
        self.context = trained.settings.data.context
        self.decode = trained.settings.decode
        self.steering = steering
        if steering.is_needed and (self.decode.search == "sampling" or self.decode.beam_groups > 1):
            raise Seq2SeqError("a glossary, forbidden words and text to keep need plain beam search")
        own = trained.calibration
        self.doubt = doubt(own, self.language, self.decode, 1 + len(others)) if own else ""
        self.calibration = None if self.doubt else own
        self.searcher = Searcher([trained, *others], batch_size, steering.forbidden, seed)
        self.guard = None
        if guard:
            same = self.language == self.source_language
            self.guard = Guard(same_language=same, protect="exact" if "number" in steering.keep else "any")

    @property
    def most(self) -> int:
        """Translations of a line that are looked at, which is the most that can be asked for."""
        decode = self.decode
        if decode.search == "sampling":
            return decode.candidates
        return decode.beam_size if decode.mbr == "none" else min(decode.candidates, decode.beam_size)

    @cached_property
    def _second(self) -> Searcher:
        """What tries again that seems wrong."""
        first = self.searcher
        return Searcher(first.models, first.batch_size, first.forbidden, first.seed, second_try(self.decode))

    @cached_property
    def _phrases(self) -> PhraseBook:
        return PhraseBook(self.tokenizer, self.searcher.pieces)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        batch_size: int | None = None,
        target_language: str | None = None,
        others: Sequence[str | Path] = (),
        steering: Steering = PLAIN,
        guard: bool = False,
        seed: int | None = None,
        **decode: Any,
    ) -> "Translator":
        """Loads a model folder, or the best model of a run folder.

        Args:
            path: the folder.
            device: `auto`, `cpu`, `cuda`, `cuda:1` ...
            batch_size: see the class.
            target_language: see the class.
            others: folders of models that translate together with it.
            steering: see the class.
            guard: see the class.
            seed: see the class.
            **decode: replaces decode settings of the recipe, such as `beam_size=1`; unknown names are errors.

        Raises:
            ModelError: there is no usable model.
            RecipeError: a decode setting does not exist or has no valid value.
            DataError: the model does not translate into the language.
        """
        models = [load_model(find_model(Path(each)), choose_device(device), decode) for each in (path, *others)]
        for model in models:
            model.prepare()
        return cls(models[0], batch_size, target_language, models[1:], steering, guard, seed)

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

    def translate_all(
        self, lines: Sequence[str], n_best: int = 1, before: Sequence[str] = (), prefixes: Sequence[str] = ()
    ) -> list[Translation]:
        """Returns one translation with scores for each line, in order; like lines are translated once.

        Args:
            lines: raw text; a line break inside a line counts as a space. To a model with context a blank line is the
                end of a document.
            n_best: candidates for each line, at most the beam size, or what `mbr` chooses among.
            before: lines in front of them, of which the last `context` matter.
            prefixes: for each line the text that its translation begins with; empty: none for any.

        Raises:
            Exception: what the first line that could not be translated, not even alone, has met.
        """
        translations = self.translate_each(lines, n_best, before, prefixes)
        for translation in translations:
            if translation.error is not None:
                raise translation.error
        return translations

    def translate_each(
        self, lines: Sequence[str], n_best: int = 1, before: Sequence[str] = (), prefixes: Sequence[str] = ()
    ) -> list[Translation]:
        """Returns what `translate_all` does, but a line that cannot be translated is empty and says why.

        Raises:
            Seq2SeqError: there are prefixes, and translations are drawn.
        """
        if any(prefixes) and self.decode.search == "sampling":
            raise Seq2SeqError("prefixes need beam search: what is drawn begins as it likes")
        before, lines = (list(map(encodable, part)) for part in (before, lines))
        found_rows = passages(lines, before, self.context)
        rows = [_Row(*each) for each in zip(found_rows, prefixes or [""] * len(lines), strict=True)]
        unique = list(dict.fromkeys(row for row in rows if not is_blank(row.passage.line)))
        encoded = encode(self.trained, [row.passage for row in unique], self.language)
        parts = [self._asked(row, ids) for row, ids in zip(unique, encoded, strict=True)]
        self.searcher.tell = self.tell
        found = self._search(self.searcher, parts, n_best)
        if self.guard:
            lines = [row.passage.line for row in unique]
            found = self.guard.guarded(
                lines, found, lambda wrong: self._search(self._second, [parts[i] for i in wrong], n_best)
            )
        translations = {
            row: self._trusted(*each) for row, each in zip(unique, zip(found, parts, strict=True), strict=True)
        }
        blank = self._trusted(BLANK, ())
        return [translations.get(row, blank) for row in rows]

    def _search(self, searcher: Searcher, lines: Sequence[Sequence[_Part]], n_best: int) -> list[Translation]:
        """Returns a translation of each line, which has one part or several."""
        parts = [part for of_line in lines for part in of_line]
        n_hypotheses, decode = n_best, searcher.decode
        if decode.mbr != "none":
            n_hypotheses = self.most
        elif searcher is not self.searcher:  # there may have been more samples than there are beams
            n_hypotheses = min(n_best, decode.beam_size)
        hypotheses = searcher.search([part.ids for part in parts], [part.demand for part in parts], n_hypotheses)
        found = iter(hypotheses)
        return [self._join(searcher, of_line, [next(found) for _ in of_line], n_best) for of_line in lines]

    def _asked(self, row: _Row, ids: Ids) -> list[_Part]:
        """Returns a line as search sees it, in several parts if it is longer than what the model has seen."""
        line = row.passage.line
        if len(ids) <= self.trained.max_source_length:
            return [_Part(ids, self._demand(self.steering.wishes(line), row.prefix))]
        parts = self._parts(line, ids)
        wishes: list[list[Wish]] = [[] for _ in parts]
        for start, _, wish in self.steering.places(line):
            wishes[max(0, bisect_right(parts, start, key=itemgetter(0)) - 1)].append(wish)
        prefixes = [row.prefix] + [""] * (len(parts) - 1)
        return [
            _Part(part, self._demand(asked, prefix))
            for (_, part), asked, prefix in zip(parts, wishes, prefixes, strict=True)
        ]

    def _parts(self, line: str, ids: Ids) -> list[tuple[float, Ids]]:
        """Returns the ids of the parts of a line, and at which of its characters each begins.

        Where exactly a sentence is cut in the text is not known: an unknown token may stand for several characters.
        """
        texts = split_sentences(line, self.source_language)
        starts = accumulate(map(len, texts), initial=0)
        encoded = self.tokenizer.encode_source([text.strip() for text in texts], self.language)
        tag, found = self.tokenizer.tag_length, list[tuple[float, Ids]]()
        for start, text, row in zip(starts, texts, encoded, strict=False):
            if len(row) <= tag + 1:  # no text
                continue
            cut = self._cut(row)
            pieces = self.tokenizer.source_pieces([part[tag:-1] for part in cut])
            lengths = [sum(map(len, of_part)) for of_part in pieces]
            ends = accumulate(lengths, initial=0)
            found += [(start + len(text) * end / sum(lengths), part) for end, part in zip(ends, cut, strict=False)]
        return found or [(0, np.append(ids[:tag], ids[-1:]))]

    def _demand(self, wishes: Sequence[Wish], prefix: str) -> Demand:
        """Returns what is asked of the translation of a text."""
        return self._phrases.demand(wishes, prefix) if wishes or not is_blank(prefix) else PLAIN_DEMAND

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

    def _join(self, searcher: Searcher, parts: Sequence[_Part], found: Sequence[Found], n_best: int) -> Translation:
        """Makes one translation of the hypotheses for the parts of a line."""
        chosen: list[list[tuple[Candidate, Hypothesis]]] = []
        for part, hypotheses in zip(parts, found, strict=True):
            if isinstance(hypotheses, Exception):
                return Translation("", [], len(found), error=hypotheses)
            chosen.append(self._candidates(searcher.decode, part, hypotheses))
        best = [of_part[0] for of_part in chosen]
        searched = [Searched(part.ids, one.tokens, one.log_prob) for part, (_, one) in zip(parts, best, strict=True)]
        if len(chosen) == 1:
            candidates = [candidate for candidate, _ in chosen[0]]
            truncated = chosen[0][0][1].truncated
            return Translation(candidates[0].text, candidates[:n_best], truncated=truncated, searched=searched)
        text = " ".join(candidate.text for candidate, _ in best if candidate.text)
        if stands_in(text, self.steering.forbidden):  # across the end of a part
            return Translation("", [], len(found), error=Seq2SeqError("its parts together hold what is forbidden"))
        tokens = [token for _, hypothesis in best for token in hypothesis.tokens]
        log_prob = sum(hypothesis.log_prob for _, hypothesis in best)
        score = log_prob / searcher.penalty(len(tokens) + len(best))
        truncated = any(hypothesis.truncated for _, hypothesis in best)
        return Translation(text, [Candidate(text, score, log_prob, tokens)], len(parts), truncated, searched=searched)

    def _trusted(self, translation: Translation, parts: Sequence[_Part]) -> Translation:
        """Adds the confidence, if the model is calibrated: none where something was asked, or search tried again."""
        if self.calibration is None:
            return translation
        searched, value = translation.searched, None
        if searched and not translation.retried and all(part.demand == PLAIN_DEMAND for part in parts):
            value = confidence_of(self.calibration, self.tokenizer, searched)
        return replace(translation, calibrated=True, confidence=value)

    def _candidates(
        self, decode: DecodeSettings, part: _Part, hypotheses: Sequence[Hypothesis]
    ) -> list[tuple[Candidate, Hypothesis]]:
        """Returns hypotheses as text, the best first."""
        if part.demand != PLAIN_DEMAND:
            texts = [self._phrases.text(hypothesis.tokens, part.demand) for hypothesis in hypotheses]
        else:
            texts = self.tokenizer.decode_target([hypothesis.tokens for hypothesis in hypotheses])
        utilities: list[float | None] = [None] * len(texts)
        order = list(range(len(texts)))
        if decode.mbr != "none":
            sampled = decode.search == "sampling"
            weights = None if sampled else posterior([hypothesis.log_prob for hypothesis in hypotheses])
            best, expected = choose(texts, decode.mbr, weights)
            utilities = [*expected]
            order.sort(key=lambda i: (i != best, -expected[i]))
        elif decode.search == "sampling":
            order.sort(key=lambda i: -hypotheses[i].score)
        rows = [(texts[i], hypotheses[i], utilities[i]) for i in order]
        return [(Candidate(text, one.score, one.log_prob, one.tokens, value), one) for text, one, value in rows]
