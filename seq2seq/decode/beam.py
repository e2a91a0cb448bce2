"""Beam search over anything that can give the next token's log-probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, Protocol

import torch
from torch import Tensor

NEVER = -torch.inf


class Stepper(Protocol):
    """What search sees of a model, an ensemble or a constraint: rows of tokens that grow by one token a step.

    The rows of a sentence, one for each beam, stand together.
    """

    def start(self, beam_size: int) -> int:
        """Prepares `beam_size` rows for each sentence; returns the number of sentences."""

    def step(self, tokens: Tensor) -> Tensor:
        """Appends a token to each row, [N] int64; returns log-probabilities of the next one, [N, V] float32."""

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was; sentences may leave, the others keep their order. rows: [N'] int64."""


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
    """The hypotheses of one sentence that have ended so far."""

    max_length: int
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
    device: torch.device | None = None,
) -> list[list[Hypothesis]]:
    """Finds the most probable token sequences of each sentence by beam search; a beam of 1 is greedy search.

    At each step the `beam_size` best continuations are looked at: those that end are kept aside, and the best that do
    not end go on. A sentence is done when as many hypotheses have ended as there are beams, or when no living one can
    still reach the `n_best` whatever follows; a beam that holds all prefixes therefore finds the exact optimum.

    Args:
        stepper: gives log-probabilities.
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
        device: where the stepper's log-probabilities are; None: the CPU.

    Returns:
        For each sentence up to `n_best` hypotheses, the best score first.

    Raises:
        ValueError: `n_best` is larger than `beam_size`.
        FloatingPointError: the stepper gave NaN.
    """
    if n_best > beam_size:
        raise ValueError(f"n_best is {n_best}, more than beam_size, {beam_size}")
    everyone = sentences = [_Sentence(max_lengths[i]) for i in range(stepper.start(beam_size))]
    # [B, K, 1 + length] and [B, K]; B shrinks as sentences end.
    tokens = torch.tensor(bos, device=device).view(-1, 1, 1).expand(len(sentences), beam_size, 1)
    scores = torch.full((len(sentences), beam_size), NEVER, device=device)
    scores[:, 0] = 0.0  # the beams of a sentence start alike: only one of them counts
    for length in count():
        if not sentences:
            break
        log_probs = stepper.step(tokens[:, :, -1].flatten()).view(*scores.shape, -1)  # [B, K, V]
        _mask(log_probs, sentences, length, min_length, eos, forbidden, forced_end_counts)
        top, parents, next_tokens = _best_continuations(scores, log_probs)  # [B, 2K] each
        if top[:, 0].isnan().any():  # NaN sorts above all numbers
            raise FloatingPointError("the model's log-probabilities are not numbers")
        ends = next_tokens == eos
        for i, k in (ends[:, :beam_size] & (top[:, :beam_size] > NEVER)).nonzero().tolist():
            sentences[i].end(tokens[i, parents[i, k], 1:].tolist(), float(top[i, k]), penalty)
        alive = ends.byte().argsort(dim=1, stable=True)[:, :beam_size]  # those that go on, best first
        scores, parents, next_tokens = (
            t.gather(1, alive) for t in (top.masked_fill(ends, NEVER), parents, next_tokens)
        )
        best = scores[:, 0].tolist()
        kept = [i for i, s in enumerate(sentences) if not s.is_done(best[i], beam_size, n_best, penalty)]
        rows = torch.tensor(kept, dtype=torch.long, device=device)
        sentences = [sentences[i] for i in kept]
        scores, parents, next_tokens = scores[rows], parents[rows], next_tokens[rows]
        tokens = torch.cat([tokens[rows[:, None], parents], next_tokens[:, :, None]], dim=2)
        stepper.reorder((rows[:, None] * beam_size + parents).flatten())
    return [sorted(sentence.finished, key=lambda h: -h.score)[:n_best] for sentence in everyone]


def _mask(
    log_probs: Tensor,
    sentences: Sequence[_Sentence],
    length: int,
    min_length: int,
    eos: int,
    forbidden: Sequence[int],
    forced_end_counts: bool,
) -> None:
    """Rules out, in place, what may not follow hypotheses of `length` tokens; log_probs: [B, K, V]."""
    log_probs[..., list(forbidden)] = NEVER
    full = [i for i, sentence in enumerate(sentences) if length >= sentence.max_length]
    end = log_probs[full, :, eos] if forced_end_counts else torch.zeros((), device=log_probs.device)
    if length < min_length:
        log_probs[..., eos] = NEVER
    log_probs[full] = NEVER
    log_probs[full, :, eos] = end


def _best_continuations(scores: Tensor, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns scores, parent beams and tokens of the 2K best continuations, each [B, 2K], the best first.

    With 2K of them K remain that do not end, since each of the K parents can end in one way only.
    """
    beam_size, vocab_size = log_probs.shape[1:]
    totals = (scores[:, :, None] + log_probs).flatten(1)  # [B, K * V]
    top, index = totals.topk(min(2 * beam_size, totals.shape[1]), dim=1)
    return top, index // vocab_size, index % vocab_size
