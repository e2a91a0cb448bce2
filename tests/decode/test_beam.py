"""Search against exhaustive enumeration on a vocabulary of five."""

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import Hypothesis, LengthPenalty
from seq2seq.decode.continuations import largest

V, BOS, EOS = 5, 0, 1
LONGEST = 4


class TableStepper:
    """A model whose next-token distribution is a fixed random function of the whole prefix, for each sentence."""

    def __init__(self, sentences: int, sharpness: float = 2.0, seed: int = 0) -> None:
        self.sentences = sentences
        self.sharpness = sharpness
        self.seed = seed
        self.rows: list[tuple[int, tuple[int, ...]]] = []

    def log_probs(self, sentence: int, prefix: Sequence[int]) -> Tensor:
        key = self.seed
        for number in (sentence, *prefix):
            key = (key * 31 + number + 1) % 2**31
        logits = torch.randn(V, generator=torch.Generator().manual_seed(key)) * self.sharpness
        return logits.log_softmax(-1)

    def start(self, beam_size: int) -> int:
        self.rows = [(i, ()) for i in range(self.sentences) for _ in range(beam_size)]
        return self.sentences

    def step(self, tokens: Tensor) -> Tensor:
        self.rows = [(i, (*prefix, int(t))) for (i, prefix), t in zip(self.rows, tokens, strict=True)]
        return torch.stack([self.log_probs(i, prefix) for i, prefix in self.rows])

    def reorder(self, rows: Tensor) -> None:
        self.rows = [self.rows[i] for i in rows.tolist()]

    def forced(self, sentence: int, tokens: Sequence[int]) -> float:
        """Log-probability of a whole hypothesis."""
        ids = [*tokens, EOS]
        return sum(float(self.log_probs(sentence, (BOS, *ids[:t]))[ids[t]]) for t in range(len(ids)))


class WaitingStepper(TableStepper):
    """A table that starts with some of its sentences; the others wait for a place."""

    at_once = 3

    def start(self, beam_size: int) -> int:
        super().start(beam_size)
        self.beam_size, self.next = beam_size, self.at_once
        self.rows = self.rows[: self.at_once * beam_size]
        return self.at_once

    def refill(self, places: list[int]) -> None:
        for place in places:
            rows = slice(place * self.beam_size, (place + 1) * self.beam_size)
            self.rows[rows] = [(self.next, ())] * self.beam_size
            self.next += 1


def exhaustive(
    stepper: TableStepper, sentence: int, penalty: LengthPenalty, longest: int = LONGEST, shortest: int = 0
) -> list[tuple[float, list[int]]]:
    """All hypotheses with their scores, the best first."""
    found = []
    for length in range(shortest, longest + 1):
        for tokens in itertools.product([t for t in range(V) if t != EOS], repeat=length):
            found.append((stepper.forced(sentence, tokens) / penalty(length + 1), list(tokens)))
    return sorted(found, key=lambda row: -row[0])


def search(stepper: TableStepper, beam_size: int, penalty: LengthPenalty, **more: int) -> list[list[Hypothesis]]:
    return beam_search(
        stepper,
        Search(beam_size, penalty=penalty, **more),  # type: ignore[arg-type]
        max_lengths=[LONGEST] * stepper.sentences,
        bos=BOS,
        eos=EOS,
    )


@pytest.mark.parametrize("norm", ["gnmt", "length"])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
def test_wide_beam_equals_exhaustive_search(norm: str, alpha: float) -> None:
    penalty = LengthPenalty(norm, alpha)  # type: ignore[arg-type]
    for seed in range(5):
        stepper = TableStepper(sentences=2, seed=seed)
        found = search(stepper, 4**LONGEST, penalty, n_best=10)
        for sentence in range(2):
            expected = exhaustive(stepper, sentence, penalty)[:10]
            assert [h.tokens for h in found[sentence]] == [tokens for _, tokens in expected]
            assert [h.score for h in found[sentence]] == pytest.approx([score for score, _ in expected], abs=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
def test_search_score_is_forced_score(alpha: float) -> None:
    penalty = LengthPenalty("gnmt", alpha)
    stepper = TableStepper(sentences=3, seed=5)
    for i, hypotheses in enumerate(search(stepper, 3, penalty, n_best=3)):
        assert hypotheses == sorted(hypotheses, key=lambda h: -h.score)
        for hypothesis in hypotheses:
            assert hypothesis.log_prob == pytest.approx(stepper.forced(i, hypothesis.tokens), abs=1e-5)
            assert hypothesis.score == pytest.approx(
                hypothesis.log_prob / penalty(len(hypothesis.tokens) + 1), abs=1e-6
            )


def test_beam_of_one_is_greedy() -> None:
    for seed in range(30):
        stepper = TableStepper(sentences=1, sharpness=0.5, seed=seed)
        tokens: list[int] = []
        while len(tokens) < LONGEST and (t := int(stepper.log_probs(0, (BOS, *tokens)).argmax())) != EOS:
            tokens.append(t)
        ((found,),) = search(stepper, 1, LengthPenalty("gnmt", 2.0))
        assert found.tokens == tokens


def test_stopping_early_loses_nothing() -> None:
    """The best of a narrow beam is the best of all that ends in that beam, however long it is followed."""
    for seed in range(20):
        stepper = TableStepper(sentences=1, sharpness=3.0, seed=seed)
        penalty = LengthPenalty("length", 1.0)
        ((one,),) = search(stepper, 4, penalty)
        (several,) = search(stepper, 4, penalty, n_best=4)
        assert one == several[0]


def test_sentences_do_not_influence_each_other() -> None:
    together = search(TableStepper(sentences=6, seed=2), 3, LengthPenalty(), n_best=2)
    for i in range(6):
        alone = TableStepper(sentences=1, seed=2)
        alone.log_probs = lambda _, prefix, i=i: TableStepper.log_probs(alone, i, prefix)  # type: ignore[method-assign]
        assert search(alone, 3, LengthPenalty(), n_best=2)[0] == together[i]


def test_each_sentence_has_its_own_longest_length() -> None:
    stepper = TableStepper(sentences=4, seed=1)
    found = beam_search(stepper, Search(2, min_length=9), max_lengths=[0, 1, 2, 9], bos=BOS, eos=EOS, forbidden=(BOS,))
    assert [len(hypotheses[0].tokens) for hypotheses in found] == [0, 1, 2, 9]
    for i, (hypothesis,) in enumerate(found):
        assert hypothesis.truncated
        assert hypothesis.log_prob == pytest.approx(stepper.forced(i, hypothesis.tokens), abs=1e-5)


def test_shortest_length_and_forbidden_tokens() -> None:
    stepper = TableStepper(sentences=3, seed=3)
    penalty = LengthPenalty("none")
    found = search(stepper, 4**LONGEST, penalty, min_length=2)
    for i in range(3):
        assert found[i][0].tokens == exhaustive(stepper, i, penalty, shortest=2)[0][1]
    for hypotheses in beam_search(
        stepper, Search(5, n_best=5), max_lengths=[4] * 3, bos=BOS, eos=EOS, forbidden=(2, 3)
    ):
        assert all(not {2, 3} & set(hypothesis.tokens) for hypothesis in hypotheses)


def test_equal_token_probabilities_give_equal_scores_at_any_length() -> None:
    penalty = LengthPenalty("length", 1.0)
    assert -0.5 * 3 / penalty(3) == pytest.approx(-0.5 * 9 / penalty(9))
    assert LengthPenalty("gnmt", 0.6)(7) == pytest.approx(2**0.6)
    assert LengthPenalty("none", 0.6)(7) == 1.0


def test_no_sentences_and_too_many_wanted() -> None:
    assert search(TableStepper(sentences=0), 2, LengthPenalty()) == []
    with pytest.raises(ValueError, match="n_best is 3, more than beam_size, 2"):
        search(TableStepper(sentences=1), 2, LengthPenalty(), n_best=3)


def test_numbers_that_are_none_stop_the_search() -> None:
    stepper = TableStepper(sentences=2)
    stepper.log_probs = lambda *_: torch.full((V,), torch.nan)  # type: ignore[method-assign]
    with pytest.raises(FloatingPointError, match="not numbers"):
        search(stepper, 2, LengthPenalty())


@pytest.mark.parametrize("beam_size", [1, 3])
def test_sentences_that_wait_for_a_place_are_searched_as_if_all_had_one(beam_size: int) -> None:
    limits = [LONGEST, 1, 3, LONGEST, 2, LONGEST, LONGEST, 0]

    for seed in range(10):
        how = Search(beam_size)
        options = {"max_lengths": limits, "bos": [0, 2, 3, 4, 0, 2, 3, 4], "eos": EOS}
        expected = beam_search(TableStepper(len(limits), seed=seed), how, **options)  # type: ignore[arg-type]
        waiting = WaitingStepper(len(limits), seed=seed)
        found = beam_search(waiting, how, refill=waiting.refill, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="3 of 8 sentences: give refill"):
            beam_search(WaitingStepper(len(limits), seed=seed), how, **options)  # type: ignore[arg-type]
        assert waiting.next == len(limits)
        assert [[h.tokens for h in of] for of in found] == [[h.tokens for h in of] for of in expected]
        scores = [[h.score for h in of] for of in expected]
        assert [[h.score for h in of] for of in found] == [pytest.approx(of) for of in scores]


@pytest.mark.parametrize("width", [5, 640, 700, 8000])
def test_largest_entries_are_those_of_topk(width: int) -> None:
    x = torch.randn(7, width, generator=torch.Generator().manual_seed(0))
    x[0, :] = -torch.inf
    x[1, 3], x[2, -1], x[2, -2] = torch.nan, 9.0, 8.0
    for k in (1, 4):
        top, index = largest(x, k)
        torch.testing.assert_close(top, x.topk(k, dim=1).values, equal_nan=True)
        torch.testing.assert_close(x.gather(1, index), top, equal_nan=True)
