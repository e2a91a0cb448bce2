"""Sampling from anything that can give the next token's logits."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

NEVER = -torch.inf

End = Literal["eos", "stop", "length"]


class Stepper(Protocol):
    """What sampling sees of a model: the protocol of beam search, where each row is a sentence of its own."""

    def start(self, beam_size: int) -> int:
        """Prepares one row for each prompt, up to all but its last token; returns the number of prompts."""

    def step(self, tokens: Tensor) -> Tensor:
        """Appends a token to each row, [N] int64; returns logits of the next one, [N, V] of any float type.

        Log-probabilities are logits too. Only the repetition penalty tells them from a model's own: it looks at signs.
        """

    def reorder(self, rows: Tensor) -> None:
        """Makes row i what row rows[i] was, rows: [N'] int64: rows double after `start` and leave after steps."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. The defaults draw from the model's own distribution.

    They act in the order in which they stand here, each on what the one before has left. That is the order of
    transformers, where equal settings therefore mean equal distributions.

    Attributes:
        repetition_penalty: above 0; 1 is off. Logits of tokens that occur in the prompt or in the output are divided
            by it where they are positive and multiplied where they are negative: CTRL, Keskar et al. 2019, section 4.1.
            The end of a text never counts as one.
        temperature: 0 or more, divides the logits; 0 is greedy: the most probable token, of equals the smallest id.
        top_k: 0 or more; keeps the k most probable tokens and what equals the last of them; 0 is off. Fan et al. 2018.
        top_p: above 0, up to 1; keeps the fewest most probable tokens that hold this share of the probability, of
            equals the smaller id; 1 is off. The nucleus of Holtzman et al. 2020, section 3.1.
        min_p: 0 to 1; keeps tokens at least this times as probable as the best; 0 is off. Nguyen et al. 2024.

    Raises:
        ValueError: a setting is out of its range.
    """

    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        for name, valid, meaning in (
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1"),
            ("min_p", 0 <= self.min_p <= 1, "0 to 1"),
        ):
            if not valid:  # NaN is in no range
                raise ValueError(f"{name} must be {meaning}, not {getattr(self, name)}")


class NewToken(NamedTuple):
    """A token that has been drawn.

    Attributes:
        prompt: number of its prompt.
        sample: which of the prompt's continuations it belongs to.
        token: its id.
        log_prob: its log-probability under the model, whatever the settings make of it, in nats.
        end: why it is the last of its continuation: it is eos, `stop` said so, or there is no room; None: it is not.
    """

    prompt: int
    sample: int
    token: int
    log_prob: float
    end: End | None


@dataclass
class _Row:
    """A continuation that is alive."""

    prompt: int
    sample: int
    key: tuple[int, ...]
    max_length: int
    given: list[int]  # what it is still to read before it draws, the next one last
    tokens: list[int] = field(default_factory=list)

    def end(self, eos: int | None, stop: Callable[[int, int, list[int]], bool] | None) -> End | None:
        """Returns why nothing follows the tokens, if so."""
        if self.tokens[-1] == eos:
            return "eos"
        if stop is not None and stop(self.prompt, self.sample, self.tokens):
            return "stop"
        return "length" if len(self.tokens) >= self.max_length else None


def sample(
    stepper: Stepper,
    sampling: Sampling,
    *,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[Sequence[tuple[int, ...]]],
    max_lengths: Sequence[int],
    given: Sequence[Sequence[int]] = (),
    eos: int | None = None,
    forbidden: Sequence[int] = (),
    stop: Callable[[int, int, list[int]], bool] | None = None,
    device: torch.device | None = None,
) -> Iterator[list[NewToken]]:
    """Continues prompts token by token and yields what each step has drawn, so that it can be shown at once.

    What is drawn follows from the row's logits, its key and the position alone: neither the batch nor its order counts.

    Args:
        stepper: gives logits.
        sampling: how a token is drawn.
        prompts: ids of each prompt, one or more, such as the bos of a translation. `stepper.start` has seen all but
            the last, which is fed first; all count for the repetition penalty.
        keys: for each prompt the keys of its continuations, such as (seed, number of the prompt, number of the sample).
        max_lengths: for each prompt the most tokens drawn, eos counted, at least one.
        given: for each prompt ids that it goes on with before anything is drawn: so prompts of different lengths are
            continued together, of which the stepper has read equally many tokens; empty: none for any.
        eos: id of the token that ends a continuation; None: there is none.
        forbidden: ids that are never drawn.
        stop: called with prompt, sample and the tokens drawn so far after each one but eos; says whether it was the
            last. What a token means in text is the caller's knowledge.
        device: where the stepper's logits are; None: the CPU.

    Yields:
        After each step one new token for each continuation that was alive, by prompt and sample; not for those that
        are still given tokens, and nothing where all are.

    Raises:
        ValueError: a prompt has no token, no key or no room; the stepper or an argument has another number of prompts.
        FloatingPointError: the stepper gave NaN, or nothing that may be drawn.
    """
    rows = [
        _Row(i, j, key, max_length, list(reversed(rest)))
        for i, (of_prompt, max_length, _, rest) in enumerate(
            zip(keys, max_lengths, prompts, given or [()] * len(prompts), strict=True)
        )
        for j, key in enumerate(of_prompt)
    ]
    if not all(map(len, prompts)) or not all(map(len, keys)) or min(max_lengths, default=1) < 1:
        raise ValueError("each prompt needs a token, a key and room for a new token")
    if (found := stepper.start(1)) != len(prompts):
        raise ValueError(f"the stepper has {found} prompts, not {len(prompts)}")
    copies = torch.tensor([row.prompt for row in rows], dtype=torch.long, device=device)
    barred = torch.tensor(forbidden, dtype=torch.long, device=device)
    stepper.reorder(copies)
    history = _fill(prompts, device)[copies]  # [N, T], all that a row has read; N shrinks as rows end, T grows
    while rows:
        logits = stepper.step(history[:, -1]).detach()  # [N, V]
        filtered = filtered_log_probs(logits.index_fill(1, barred, NEVER), sampling, history, eos)
        if filtered.isnan().any():
            raise FloatingPointError("the model's logits are not numbers, or nothing may be drawn")
        numbers = [uniform(*row.key, len(row.tokens)) for row in rows]
        tokens = draw(filtered, torch.tensor(numbers, dtype=torch.float64, device=device))  # [N]
        log_probs = logits.float().log_softmax(-1).gather(1, tokens[:, None])[:, 0]  # [N]
        new, kept = [], []
        for i, (row, token, log_prob) in enumerate(zip(rows, tokens.tolist(), log_probs.tolist(), strict=True)):
            end = None
            if row.given:
                tokens[i] = row.given.pop()
            else:
                row.tokens.append(token)
                end = row.end(eos, stop)
                new.append(NewToken(row.prompt, row.sample, token, log_prob, end))
            if end is None:
                kept.append(i)
        if new:
            yield new
        history = torch.cat([history, tokens[:, None]], dim=1)
        if len(kept) < len(rows):  # a cache is copied when it is reordered: not at every step
            rows = [rows[i] for i in kept]
            index = torch.tensor(kept, dtype=torch.long, device=device)
            stepper.reorder(index)
            history = history[index]


def _fill(prompts: Sequence[Sequence[int]], device: torch.device | None) -> Tensor:
    """Returns prompts as [B, T] int64, filled up at the left with a token they hold anyway: nothing else is seen."""
    longest = max(map(len, prompts), default=1)
    rows = [[*([prompt[0]] * (longest - len(prompt))), *prompt] for prompt in prompts]
    return torch.tensor(rows, dtype=torch.long, device=device).view(-1, longest)


def uniform(*key: int) -> float:
    """Returns a number in [0, 1), a multiple of 2^-53, that follows from the key alone.

    A hash of the key, not a generator for each row: there is no state to store, to copy or to advance, rows may come
    and go, and every device and platform draws alike. BLAKE2 takes about a microsecond, nothing beside a step of a
    model, and its numbers stay independent where keys differ in a single bit.
    """
    digest = blake2b(",".join(map(str, key)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def filtered_log_probs(
    logits: Tensor, sampling: Sampling, seen: Tensor | None = None, eos: int | None = None
) -> Tensor:
    """Returns the distribution from which the next token is drawn; see `Sampling` for the filters and their order.

    Args:
        logits: [N, V], any float type; -inf for what may not be drawn.
        sampling: the settings.
        seen: [N, T] int64, ids of the tokens in prompt and output, in any order, repeated or not; None: none.
        eos: id that is never penalised: where it occurs, it stands for the beginning of a text; None: there is none.

    Returns:
        Log-probabilities [N, V] float32, in nats, -inf for excluded tokens. The best token always stays. NaN in rows
        that hold NaN or infinity or nothing but -inf.
    """
    scores = logits.double()  # a nucleus is a sum over up to the whole vocabulary, compared with a bound
    if seen is not None and sampling.repetition_penalty != 1:
        old = scores.gather(1, seen)  # [N, T]
        penalised = torch.where(old < 0, old * sampling.repetition_penalty, old / sampling.repetition_penalty)
        if eos is not None:
            penalised = torch.where(seen == eos, old, penalised)
        scores = scores.scatter(1, seen, penalised)
    if sampling.temperature == 0:
        best = scores.argmax(dim=1, keepdim=True)  # the first of equals
        greedy = torch.full_like(scores, NEVER).scatter(1, best, scores.gather(1, best))
        return greedy.log_softmax(-1).float()
    scores = (scores - scores.amax(dim=1, keepdim=True)) / sampling.temperature  # the best is 0: nothing overflows
    if 0 < sampling.top_k < scores.shape[1]:
        scores = scores.masked_fill(scores < scores.topk(sampling.top_k).values[:, -1:], NEVER)
    if sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    if sampling.min_p > 0:
        scores = scores.masked_fill(scores < math.log(sampling.min_p), NEVER)  # log-ratios to the best
    return scores.log_softmax(-1).float()


def _nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Excludes from scores [N, V] what is not among the fewest best tokens with a probability of at least `top_p`."""
    ordered, index = scores.sort(dim=1, descending=True, stable=True)
    probs = ordered.softmax(-1)
    excluded = probs.cumsum(-1) - probs >= top_p  # what better tokens hold: 0 for the best, which therefore stays
    return scores.masked_fill(excluded.scatter(1, index, excluded), NEVER)


def draw(log_probs: Tensor, numbers: Tensor) -> Tensor:
    """Draws a token for each row by the inverse of its cumulative distribution.

    Args:
        log_probs: [N, V] float, in nats; -inf for tokens that cannot be drawn, at least one per row that can.
        numbers: [N] float64, in [0, 1).

    Returns:
        Ids [N] int64: the first token whose cumulative probability is above the number. Never one of probability 0.
    """
    probs = log_probs.double().exp()
    # On GPUs a cumulative sum may fall by a rounding error, so nothing here relies on its order: impossible tokens
    # are never above a number, and the largest sum, not the last or 1, is what numbers below 1 stay below.
    cumulative = probs.cumsum(-1).masked_fill(probs == 0, 0.0)
    bounds = numbers[:, None] * cumulative.amax(dim=1, keepdim=True)
    return (cumulative > bounds).byte().argmax(dim=1)  # the first of equals
