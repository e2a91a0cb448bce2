"""Beam search over anything that can give the next token's log-probabilities."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq.decode.beams import NEVER, Beams, Hypothesis, LengthPenalty, Sentence
from seq2seq.decode.constraints import Constraints, Waived
from seq2seq.decode.continuations import (
    Continuations,
    best_continuations,
    diverse_continuations,
    guided_continuations,
)


class Stepper(Protocol):
    """What search sees of a model, an ensemble or a constraint: rows of tokens that grow by one token a step.

    The rows of a sentence, one for each beam, stand together.
    """

    def start(self, beam_size: int) -> int:
        """Prepares `beam_size` rows for each of the first sentences; returns how many these are."""

    def step(self, tokens: Tensor) -> Tensor:
        """Appends a token to each row, [N] int64; returns logits of the next one, [N, V] of any float type."""

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was, [N'] int64; sentences may leave, and others take their places."""


class CoverageStepper(Stepper, Protocol):
    """A stepper that knows how well each row has attended to its source."""

    def coverage(self) -> Tensor:
        """Returns [N] float32, at most 0: sum over source tokens of log(min(attention so far, 1)), in nats."""


@dataclass(frozen=True)
class Search:
    """How hypotheses are searched for.

    Attributes:
        beam_size: K, hypotheses that are followed at once.
        n_best: hypotheses returned for each sentence, at most `beam_size`.
        min_length: the shortest hypothesis in tokens, eos not counted.
        penalty: divisor of the log-probability for a length in tokens, eos counted; must not fall with the length.
        forced_end_counts: whether the log-probability of a hypothesis that is made to end includes the eos it is given;
            of a text that is merely cut off it should not.
        patience: times `beam_size`, how many hypotheses end before a sentence is done (Kasai et al. 2022, *A Call for
            Clarity in Beam Search*).
        no_repeat_ngram: no n-gram of this length comes twice in a hypothesis (Paulus et al. 2018); 0: off.
        groups: of beams that avoid each other's tokens, see `diverse_continuations`; 1: off.
        diversity: how much they avoid them, in nats.
        coverage_penalty: times the stepper's `coverage` is added to the score of a hypothesis that ends: beta of Wu et
            al. 2016, equation 14; 0: off.

    Raises:
        ValueError: `n_best` is larger than `beam_size`, or `groups` does not divide it.
    """

    beam_size: int
    n_best: int = 1
    min_length: int = 0
    penalty: Callable[[int], float] = field(default_factory=LengthPenalty)
    forced_end_counts: bool = True
    patience: float = 1.0
    no_repeat_ngram: int = 0
    groups: int = 1
    diversity: float = 0.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.n_best > self.beam_size:
            raise ValueError(f"n_best is {self.n_best}, more than beam_size, {self.beam_size}")
        if self.beam_size % self.groups:
            raise ValueError(f"groups ({self.groups}) must divide beam_size ({self.beam_size})")

    @property
    def enough(self) -> int:
        """Hypotheses that end before a sentence is done."""
        return max(self.n_best, math.ceil(self.beam_size * self.patience))


def beam_search(
    stepper: Stepper,
    search: Search,
    *,
    max_lengths: Sequence[int],
    bos: int | Sequence[int],
    eos: int,
    forbidden: Sequence[int] = (),
    constraints: Constraints | None = None,
    refill: Callable[[list[int]], None] | None = None,
    device: torch.device | None = None,
) -> list[list[Hypothesis]]:
    """Finds the most probable token sequences of each sentence by beam search; a beam of 1 is greedy search.

    At each step the `beam_size` best continuations are looked at: those that end are kept aside, and the best that do
    not end go on. A sentence is done when as many hypotheses have ended as there are beams, or when no living one can
    still reach the `n_best` whatever follows; a beam that holds all prefixes therefore finds the exact optimum.

    Args:
        stepper: gives logits; a `CoverageStepper` where there is a coverage penalty.
        search: how to.
        max_lengths: for each sentence the longest hypothesis in tokens, eos not counted; there it is made to end.
        bos: id of the token in front of each hypothesis, or one for each sentence: the last of its prompt.
        eos: id of the token that ends it.
        forbidden: ids that are never chosen.
        constraints: what must or must not stand in the hypotheses of each sentence, whose lengths must have room for
            it; None: nothing. Phrases do not go with groups.
        refill: tells the stepper to put the next sentences in the places of some that are done, if it starts with fewer
            than there are.
        device: where the stepper's logits are; None: the CPU.

    Returns:
        For each sentence up to `n_best` hypotheses, the best score first; none if all that is possible is ruled out.

    Raises:
        ValueError: the stepper starts with fewer sentences than there are and nothing refills it.
        FloatingPointError: the stepper gave NaN.
    """
    starts = [bos] * len(max_lengths) if isinstance(bos, int) else bos
    everyone = [Sentence(length, start) for length, start in zip(max_lengths, starts, strict=True)]
    waiting = iter(everyone)
    size = search.beam_size // search.groups
    beams = Beams(list(islice(waiting, stepper.start(search.beam_size))), search.beam_size, size, device)
    if len(beams.sentences) < len(everyone) and refill is None:
        raise ValueError(f"the stepper starts with {len(beams.sentences)} of {len(everyone)} sentences: give refill")
    if constraints:
        constraints.start(search.beam_size, len(beams.sentences))
    while beams.sentences:
        best = _look(stepper, search, beams, eos, forbidden, constraints)
        ends = best.tokens == eos  # [B, G, 2S]
        _end(stepper, search, beams, best, ends & (best.scores > NEVER), constraints)
        on = ends.byte().argsort(dim=2, stable=True)[..., :size]  # those that go on, best first
        going_on = (best.scores.masked_fill(ends, NEVER), best.parents, best.tokens)
        scores, parents, next_tokens = (t.gather(2, on).flatten(1) for t in going_on)  # [B, K]
        beams.extend(parents, next_tokens, scores)
        alive = _best_alive(scores, parents, next_tokens, constraints)
        done = [
            i
            for i, sentence in enumerate(beams.sentences)
            if sentence.is_done(alive[i], _enough(search, constraints, i), search.n_best, search.penalty)
        ]
        rows, places = beams.replace(done, waiting, parents)
        stepper.reorder(rows)
        if constraints:
            constraints.reorder(rows)
            constraints.refill(places)
        if refill and places:
            refill(places)
    return [sorted(sentence.finished, key=lambda h: -h.score)[: search.n_best] for sentence in everyone]


def _best_alive(scores: Tensor, parents: Tensor, tokens: Tensor, constraints: Constraints | None) -> list[float]:
    """Returns the best log-probability of each sentence's continuations, as far as it counts; all are [B, K]."""
    best: list[float] = scores.amax(dim=1).tolist()
    for i in range(len(best)) if constraints else ():
        if constraints and constraints.phrases(i) and best[i] > NEVER:
            rows = zip(scores[i].tolist(), (i * scores.shape[1] + parents[i]).tolist(), tokens[i].tolist(), strict=True)
            best[i] = max(constraints.counted(row, token) for score, row, token in rows if score > NEVER)
    return best


def _enough(search: Search, constraints: Constraints | None, place: int) -> int:
    """Returns how many hypotheses end before a sentence is done: with phrases only some have all of them."""
    if constraints is None or not (phrases := constraints.phrases(place)):
        return search.enough
    return max(search.n_best, math.ceil(search.enough / (phrases + 1)))


def _look(
    stepper: Stepper,
    search: Search,
    beams: Beams,
    eos: int,
    forbidden: Sequence[int],
    constraints: Constraints | None,
) -> Continuations:
    """Returns the continuations that the search looks at in one step."""
    newest = beams.tokens[:, :, -1].flatten()
    logits = stepper.step(newest)  # [B * K, V]
    log_probs = F.log_softmax(logits, dim=-1, dtype=torch.float32).view(*beams.scores.shape, -1)  # [B, K, V]
    if constraints is None:
        _mask(log_probs, search, beams, eos, forbidden)
    else:
        constraints.step(newest)
        lengths = [sentence.max_length for sentence in beams.sentences]
        with constraints.exempt(log_probs.flatten(0, 1), lengths):
            _mask(log_probs, search, beams, eos, forbidden)
        constraints.bar(log_probs.flatten(0, 1), lengths)
    if search.groups > 1:
        best = diverse_continuations(beams.scores, log_probs, search.groups, search.diversity, eos)
    else:
        best = best_continuations(beams.scores, log_probs)
    if best.scores[..., 0].isnan().any():  # NaN sorts above all numbers
        raise FloatingPointError("the model's log-probabilities are not numbers")
    if constraints:
        guided_continuations(best, beams.scores, log_probs, constraints, eos)
    return best


def _end(
    stepper: Stepper,
    search: Search,
    beams: Beams,
    best: Continuations,
    ends: Tensor,
    constraints: Constraints | None,
) -> None:
    """Keeps the hypotheses that end among the best of each group; ends: [B, G, 2S]."""
    coverage = torch.zeros(beams.scores.shape)  # [B, K]
    if search.coverage_penalty:
        coverage = cast(CoverageStepper, stepper).coverage().view(beams.scores.shape)
    for i, group, k in ends[..., : beams.group_size].nonzero().tolist():
        parent, log_prob = best.parents[i, group, k], float(best.scores[i, group, k])
        tokens = beams.written(i, parent)
        row = i * search.beam_size + int(parent)
        waived = constraints.waived_at_end(row) if constraints else Waived()
        score = (log_prob - waived.log_prob) / search.penalty(len(tokens) + 1 - waived.tokens)
        score += search.coverage_penalty * float(coverage[i, parent])
        beams.sentences[i].end(tokens, log_prob, score)


def _mask(log_probs: Tensor, search: Search, beams: Beams, eos: int, forbidden: Sequence[int]) -> None:
    """Rules out, in place, what may not follow the hypotheses; log_probs: [B, K, V]."""
    log_probs[..., list(forbidden)] = NEVER
    if search.no_repeat_ngram:
        beams.bar_repeats(log_probs, search.no_repeat_ngram)
    lengths = beams.lengths()
    full = [i for i, sentence in enumerate(beams.sentences) if lengths[i] >= sentence.max_length]
    end = log_probs[full, :, eos] if search.forced_end_counts else torch.zeros((), device=log_probs.device)
    if search.min_length:
        log_probs[[i for i, length in enumerate(lengths) if length < search.min_length], :, eos] = NEVER
    if full:
        log_probs[full] = NEVER
        log_probs[full, :, eos] = end
