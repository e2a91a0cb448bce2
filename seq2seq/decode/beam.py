"""Beam search over anything that can give the next token's log-probabilities."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

NEVER = -torch.inf
BLOCK = 64  # scores of which only the largest is looked at first


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


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation.

    Attributes:
        tokens: ids without bos and eos.
        log_prob: summed log-probability of all tokens including eos (unless `forced_end_counts` forbids it), in nats.
        score: `log_prob` divided by the length penalty of the length including eos.
        truncated: whether it had to end because it had reached the longest length allowed.
    """

    tokens: list[int]
    log_prob: float
    score: float
    truncated: bool


@dataclass(frozen=True)
class LengthPenalty:
    """Divides a log-probability so that longer translations are not at a disadvantage.

    gnmt: ((5 + length) / 6)^alpha, Wu et al. 2016, equation 14; length: length^alpha; none: 1.
    """

    norm: Literal["gnmt", "length", "none"] = "gnmt"
    alpha: float = 0.6

    def __call__(self, length: int) -> float:
        """Returns the divisor for a length in tokens, eos included."""
        match self.norm:
            case "gnmt":
                return float(((5 + length) / 6) ** self.alpha)
            case "length":
                return float(length**self.alpha)
            case "none":
                return 1.0


@dataclass
class _Sentence:
    """The hypotheses of one sentence that have ended so far.

    Attributes:
        max_length: the longest one in tokens, eos not counted.
        bos: token in front of each.
        begun: steps that had been taken when the first was begun.
    """

    max_length: int
    bos: int
    begun: int = 0
    finished: list[Hypothesis] = field(default_factory=list)

    def end(self, tokens: list[int], log_prob: float, penalty: Callable[[int], float]) -> None:
        """Keeps a hypothesis that has ended behind `tokens`."""
        length = len(tokens)
        self.finished.append(Hypothesis(tokens, log_prob, log_prob / penalty(length + 1), length >= self.max_length))

    def is_done(self, best_alive: float, beam_size: int, n_best: int, penalty: Callable[[int], float]) -> bool:
        """Says whether nothing that is still alive can become one of the `n_best`, or as many ended as beams exist."""
        if best_alive == NEVER or len(self.finished) >= beam_size:
            return True
        if len(self.finished) < n_best:
            return False
        # Log-probabilities only fall and the penalty only grows, so no future score can pass this bound.
        bound = best_alive / penalty(self.max_length + 1)
        return bound <= sorted((h.score for h in self.finished), reverse=True)[n_best - 1]


def beam_search(
    stepper: Stepper,
    *,
    beam_size: int,
    max_lengths: Sequence[int],
    bos: int | Sequence[int],
    eos: int,
    n_best: int = 1,
    min_length: int = 0,
    forbidden: Sequence[int] = (),
    penalty: Callable[[int], float] = LengthPenalty(),
    forced_end_counts: bool = True,
    refill: Callable[[list[int]], None] | None = None,
    device: torch.device | None = None,
) -> list[list[Hypothesis]]:
    """Finds the most probable token sequences of each sentence by beam search; a beam of 1 is greedy search.

    At each step the `beam_size` best continuations are looked at: those that end are kept aside, and the best that do
    not end go on. A sentence is done when as many hypotheses have ended as there are beams, or when no living one can
    still reach the `n_best` whatever follows; a beam that holds all prefixes therefore finds the exact optimum.

    Args:
        stepper: gives logits.
        beam_size: K, hypotheses that are followed at once.
        max_lengths: for each sentence the longest hypothesis in tokens, eos not counted; there it is made to end.
        bos: id of the token in front of each hypothesis, or one for each sentence: the last of its prompt.
        eos: id of the token that ends it.
        n_best: hypotheses returned for each sentence, at most `beam_size`.
        min_length: the shortest hypothesis in tokens, eos not counted.
        forbidden: ids that are never chosen.
        penalty: divisor of the log-probability for a length in tokens, eos counted; must not fall with the length.
        forced_end_counts: whether the log-probability of a hypothesis that is made to end includes the eos it is given;
            of a text that is merely cut off it should not.
        refill: tells the stepper to put the next sentences in the places of some that are done, if it starts with fewer
            than there are.
        device: where the stepper's logits are; None: the CPU.

    Returns:
        For each sentence up to `n_best` hypotheses, the best score first.

    Raises:
        ValueError: `n_best` is larger than `beam_size`, or the stepper starts with fewer sentences than there are and
            nothing refills it.
        FloatingPointError: the stepper gave NaN.
    """
    if n_best > beam_size:
        raise ValueError(f"n_best is {n_best}, more than beam_size, {beam_size}")
    starts = [bos] * len(max_lengths) if isinstance(bos, int) else bos
    everyone = [_Sentence(length, start) for length, start in zip(max_lengths, starts, strict=True)]
    waiting = iter(everyone)
    beams = _Beams(list(islice(waiting, stepper.start(beam_size))), beam_size, device)
    if len(beams.sentences) < len(everyone) and refill is None:
        raise ValueError(f"the stepper starts with {len(beams.sentences)} of {len(everyone)} sentences: give refill")
    while beams.sentences:
        logits = stepper.step(beams.tokens[:, :, -1].flatten())  # [B * K, V]
        log_probs = F.log_softmax(logits, dim=-1, dtype=torch.float32)
        _mask(log_probs.view(*beams.scores.shape, -1), beams, min_length, eos, forbidden, forced_end_counts)
        top, parents, next_tokens = _best_continuations(beams.scores, log_probs)  # [B, 2K] each
        if top[:, 0].isnan().any():  # NaN sorts above all numbers
            raise FloatingPointError("the model's log-probabilities are not numbers")
        ends = next_tokens == eos
        for i, k in (ends[:, :beam_size] & (top[:, :beam_size] > NEVER)).nonzero().tolist():
            beams.sentences[i].end(beams.written(i, parents[i, k]), float(top[i, k]), penalty)
        on = ends.byte().argsort(dim=1, stable=True)[:, :beam_size]  # those that go on, best first
        scores, parents, next_tokens = (t.gather(1, on) for t in (top.masked_fill(ends, NEVER), parents, next_tokens))
        beams.extend(parents, next_tokens, scores)
        best = scores[:, 0].tolist()
        done = [i for i, s in enumerate(beams.sentences) if s.is_done(best[i], beam_size, n_best, penalty)]
        rows, places = beams.replace(done, waiting, parents)
        stepper.reorder(rows)
        if refill and places:
            refill(places)
    return [sorted(sentence.finished, key=lambda h: -h.score)[:n_best] for sentence in everyone]


class _Beams:
    """The living hypotheses of B sentences, K of each.

    Attributes:
        sentences: which sentence is in which place.
        tokens: [B, K, 1 + steps] int64, bos first; those of a sentence that began later stand at the end.
        scores: [B, K] float32, summed log-probabilities; -inf: there is no such hypothesis.
    """

    def __init__(self, sentences: list[_Sentence], beam_size: int, device: torch.device | None) -> None:
        self.sentences = sentences
        self.tokens = torch.zeros(len(sentences), beam_size, 1, dtype=torch.long, device=device)
        self.scores = torch.zeros(len(sentences), beam_size, device=device)
        self._steps = 0
        self._dropped = 0  # steps whose tokens no sentence holds any more
        self.put(range(len(sentences)), sentences)

    def lengths(self) -> list[int]:
        """Returns how many tokens the hypotheses of each sentence have, bos not counted."""
        return [self._steps - sentence.begun for sentence in self.sentences]

    def written(self, i: int, beam: Tensor) -> list[int]:
        """Returns the tokens of a hypothesis of sentence i."""
        tokens: list[int] = self.tokens[i, beam, 1 + self.sentences[i].begun - self._dropped :].tolist()
        return tokens

    def extend(self, parents: Tensor, tokens: Tensor, scores: Tensor) -> None:
        """Replaces the hypotheses by continuations of them, all [B, K]."""
        before = self.tokens.gather(1, parents[:, :, None].expand_as(self.tokens))
        self.tokens, self.scores = torch.cat([before, tokens[:, :, None]], dim=2), scores
        self._steps += 1

    def replace(self, done: list[int], waiting: Iterator[_Sentence], parents: Tensor) -> tuple[Tensor, list[int]]:
        """Lets waiting sentences take the places of those that are done, and the last ones those that then are empty.

        Args:
            done: places of sentences that are done.
            waiting: sentences that are still to begin.
            parents: [B, K], which beams of before the beams now continue.

        Returns:
            Which rows of before the rows now are, [N'] int64, and the places of the sentences that begin.
        """
        new = list(islice(waiting, len(done)))
        kept = _without(done[len(new) :], len(self.sentences))
        if len(kept) < len(self.sentences):
            self.sentences = [self.sentences[i] for i in kept]
            self.tokens, self.scores = self.tokens[kept], self.scores[kept]
        oldest = min((sentence.begun for sentence in self.sentences), default=self._dropped)
        self.tokens, self._dropped = self.tokens[:, :, oldest - self._dropped :], oldest
        places = [kept.index(i) for i in done[: len(new)]]
        if new:
            self.put(places, new)
        before = torch.tensor(kept, dtype=torch.long, device=parents.device)  # [B']
        return (before[:, None] * parents.shape[1] + parents[before]).flatten(), places

    def put(self, places: Sequence[int], sentences: Sequence[_Sentence]) -> None:
        """Begins sentences in some places."""
        for i, sentence in zip(places, sentences, strict=True):
            self.sentences[i], sentence.begun = sentence, self._steps
            self.tokens[i, :, -1] = sentence.bos
        self.scores[list(places)] = NEVER
        self.scores[list(places), 0] = 0.0  # the beams of a sentence start alike: only one of them counts


def _without(left: Sequence[int], n: int) -> list[int]:
    """Returns the places 0 to n - 1 without some of them, whose places others take: the last ones."""
    stay = sorted(set(range(n)) - set(left))
    last = iter(stay[::-1])
    here = set(stay)
    return [i if i in here else next(last) for i in range(len(stay))]


def _mask(
    log_probs: Tensor, beams: _Beams, min_length: int, eos: int, forbidden: Sequence[int], forced_end_counts: bool
) -> None:
    """Rules out, in place, what may not follow the hypotheses; log_probs: [B, K, V]."""
    log_probs[..., list(forbidden)] = NEVER
    lengths = beams.lengths()
    full = [i for i, sentence in enumerate(beams.sentences) if lengths[i] >= sentence.max_length]
    end = log_probs[full, :, eos] if forced_end_counts else torch.zeros((), device=log_probs.device)
    if min_length:
        log_probs[[i for i, length in enumerate(lengths) if length < min_length], :, eos] = NEVER
    if full:
        log_probs[full] = NEVER
        log_probs[full, :, eos] = end


def _best_continuations(scores: Tensor, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns scores, parent beams and tokens of the 2K best continuations, each [B, 2K], the best first.

    With 2K of them K remain that do not end, since each of the K parents can end in one way only.
    """
    n, beam_size = scores.shape
    top, tokens = _largest(log_probs, min(2 * beam_size, log_probs.shape[1]))  # [B * K, 2K]
    totals = (scores.view(-1, 1) + top).view(n, -1)  # [B, K * 2K]
    best, index = totals.topk(min(2 * beam_size, totals.shape[1]), dim=1)
    return best, index // top.shape[1], tokens.view(n, -1).gather(1, index)


def _largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns the k largest entries of each row of [N, V] and their indices, [N, k]; several times faster than `topk`.

    They are in those k blocks of a row whose largest entries are the largest: the other blocks need not be searched.
    """
    whole = x.shape[1] // BLOCK
    if whole <= 2 * k:
        return x.topk(k, dim=1)
    blocks = x[:, : whole * BLOCK].view(len(x), whole, BLOCK).amax(2).topk(k, dim=1).indices  # [N, k]
    inside = torch.arange(BLOCK, device=x.device)
    rest = torch.arange(whole * BLOCK, x.shape[1], device=x.device).expand(len(x), -1)
    index = torch.cat([(blocks[:, :, None] * BLOCK + inside).flatten(1), rest], dim=1)  # [N, k * BLOCK + rest]
    top, found = x.gather(1, index).topk(k, dim=1)
    return top, index.gather(1, found)
