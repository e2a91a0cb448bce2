"""Which continuations of its hypotheses a beam search looks at."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.decode.constraints import Constraints

NEVER = -torch.inf
BLOCK = 64  # scores of which only the largest is looked at first


class Continuations(NamedTuple):
    """Continuations of the K hypotheses of B sentences, in G groups of S beams; 2S of each group, the best first.

    Attributes:
        scores: [B, G, 2S] float32, summed log-probabilities; -inf: there are no more.
        parents: [B, G, 2S] int64, beams that they continue.
        tokens: [B, G, 2S] int64, with what.
    """

    scores: Tensor
    parents: Tensor
    tokens: Tensor


def best_continuations(scores: Tensor, log_probs: Tensor) -> Continuations:
    """Returns the 2K best continuations of each sentence.

    With 2K of them K remain that do not end, since each of the K parents can end in one way only.

    Args:
        scores: [B, K], of the hypotheses.
        log_probs: [B, K, V], of the next token.
    """
    n, beam_size, vocab_size = log_probs.shape
    top, tokens = largest(log_probs.flatten(0, 1), min(2 * beam_size, vocab_size))  # [B * K, 2K]
    totals = (scores.view(-1, 1) + top).view(n, -1)  # [B, K * 2K]
    best, index = totals.topk(min(2 * beam_size, totals.shape[1]), dim=1)
    parents, found = index // top.shape[1], tokens.view(n, -1).gather(1, index)
    return Continuations(best[:, None], parents[:, None], found[:, None])


def diverse_continuations(scores: Tensor, log_probs: Tensor, groups: int, diversity: float, eos: int) -> Continuations:
    """Returns the best continuations of each of several groups of hypotheses, which avoid each other's tokens.

    Diverse beam search with Hamming diversity, Vijayakumar et al. 2018, algorithm 1: a group ranks a token lower for
    each hypothesis of the groups before it that goes on with it at the same step. Scores stay those of the model.

    Args:
        scores: [B, K], of the hypotheses.
        log_probs: [B, K, V], of the next token.
        groups: G, which divides K.
        diversity: by how many nats a token is ranked lower for each time that it has been taken.
        eos: id that ends a hypothesis; ending is never avoided.
    """
    n, beam_size, vocab_size = log_probs.shape
    size = beam_size // groups
    taken = torch.zeros(n, vocab_size, device=log_probs.device)
    found = []
    for first in range(0, beam_size, size):
        totals = scores[:, first : first + size, None] + log_probs[:, first : first + size]  # [B, S, V]
        ranks = (totals - diversity * taken[:, None]).flatten(1)
        index = ranks.topk(min(2 * size, ranks.shape[1]), dim=1).indices  # [B, 2S]
        tokens = index % vocab_size
        on = (tokens == eos).byte().argsort(dim=1, stable=True)[:, :size]  # those that do not end come first
        best = totals.flatten(1).gather(1, index)
        counted = (best.gather(1, on) > NEVER) & (tokens.gather(1, on) != eos)
        taken.scatter_add_(1, tokens.gather(1, on), counted.to(taken.dtype))
        found.append((best, first + index // vocab_size, tokens))
    return Continuations(*(torch.stack(parts, dim=1) for parts in zip(*found, strict=True)))


def guided_continuations(
    best: Continuations, scores: Tensor, log_probs: Tensor, constraints: Constraints, eos: int
) -> None:
    """Replaces, in place, the best continuations of sentences with required phrases by such as get on with these.

    Dynamic beam allocation, Post & Vilar 2018: a hypothesis that has come further with its phrases is less probable
    than others, and kept all the same. Of each stage (phrases it has, perhaps one that it is within) the best
    continuation is kept, then the best of all, as many as there are beams. They may end as in plain search, compared
    with those that have all phrases too.
    """
    beam_size = scores.shape[1]
    for place in range(len(scores)):
        if not (stages := 2 * constraints.phrases(place)):
            continue
        ending: list[_Candidate] = []
        by_stage: dict[int, list[_Candidate]] = defaultdict(list)
        for one in _candidates(place, scores[place], log_probs[place], constraints):
            if one.token == eos:
                ending.append(one)
            else:
                by_stage[constraints.stage(place * beam_size + one.parent, one.token)].append(one)
        for found in by_stage.values():
            found.sort(reverse=True)
        whole = sorted([*by_stage.get(stages, []), *ending], reverse=True)[:beam_size]
        ended = [one for one in whole if one.token == eos]
        firsts = _spread([by_stage[stage][0] for stage in sorted(by_stage)], beam_size)
        others = sorted(set().union(*by_stage.values()) - set(firsts), reverse=True)
        going_on = sorted([*firsts, *others[: beam_size - len(firsts)]], reverse=True)
        _put(best, place, [*ended, *going_on])


class _Candidate(NamedTuple):
    rank: float
    score: float
    parent: int
    token: int


def _candidates(place: int, scores: Tensor, log_probs: Tensor, constraints: Constraints) -> set[_Candidate]:
    """Returns the best continuations of each beam of a sentence, and those that bring it on with its phrases."""
    first = place * len(scores)
    top, tokens = largest(log_probs, min(2 * len(scores), log_probs.shape[1]))  # [K, 2K]
    found: set[_Candidate] = set()
    for beam, (score, row, ids) in enumerate(zip(scores.tolist(), top.tolist(), tokens.tolist(), strict=True)):
        if score == NEVER:
            continue
        wanted = constraints.wanted(first + beam)
        more_of = dict(zip([*ids, *wanted], [*row, *log_probs[beam, wanted].tolist()], strict=True))
        for token, more in more_of.items():
            if more > NEVER:
                rank = constraints.waived(first + beam, token, more).counted
                found.add(_Candidate(rank, score + more, beam, token))
    return found


def _spread(items: Sequence[_Candidate], n: int) -> list[_Candidate]:
    """Returns n of some items at most, at even distances, the last one included."""
    if len(items) <= n:
        return list(items)
    return [items[len(items) - 1 - i * len(items) // n] for i in range(n)]


def _put(best: Continuations, place: int, chosen: Sequence[_Candidate]) -> None:
    best.scores[place] = NEVER
    for tensor, values in zip(best, list(zip(*chosen, strict=True))[1:], strict=bool(chosen)):
        room = tensor[place, 0]
        room[: len(values)] = torch.tensor(values, dtype=room.dtype, device=room.device)


def largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
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
