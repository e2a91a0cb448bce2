"""Hypotheses for source ids: by beam search or by sampling, with one model or several."""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b

import numpy as np

from seq2seq.config import DecodeSettings
from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import Hypothesis, LengthPenalty
from seq2seq.decode.constraints import Constraints, Demand
from seq2seq.decode.context import own_lengths
from seq2seq.decode.coverage import CoveringStepper
from seq2seq.decode.ensemble import Ensemble
from seq2seq.decode.pieces import Pieces, byte_text
from seq2seq.decode.sampling import Sampling, sample
from seq2seq.decode.stepper import MAX_SCORES, TransformerStepper
from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.memory import release_freed_memory
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.folder import TrainedModel
from seq2seq.text.ids import BOS, EOS, UNK, Ids
from seq2seq.text.tokenizer import Tokenizer

EXTRA_LENGTH = 10  # tokens that a translation may have beyond max_length_ratio times its source
QUEUE = 4  # times as many sentences as are decoded at once that must be left to make another group worthwhile
LARGEST_BEAM = 24  # of sentences with many phrases

Found = list[Hypothesis] | Exception  # of a sentence: the best hypotheses, or why there are none


class Searcher:
    """Finds hypotheses for sources.

    Args:
        models: one, or several whose probabilities are averaged; they have the same vocabularies.
        batch_size: sentences translated at once at the most; None: as many as `decode.batch_tokens` allows.
        forbidden: texts that no hypothesis holds; see `forbidden`.
        seed: of samples; None: that of the recipe.
        decode: how to search; None: as the first model's settings say.

    Attributes:
        tell: is called now and then with the share of the present sources, from 0 to 1, whose search has ended.

    Raises:
        ModelError: `decode.shortlist` asks for a shortlist, and the model has none; the models do not go together.
    """

    def __init__(
        self,
        models: Sequence[TrainedModel],
        batch_size: int | None = None,
        forbidden: Iterable[str] = (),
        seed: int | None = None,
        decode: DecodeSettings | None = None,
    ) -> None:
        self.models = models
        self.trained = trained = models[0]
        self.tokenizer = trained.tokenizer
        self.decode = decode or trained.settings.decode
        self.seed = trained.settings.seed if seed is None else seed
        self.penalty = LengthPenalty(self.decode.length_norm, self.decode.length_penalty)
        self.batch_size = batch_size
        self.forbidden = list(forbidden)
        self.tell: Callable[[float], None] = lambda share: None
        self._searched = self._to_search = 0  # sources of the present lines
        self.shortlist = trained.shortlist if self.decode.shortlist else None
        if self.decode.shortlist and not self.shortlist:
            raise ModelError(
                "the model has no shortlist (decode.shortlist); learn one from parallel text with\n"
                "  seq2seq-shortlist MODEL --source FILE --target FILE\nor translate with --no-shortlist"
            )
        if any(other.tokenizer.hash() != self.tokenizer.hash() for other in models):
            raise ModelError(
                "models that translate together must have the same tokenizer: train them on the same text with the "
                "same tokenizer settings"
            )

    @cached_property
    def pieces(self) -> Pieces:
        """The tokens of the target side as text."""
        return target_pieces(self.tokenizer)

    def search(self, sources: Sequence[Ids], demands: Sequence[Demand], n_best: int) -> list[Found]:
        """Searches for each source: those of like length after one another, a new one where another is done.

        Args:
            sources: ids of each.
            demands: what is asked of the hypotheses of each.
            n_best: hypotheses for each; of sampling those that are drawn.
        """
        found: list[Found] = [[] for _ in sources]
        self._searched, self._to_search = 0, len(sources)
        alike: dict[tuple[int, bool], list[int]] = {}
        for i, demand in enumerate(demands):
            listed = bool(self.shortlist) and demand == Demand() and not self.forbidden
            alike.setdefault((self._beam_size(demand, n_best), listed), []).append(i)
        for (beam_size, listed), these in sorted(alike.items()):
            # Many short sentences are few source tokens, but each of their beams is a row of the whole vocabulary.
            rows = max(1, MAX_SCORES // (beam_size * self.tokenizer.target_vocab_size))
            rows = min(rows, self.batch_size or rows)
            lengths = [len(sources[i]) for i in these]
            waiting = not listed and self.decode.search == "beam"
            for group, at_once in queues(lengths, self.decode.batch_tokens, rows, waiting):
                chosen = [these[i] for i in group]
                part = [(sources[i], demands[i]) for i in chosen]
                for i, best in zip(chosen, self._search_in_halves(part, at_once, beam_size, n_best), strict=True):
                    found[i] = best
        return found

    def _beam_size(self, demand: Demand, n_best: int) -> int:
        """Returns the rows that a source takes: one for each stage of its phrases at the least."""
        if self.decode.search == "sampling":
            return n_best
        stages = min(LARGEST_BEAM, 2 * len(demand.phrases) + 1) if demand.phrases else 1
        return max(self.decode.beam_size, stages)

    def _search_in_halves(
        self, part: Sequence[tuple[Ids, Demand]], at_once: int, beam_size: int, n_best: int
    ) -> list[Found]:
        """Searches for sources; where that fails, for one half after the other, in the end for each alone.

        So a sentence that cannot be translated harms no other, and where memory is short less is computed at once.
        """
        before = self._searched
        try:
            found = self._search_queue(part, at_once, beam_size, n_best)
        except Exception as error:
            _forget(error)
            failure = error
        else:
            self._count(before + len(part))
            return [one or Seq2SeqError("no translation keeps to all that is asked of it") for one in found]
        release_freed_memory()
        if len(part) == 1:
            self._count(before + 1)
            return [failure]
        self._searched, half = before, len(part) // 2
        at_once = min(half, -(-at_once // 2))
        halves = (part[:half], part[half:])
        return [one for each in halves for one in self._search_in_halves(each, at_once, beam_size, n_best)]

    def _count(self, searched: int) -> None:
        """Tells how many sources of the present lines have been searched for."""
        self._searched = searched
        self.tell(searched / self._to_search)

    def _search_queue(
        self, part: Sequence[tuple[Ids, Demand]], at_once: int, beam_size: int, n_best: int
    ) -> list[list[Hypothesis]]:
        """Searches for sources, the longest first, of which `at_once` are decoded together."""
        sources, demands = [ids for ids, _ in part], [demand for _, demand in part]
        constrained = bool(self.forbidden) or any(demand != Demand() for demand in demands)
        choice = self.shortlist.choose(sources) if self.shortlist and not constrained else None
        lengths = own_lengths(self.tokenizer, sources)
        limits = [
            int(self.decode.max_length_ratio * length) + EXTRA_LENGTH + demand.length
            for length, demand in zip(lengths, demands, strict=True)
        ]
        kind = CoveringStepper if self.decode.coverage_penalty else TransformerStepper
        steppers = [kind(each.model, sources, at_once, choice) for each in self.models]
        stepper = steppers[0] if len(steppers) == 1 else Ensemble(steppers)
        with ExitStack() as stack:
            for each in self.models:
                stack.enter_context(evaluating(each.model))
            stack.enter_context(autocast(self.trained.decode_precision, self.trained.device))
            try:
                if self.decode.search == "sampling":
                    found = self._sample(stepper, sources, limits, n_best, choice is None)
                else:
                    found = self._beam_search(stepper, demands if constrained else None, limits, beam_size, n_best)
            except FloatingPointError as error:
                raise ModelError(f"{error}: the model's weights are unusable") from error
        if choice is None:
            return found
        return [[replace(one, tokens=choice.ids[one.tokens].tolist()) for one in found_of] for found_of in found]

    def _beam_search(
        self,
        stepper: TransformerStepper | Ensemble,
        demands: Sequence[Demand] | None,
        limits: Sequence[int],
        beam_size: int,
        n_best: int,
    ) -> list[list[Hypothesis]]:
        decode = self.decode

        def refill(places: list[int]) -> None:
            self._count(self._searched + len(places))
            stepper.refill(places)

        how = Search(
            beam_size,
            n_best,
            decode.min_length,
            self.penalty,
            patience=decode.patience,
            no_repeat_ngram=decode.no_repeat_ngram,
            groups=decode.beam_groups,
            diversity=decode.diversity,
            coverage_penalty=decode.coverage_penalty,
        )
        return beam_search(
            stepper,
            how,
            max_lengths=limits,
            bos=BOS,
            eos=EOS,
            forbidden=self.tokenizer.unspoken,
            constraints=None if demands is None else Constraints(demands, EOS, self.pieces, self.forbidden),
            refill=refill,
            device=self.trained.device,
        )

    def _sample(
        self, stepper: TransformerStepper | Ensemble, sources: Sequence[Ids], limits: Sequence[int], n: int, whole: bool
    ) -> list[list[Hypothesis]]:
        """Draws translations; what is drawn for a source follows from the seed and the source alone."""
        decode = self.decode
        keys = [[(self.seed, _number(ids), j) for j in range(n)] for ids in sources]
        found: list[list[tuple[list[int], float]]] = [[([], 0.0) for _ in range(n)] for _ in sources]
        truncated = set()
        for step in sample(
            stepper,
            Sampling(temperature=decode.temperature, top_k=decode.top_k, top_p=decode.top_p),
            prompts=[[BOS]] * len(sources),
            keys=keys,
            max_lengths=[limit + 1 for limit in limits],
            eos=EOS,
            forbidden=self.tokenizer.unspoken,
            device=self.trained.device,
        ):
            for token in step:
                if token.end == "length":  # where only eos had room
                    truncated.add((token.prompt, token.sample))
                    continue
                tokens, log_prob = found[token.prompt][token.sample]
                more = [] if token.token == EOS else [token.token]
                found[token.prompt][token.sample] = ([*tokens, *more], log_prob + token.log_prob)
        return [
            [
                Hypothesis(tokens, log_prob, log_prob / self.penalty(len(tokens) + 1), (i, j) in truncated)
                for j, (tokens, log_prob) in enumerate(of)
            ]
            for i, of in enumerate(found)
        ]


def target_pieces(tokenizer: Tokenizer) -> Pieces:
    """Returns the tokens of a tokenizer's target side as text, spaces included; special ones are empty."""
    (found,) = tokenizer.target_pieces([np.arange(tokenizer.target_vocab_size)])
    silent = {EOS, *tokenizer.unspoken}
    bytes_of = [re.fullmatch("<0x([0-9A-F]{2})>", piece) for piece in found]
    texts = [
        byte_text(int(of[1], 16)) if of else piece.replace("\u2581", " ")
        for of, piece in zip(bytes_of, found, strict=True)
    ]
    # What has no token of its own is a letter for all that is known.
    return Pieces(["x" if i == UNK else "" if i in silent else text for i, text in enumerate(texts)])


def _number(ids: Ids) -> int:
    """Returns a number that stands for a source."""
    return int.from_bytes(blake2b(ids.astype("<i8").tobytes(), digest_size=8).digest(), "big")


def _forget(error: BaseException) -> None:
    """Frees what the frames of an error hold: tensors that the next try has no room beside."""
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__


def queues(lengths: Sequence[int], tokens: int, rows: int, waiting: bool = True) -> Iterator[tuple[list[int], int]]:
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
