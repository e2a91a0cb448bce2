"""The living and the finished hypotheses of a beam search."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import torch
from torch import Tensor

NEVER = -torch.inf


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation.

    Attributes:
        tokens: ids without bos and eos.
        log_prob: summed log-probability of all tokens including eos (unless `forced_end_counts` forbids it), in nats.
        score: `log_prob` divided by the length penalty of the length including eos, plus the coverage penalty; tokens
            of required phrases behind their first ones do not count.
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
class Sentence:
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

    def end(self, tokens: list[int], log_prob: float, score: float) -> None:
        """Keeps a hypothesis that has ended behind `tokens`."""
        self.finished.append(Hypothesis(tokens, log_prob, score, len(tokens) >= self.max_length))

    def is_done(self, best_alive: float, enough: int, n_best: int, penalty: Callable[[int], float]) -> bool:
        """Says whether nothing that is still alive can become one of the `n_best`, or `enough` have ended."""
        if best_alive == NEVER or len(self.finished) >= enough:
            return True
        if len(self.finished) < n_best:
            return False
        # Log-probabilities only fall and the penalty only grows, so no future score can pass this bound.
        bound = best_alive / penalty(self.max_length + 1)
        return bound <= sorted((h.score for h in self.finished), reverse=True)[n_best - 1]


class Beams:
    """The living hypotheses of B sentences, K of each.

    Attributes:
        sentences: which sentence is in which place.
        tokens: [B, K, 1 + steps] int64, bos first; those of a sentence that began later stand at the end.
        scores: [B, K] float32, summed log-probabilities; -inf: there is no such hypothesis.
        group_size: beams of each group; those of different groups never meet.
    """

    def __init__(self, sentences: list[Sentence], beam_size: int, group_size: int, device: torch.device | None) -> None:
        self.sentences = sentences
        self.group_size = group_size
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

    def replace(self, done: list[int], waiting: Iterator[Sentence], parents: Tensor) -> tuple[Tensor, list[int]]:
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

    def put(self, places: Sequence[int], sentences: Sequence[Sentence]) -> None:
        """Begins sentences in some places."""
        for i, sentence in zip(places, sentences, strict=True):
            self.sentences[i], sentence.begun = sentence, self._steps
            self.tokens[i, :, -1] = sentence.bos
        self.scores[list(places)] = NEVER
        # The beams of a group start alike: only one of them counts.
        self.scores[list(places), :: self.group_size] = 0.0

    def bar_repeats(self, log_probs: Tensor, n: int) -> None:
        """Rules out, in place, the last token of each n-gram that a hypothesis has already; log_probs: [B, K, V]."""
        length = self.tokens.shape[2]
        if length < n:
            return
        windows = self.tokens.unfold(2, n, 1)  # [B, K, W, n]
        last = self.tokens[:, :, length - n + 1 :]  # [B, K, n - 1]
        begin = torch.tensor([1 + sentence.begun - self._dropped for sentence in self.sentences], device=last.device)
        whole = torch.arange(windows.shape[2], device=last.device) >= begin[:, None]  # [B, W]
        whole &= (begin <= length - n + 1)[:, None]
        again = (windows[..., :-1] == last[:, :, None]).all(dim=-1) & whole[:, None]  # [B, K, W]
        log_probs.scatter_add_(
            2, windows[..., -1], torch.zeros(again.shape, device=last.device).masked_fill(again, NEVER)
        )


def _without(left: Sequence[int], n: int) -> list[int]:
    """Returns the places 0 to n - 1 without some of them, whose places others take: the last ones."""
    stay = sorted(set(range(n)) - set(left))
    last = iter(stay[::-1])
    here = set(stay)
    return [i if i in here else next(last) for i in range(len(stay))]
