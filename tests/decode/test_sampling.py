"""Sampling against distributions computed by hand, and against transformers."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.config import ModelSettings
from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.sampling import NewToken, Sampling, Stepper, draw, filtered_log_probs, sample, uniform
from seq2seq.decode.stepper import TransformerStepper
from seq2seq.model.transformer import Transformer

V, EOS = 7, 1
BELOW_ONE = 1 - 2.0**-53
NEVER = -math.inf
PLAIN = Sampling()


class TableStepper:
    """A model whose next logits are a fixed random function of all that a row has read, the prompt included."""

    PRIME = 997

    def __init__(self, prompts: Sequence[Sequence[int]], sharpness: float = 1.5, vocab_size: int = V) -> None:
        self.table = torch.randn(self.PRIME, vocab_size, generator=torch.Generator().manual_seed(1)) * sharpness
        self.prompts = prompts
        self.calls: list[str] = []

    def read(self, state: Tensor, tokens: Tensor) -> Tensor:
        return (state * 31 + tokens + 1) % self.PRIME

    def logits(self, tokens: Sequence[int]) -> Tensor:
        state = torch.tensor(0)
        for token in tokens:
            state = self.read(state, torch.tensor(token))
        return self.table[state]

    def start(self, beam_size: int) -> int:
        assert beam_size == 1
        self.state = torch.zeros(len(self.prompts), dtype=torch.long)
        for i, prompt in enumerate(self.prompts):
            for token in prompt[:-1]:
                self.state[i] = self.read(self.state[i], torch.tensor(token))
        return len(self.prompts)

    def step(self, tokens: Tensor) -> Tensor:
        self.calls.append("step")
        self.state = self.read(self.state, tokens)
        return self.table[self.state]

    def reorder(self, rows: Tensor) -> None:
        self.calls.append("reorder")
        self.state = self.state[rows]


def softmax(scores: Sequence[float]) -> list[float]:
    best = max(scores)
    weights = [math.exp(x - best) for x in scores]
    return [w / sum(weights) for w in weights]


def by_hand(logits: Sequence[float], sampling: Sampling, seen: Sequence[int] = ()) -> list[float]:
    """Probabilities that `filtered_log_probs` should give for one row, token by token."""
    scores = list(logits)
    for i in set(seen):
        scores[i] = (
            scores[i] * sampling.repetition_penalty if scores[i] < 0 else scores[i] / sampling.repetition_penalty
        )
    if sampling.temperature == 0:
        return [float(i == scores.index(max(scores))) for i in range(len(scores))]
    scores = [x / sampling.temperature for x in scores]
    if sampling.top_k:
        last = sorted(scores, reverse=True)[: sampling.top_k][-1]
        scores = [x if x >= last else NEVER for x in scores]
    if sampling.top_p < 1:
        probs, nucleus = softmax(scores), set[int]()
        for i in sorted(range(len(probs)), key=lambda i: (-probs[i], i)):
            if math.fsum(probs[j] for j in nucleus) < sampling.top_p:
                nucleus.add(i)
        scores = [x if i in nucleus else NEVER for i, x in enumerate(scores)]
    best = max(softmax(scores))
    scores = [x if p >= sampling.min_p * best else NEVER for x, p in zip(scores, softmax(scores), strict=True)]
    return softmax(scores)


def random_settings(random: Random) -> Sampling:
    """Each filter on or off."""
    return Sampling(
        repetition_penalty=random.choice([1.0, 1.3, 0.8]),
        temperature=random.choice([1.0, 0.6, 1.7]),
        top_k=random.choice([0, 1, 3, 10, 99]),
        top_p=random.choice([1.0, 0.95, 0.5, 0.01]),
        min_p=random.choice([0.0, 0.05, 0.4, 1.0]),
    )


def keys_for(prompts: int, samples: int, seed: int = 5) -> list[list[tuple[int, ...]]]:
    return [[(seed, i, j) for j in range(samples)] for i in range(prompts)]


def run(
    prompts: Sequence[Sequence[int]],
    keys: Sequence[Sequence[tuple[int, ...]]],
    lengths: Sequence[int],
    sampling: Sampling = PLAIN,
    stepper: Stepper | None = None,
    **more: Any,
) -> Iterator[list[NewToken]]:
    stepper = stepper or TableStepper(prompts)
    return sample(stepper, sampling, prompts=prompts, keys=keys, max_lengths=lengths, **more)


def collect(steps: Iterator[list[NewToken]]) -> dict[tuple[int, int], list[NewToken]]:
    found: dict[tuple[int, int], list[NewToken]] = {}
    for step in steps:
        for token in step:
            found.setdefault(token[:2], []).append(token)
    return found


def assert_frequencies(found: Counter[Any], expected: dict[Any, float]) -> None:
    """Pearson's chi-squared test at a level of 0.1 %; rare outcomes count as one."""
    total = sum(found.values())
    assert set(found) <= {outcome for outcome, p in expected.items() if p > 0}
    cells = [(found[outcome], total * p) for outcome, p in expected.items() if total * p >= 5]
    rare = total - sum(n for n, _ in cells), total - sum(e for _, e in cells)
    cells += [rare] if rare[1] > 1e-6 else []
    df = len(cells) - 1
    bound = df * (1 - 2 / (9 * df) + 3.09 * math.sqrt(2 / (9 * df))) ** 3  # Wilson and Hilferty 1931
    assert sum((n - e) ** 2 / e for n, e in cells) < bound


# ---- the filters ----


def test_each_filter_and_all_together_against_computing_by_hand() -> None:
    random, generator = Random(1), torch.Generator().manual_seed(1)
    for _ in range(150):
        size = random.choice([1, 2, 7, 30])
        logits = torch.randn(3, size, generator=generator, dtype=torch.float64) * 3
        logits[logits < -4] = NEVER
        logits[:, 0] = 0.5
        seen = torch.randint(size, (3, random.choice([0, 1, 9])), generator=generator)
        sampling = random_settings(random)
        found = filtered_log_probs(logits, sampling, seen)
        assert found.dtype == torch.float32
        expected = [by_hand(x.tolist(), sampling, s.tolist()) for x, s in zip(logits, seen, strict=True)]
        torch.testing.assert_close(found.exp(), torch.tensor(expected), atol=1e-6, rtol=1e-5)
        assert torch.equal(found > NEVER, torch.tensor(expected) > 0)


def test_each_filter_and_all_together_against_transformers() -> None:
    theirs = pytest.importorskip("transformers")
    random, generator = Random(2), torch.Generator().manual_seed(2)
    for case in range(150):
        logits = torch.randn(4, 50, generator=generator, dtype=torch.float64) * 3
        seen = torch.randint(50, (4, 12), generator=generator)
        sampling = random_settings(random)
        if case < 50:  # one filter alone
            name = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p")[case % 5]
            sampling = replace(PLAIN, **{name: getattr(sampling, name)})
        chain = theirs.LogitsProcessorList([theirs.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)])
        chain.append(theirs.TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k:
            chain.append(theirs.TopKLogitsWarper(sampling.top_k))
        chain.append(theirs.TopPLogitsWarper(sampling.top_p))
        chain.append(theirs.MinPLogitsWarper(sampling.min_p))
        expected = chain(seen, logits.clone()).log_softmax(-1).float()
        torch.testing.assert_close(filtered_log_probs(logits, sampling, seen), expected, atol=1e-5, rtol=1e-5)


def test_the_order_of_the_filters_counts() -> None:
    logits = torch.tensor([[0.50, 0.30, 0.12, 0.08]]).log()

    def kept(**settings: float) -> list[float]:
        return filtered_log_probs(logits, Sampling(**settings)).exp()[0].tolist()  # type: ignore[arg-type]

    # Of the best two the first holds 0.625, of all 0.5: a nucleus of 0.6 behind top-k is one token, alone two.
    assert kept(top_p=0.6) == pytest.approx([0.625, 0.375, 0, 0])
    assert kept(top_k=2, top_p=0.6) == pytest.approx([1, 0, 0, 0])
    # At temperature 1/2 the probabilities are as 0.25, 0.09, 0.0144, 0.0064.
    assert kept(temperature=0.5, top_p=0.6) == pytest.approx([1, 0, 0, 0])
    assert kept(temperature=0.5, min_p=0.3) == pytest.approx([0.25 / 0.34, 0.09 / 0.34, 0, 0])
    # The penalty comes before the temperature and doubles the (negative) logit of the first.
    seen = torch.tensor([[0, 0]])
    penalised = filtered_log_probs(logits, Sampling(repetition_penalty=2.0, temperature=0.5, top_k=2), seen).exp()[0]
    assert penalised.tolist() == pytest.approx([0.0625 / 0.1525, 0.09 / 0.1525, 0, 0])
    # The end of a text is not penalised for having been read: it stands in front of a text too.
    spared = filtered_log_probs(logits, Sampling(repetition_penalty=2.0), seen, eos=0)
    assert torch.equal(spared, filtered_log_probs(logits, Sampling()))


def test_zero_temperature_is_greedy_is_the_best_one() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(50, 20, generator=generator)
    seen = torch.randint(20, (50, 5), generator=generator)
    for penalty in (1.0, 1.5):
        greedy = filtered_log_probs(logits, Sampling(temperature=0.0, repetition_penalty=penalty), seen)
        for one in (Sampling(top_k=1), Sampling(top_p=1e-9), Sampling(min_p=1.0), Sampling(temperature=1e-9)):
            found = filtered_log_probs(logits, replace(one, repetition_penalty=penalty), seen)
            assert torch.equal(found.exp(), greedy.exp())
    assert greedy.amax(dim=1).tolist() == [0.0] * 50
    best = filtered_log_probs(logits, Sampling(temperature=0.0)).argmax(dim=1)
    assert torch.equal(best, logits.argmax(dim=1))


def test_ties() -> None:
    logits = torch.tensor([[0.0, 2.0, 2.0, 2.0, 1.0]])

    def kept(**settings: float) -> list[int]:
        found = filtered_log_probs(logits, Sampling(**settings))  # type: ignore[arg-type]
        return (found[0] > NEVER).nonzero()[:, 0].tolist()

    assert kept(temperature=0.0) == [1]
    assert kept(top_k=1) == kept(top_k=2) == kept(min_p=1.0) == [1, 2, 3]
    assert kept(top_k=4) == [1, 2, 3, 4]
    assert kept(top_p=0.01) == [1]
    assert kept(top_p=0.5) == [1, 2]
    equal = filtered_log_probs(torch.zeros(1, 8), Sampling(top_p=0.5))
    assert equal.exp()[0].tolist() == pytest.approx([0.25] * 4 + [0.0] * 4)


EXTREME = [
    [1e4, 0.0, -1e4, 5.0],
    [1e4, 1e4, 1e4, 1e4],
    [-1e4, -1e4, -1e4, -2e4],
    [NEVER, NEVER, 3.0, NEVER],
    [NEVER, -1e4, NEVER, 1e4],
    [3e38, -3e38, 0.0, 3e38],
    [0.0, 0.0, 0.0, 0.0],
]


def test_extreme_numbers_stay_finite_and_one_token_stays() -> None:
    logits = torch.tensor(EXTREME)
    seen = torch.tensor([[0, 1, 2, 3]] * len(EXTREME))
    for temperature in (0.0, 1e-300, 1e-9, 1.0, 1e9, 1e300):
        for top_k in (0, 1, 2):
            for top_p in (1e-300, 0.5, BELOW_ONE, 1.0):
                for min_p in (0.0, 1e-300, 1.0):
                    sampling = Sampling(1.2, temperature, top_k, top_p, min_p)
                    found = filtered_log_probs(logits, sampling, seen)
                    assert not found.isnan().any()
                    assert found.exp().sum(dim=1).tolist() == pytest.approx([1.0] * len(EXTREME))
                    assert not (found > NEVER)[logits == NEVER].any()
                    for u in (0.0, 0.5, BELOW_ONE):
                        tokens = draw(found, torch.full((len(EXTREME),), u, dtype=torch.float64))
                        assert (found.gather(1, tokens[:, None]) > NEVER).all()


def test_every_float_type_gives_the_distribution_of_its_numbers() -> None:
    sampling = Sampling(1.3, 0.7, 9, 0.9, 0.01)
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(4)) * 3
    seen = torch.tensor([[1, 2, 2]] * 5)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        rounded = logits.to(dtype)
        untouched = rounded.clone()
        found = filtered_log_probs(rounded, sampling, seen)
        assert found.dtype == torch.float32
        assert torch.equal(found, filtered_log_probs(rounded.double(), sampling, seen))
        assert torch.equal(rounded, untouched)


def test_numbers_that_are_none_are_not_hidden() -> None:
    bad = torch.tensor([[0.0, math.nan, 1.0], [0.0, math.inf, 1.0], [NEVER, NEVER, NEVER]])
    for sampling in (Sampling(), Sampling(temperature=0.0), Sampling(1.2, 0.5, 2, 0.5, 0.5)):
        assert filtered_log_probs(bad, sampling, torch.tensor([[0]] * 3)).isnan().any(dim=1).all()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("temperature", (-0.1, math.nan, math.inf)),
        ("top_k", (-1,)),
        ("top_p", (0.0, -0.5, 1.1, math.nan)),
        ("min_p", (-0.1, 1.1, math.nan)),
        ("repetition_penalty", (0.0, -1.0, math.nan, math.inf)),
    ],
)
def test_settings_out_of_range(name: str, wrong: tuple[float, ...]) -> None:
    for value in wrong:
        with pytest.raises(ValueError, match=f"{name} must be .*, not {value}"):
            Sampling(**{name: value})  # type: ignore[arg-type]


# ---- drawing ----


def test_draw_inverts_the_cumulative_distribution() -> None:
    generator = torch.Generator().manual_seed(6)
    for _ in range(30):
        log_probs = (torch.randn(40, 12, generator=generator) * 4).log_softmax(-1)
        log_probs[torch.rand(40, 12, generator=generator) < 0.4] = NEVER
        log_probs[:, 5] = -2.0
        numbers = torch.rand(40, generator=generator, dtype=torch.float64)
        numbers[0], numbers[1] = 0.0, BELOW_ONE
        columns = log_probs.double().exp(), numbers, draw(log_probs, numbers)
        for row, u, token in zip(*(column.tolist() for column in columns), strict=True):
            assert row[token] > 0
            below = math.fsum(row[:token])
            assert below <= u * math.fsum(row) + 1e-12
            assert below + row[token] > u * math.fsum(row) - 1e-12


def test_the_first_and_the_last_number_draw_the_first_and_the_last_possible_token() -> None:
    log_probs = torch.tensor([[NEVER, NEVER, -30.0, 0.0, -40.0, NEVER, NEVER]]).log_softmax(-1)
    assert draw(log_probs, torch.tensor([0.0], dtype=torch.float64)).tolist() == [2]
    assert draw(log_probs, torch.tensor([0.5], dtype=torch.float64)).tolist() == [3]
    last = torch.tensor([[NEVER, -1.0, -1.0, NEVER, NEVER]])  # need not sum to 1
    assert draw(last, torch.tensor([BELOW_ONE], dtype=torch.float64)).tolist() == [2]


def test_each_of_many_rare_tokens_has_its_place() -> None:
    size = 50_000
    log_probs = torch.zeros(1, size).log_softmax(-1)
    places = torch.tensor([0, 1, 777, 25_000, size - 2, size - 1])
    for within in (1e-4, 1 - 1e-4):
        numbers = (places.double() + within) / size
        assert torch.equal(draw(log_probs.expand(len(places), size), numbers), places)


def test_sums_that_fall_by_a_rounding_error_draw_nothing_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel sums, as on GPUs, do not only grow."""
    log_probs = torch.tensor([[NEVER, -1.0, NEVER, NEVER, -1.0, NEVER, -1.0, NEVER, NEVER]])
    exact = log_probs.double().exp().cumsum(-1)
    noise = torch.randn(500, 9, generator=torch.Generator().manual_seed(7), dtype=torch.float64) * 1e-15
    monkeypatch.setattr(Tensor, "cumsum", lambda *_: exact + noise)
    for bound in (0.0, *(exact[0] / exact.max()).clamp(max=BELOW_ONE).tolist()):
        tokens = draw(log_probs.expand(500, 9), torch.full((500,), bound, dtype=torch.float64))
        assert set(tokens.tolist()) <= {1, 4, 6}


def test_numbers_are_uniform_and_follow_from_the_key_alone() -> None:
    assert uniform(1, 0, 0, 0) == uniform(1, 0, 0, 0)
    # What a seed draws must not change from version to version.
    assert [uniform(), uniform(1), uniform(1, 2, 3, 4)] == [
        0.8931675160897388,
        0.9647866495940682,
        0.31771785716913914,
    ]
    keys = [(1, 23), (12, 3), (123,), (1, 2, 3), (3, 2, 1), (-1, 23), (10**30, 1), (1, 10**30)]
    assert len({uniform(*key) for key in keys}) == len(keys)
    for fixed in ((), (7,), (7, 3), (7, 3, 1)):  # each counter alone is as good as random, beside those that stand
        numbers = [uniform(*fixed, i) for i in range(4000)]
        assert all(0 <= u < 1 for u in numbers)
        cells = {(i,): 1 / 50 for i in range(50)}
        assert_frequencies(Counter((int(u * 50),) for u in numbers), cells)
        pairs = Counter((int(a * 7), int(b * 7)) for a, b in pairwise(numbers))
        assert_frequencies(pairs, {(i, j): 1 / 49 for i in range(7) for j in range(7)})


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.4, 0.8, 5, 0.93, 0.04)])
def test_frequencies_of_two_tokens_are_the_exact_distribution(sampling: Sampling) -> None:
    prompt, n = [3, 4], 20_000
    stepper = TableStepper([prompt], sharpness=1.0, vocab_size=6)
    keys = [[(1, i) for i in range(n)]]
    found = collect(run([prompt], keys, [2], sampling, stepper))
    pairs = Counter(tuple(token.token for token in tokens) for tokens in found.values())
    expected = {}
    for i, p in enumerate(by_hand(stepper.logits(prompt).tolist(), sampling, prompt)):
        for j, q in enumerate(by_hand(stepper.logits([*prompt, i]).tolist(), sampling, [*prompt, i])):
            expected[i, j] = p * q
    assert sum(pairs.values()) == n
    assert_frequencies(pairs, expected)


# ---- whole continuations ----


PROMPTS = [[2], [3, 4, 5, 2, 6], [4, 4], [0, 1, 2], [6]]
LENGTHS = [9, 6, 12, 1, 5]


def alone(
    prompt: list[int], key: tuple[int, ...], length: int, sampling: Sampling, forbidden: list[int]
) -> list[tuple[Any, ...]]:
    """What should follow one prompt: (token, log-probability, end) each, by hand."""
    model, out = TableStepper([]), list[tuple[Any, ...]]()
    while not out or out[-1][2] is None:
        logits = model.logits([*prompt, *(token for token, *_ in out)])
        allowed = [NEVER if i in forbidden else x for i, x in enumerate(logits.tolist())]
        probs = by_hand(allowed, sampling, [*prompt, *(token for token, *_ in out)])
        u, token = uniform(*key, len(out)), 0
        while math.fsum(probs[: token + 1]) <= u:
            token += 1
        end = "eos" if token == EOS else "length" if len(out) + 1 == length else None
        out.append((token, float(logits.log_softmax(-1)[token]), end))
    return out


def test_continuations_against_computing_by_hand() -> None:
    """Prompts and samples of different lengths in one batch are what each is alone."""
    random, ends = Random(8), Counter[str | None]()
    for case in range(12):
        sampling = random_settings(random) if case else Sampling(repetition_penalty=1.3, temperature=0.0)
        forbidden = random.choice([[], [0], [0, 5]])
        keys = keys_for(len(PROMPTS), 3, seed=case)
        found = collect(run(PROMPTS, keys, LENGTHS, sampling, eos=EOS, forbidden=forbidden))
        assert len(found) == 3 * len(PROMPTS)
        for (i, j), tokens in found.items():
            expected = alone(PROMPTS[i], keys[i][j], LENGTHS[i], sampling, forbidden)
            assert [(t.token, t.end) for t in tokens] == [(token, end) for token, _, end in expected]
            assert [t.log_prob for t in tokens] == pytest.approx([log_prob for _, log_prob, _ in expected], abs=1e-5)
            ends[tokens[-1].end] += 1
    assert ends["eos"] > 20 and ends["length"] > 20


def test_the_same_keys_in_other_batches_and_orders_draw_the_same() -> None:
    keys = keys_for(len(PROMPTS), 4)
    settings = Sampling(repetition_penalty=1.1, top_p=0.95)

    def texts(order: Sequence[int]) -> dict[tuple[int, ...], list[tuple[Any, ...]]]:
        prompts, lengths = [PROMPTS[i] for i in order], [LENGTHS[i] for i in order]
        found = run(prompts, [keys[i] for i in order], lengths, settings, eos=EOS)
        return {keys[order[i]][j]: [t[2:] for t in tokens] for (i, j), tokens in collect(found).items()}

    together = texts(range(5))
    assert len({str(tokens) for tokens in together.values()}) > 10  # keys do make a difference
    assert texts([3, 1, 4, 0, 2]) == together
    assert {**texts([2, 0]), **texts([1]), **texts([4, 3])} == together
    one = collect(run(PROMPTS[:1], [keys[0][2:3]], LENGTHS[:1], settings, eos=EOS))
    assert [t[2:] for t in one[0, 0]] == together[keys[0][2]]


def test_a_row_that_is_stopped_leaves_and_changes_no_other() -> None:
    keys = keys_for(5, 3)
    free = collect(run(PROMPTS, keys, [20] * 5, eos=EOS))
    asked: list[tuple[int, int, list[int]]] = []

    def stop(prompt: int, number: int, tokens: list[int]) -> bool:
        asked.append((prompt, number, list(tokens)))
        return prompt % 2 == 0 and tokens[-1] == 3

    stopped = collect(run(PROMPTS, keys, [20] * 5, eos=EOS, stop=stop))
    assert {tokens[-1].end for tokens in stopped.values()} >= {"stop", "eos"}
    for (i, j), tokens in free.items():
        ids = [t.token for t in tokens]
        if i % 2 == 0 and 3 in ids:
            cut = ids.index(3) + 1
            assert [t.token for t in stopped[i, j]] == ids[:cut]
            assert stopped[i, j][-1].end == "stop"
            ids = ids[:cut]
        else:
            assert stopped[i, j] == tokens
        before_eos = len(ids) - (ids[-1] == EOS)
        expected = [ids[:n] for n in range(1, before_eos + 1)]
        assert [tokens for *row, tokens in asked if row == [i, j]] == expected


def test_tokens_come_as_they_are_drawn_and_caches_move_only_when_a_row_leaves() -> None:
    stepper = TableStepper(PROMPTS[:2])
    steps = run(PROMPTS[:2], keys_for(2, 2), [2, 4], stepper=stepper)
    assert stepper.calls == []
    assert [(t.prompt, t.sample) for t in next(steps)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert stepper.calls == ["reorder", "step"]
    assert [t.end for t in next(steps)] == ["length", "length", None, None]
    assert stepper.calls == ["reorder", "step", "step"]
    assert [[t.end for t in step] for step in steps] == [[None, None], ["length", "length"]]
    assert stepper.calls == ["reorder", "step", "step", "reorder", "step", "step", "reorder"]


def test_nothing_to_continue_and_what_cannot_be() -> None:
    assert list(run([], [], [])) == []
    for prompt, keys, length in (([], [(1,)], 1), ([2], [], 1), ([2], [(1,)], 0)):
        with pytest.raises(ValueError, match="each prompt needs a token, a key and room for a new token"):
            next(run([prompt], [keys], [length]))
    with pytest.raises(ValueError, match="the stepper has 2 prompts, not 1"):
        next(run([[2]], [[(1,)]], [1], stepper=TableStepper([[2], [3]])))
    with pytest.raises(ValueError, match="zip"):
        next(run([[2]], [[(1,)]], [1, 2]))


def test_numbers_that_are_none_stop_the_sampling() -> None:
    broken = TableStepper([[2]])
    broken.table[:] = math.nan
    for sampling in (Sampling(), Sampling(temperature=0.0)):
        with pytest.raises(FloatingPointError, match="not numbers"):
            next(run([[2]], [[(1,)]], [1], sampling, broken))
        with pytest.raises(FloatingPointError, match="nothing may be drawn"):
            next(run([[2]], [[(1,)]], [1], sampling, forbidden=range(V)))


# ---- with a model ----


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(1)
    sizes = ModelSettings(layers=2, d_model=16, heads=2, d_feedforward=32, dropout=0.0)
    return Transformer(sizes, 20, 20, shared=True).eval().requires_grad_(False)


SOURCES = [[5, 6, 7, 3], [8, 3], [9, 10, 3]]


def test_greedy_sampling_of_a_translation_is_a_beam_of_one(model: Transformer) -> None:
    beams = beam_search(TransformerStepper(model, SOURCES), Search(1), max_lengths=[8] * 3, bos=2, eos=3, forbidden=[0])
    stepper = TransformerStepper(model, SOURCES)
    greedy = Sampling(temperature=0.0)
    found = collect(run([[2]] * 3, keys_for(3, 1), [8] * 3, greedy, stepper, eos=3, forbidden=[0]))
    for i, (hypothesis,) in enumerate(beams):
        tokens = [t for t in found[i, 0] if t.token != 3]
        assert [t.token for t in tokens] == hypothesis.tokens
        # A hypothesis at the longest length is charged with the eos that it is made to end with.
        if not hypothesis.truncated:
            assert sum(t.log_prob for t in found[i, 0]) == pytest.approx(hypothesis.log_prob, abs=1e-4)


def test_several_samples_of_a_translation_are_those_of_each_alone(model: Transformer) -> None:
    keys = keys_for(3, 4)
    found = collect(run([[2]] * 3, keys, [8] * 3, stepper=TransformerStepper(model, SOURCES), eos=3))
    assert len({str(tokens) for tokens in found.values()}) == 12
    for (i, j), tokens in found.items():
        alone = TransformerStepper(model, SOURCES[i : i + 1])
        (expected,) = collect(run([[2]], [[keys[i][j]]], [8], stepper=alone, eos=3)).values()
        assert [t.token for t in tokens] == [t.token for t in expected]
        assert [t.log_prob for t in tokens] == pytest.approx([t.log_prob for t in expected], abs=1e-5)
