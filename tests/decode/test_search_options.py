"""Options of beam search against exact computations on a tiny vocabulary."""

import itertools
from collections.abc import Sequence

import pytest
import torch
from decode.test_beam import BOS, EOS, LONGEST, TableStepper, V, WaitingStepper, exhaustive
from torch import Tensor

from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import Hypothesis, LengthPenalty


def run(stepper: TableStepper, how: Search, longest: int = LONGEST) -> list[list[Hypothesis]]:
    return beam_search(stepper, how, max_lengths=[longest] * stepper.sentences, bos=BOS, eos=EOS)


def repeats(tokens: Sequence[int], n: int) -> bool:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_repeats_a_wide_beam_finds_the_best_that_has_none(n: int) -> None:
    for seed in range(5):
        stepper = TableStepper(sentences=2, seed=seed)
        found = run(stepper, Search(4**LONGEST, 10, no_repeat_ngram=n))
        for sentence in range(2):
            expected = [row for row in exhaustive(stepper, sentence, LengthPenalty()) if not repeats(row[1], n)][:10]
            assert [h.tokens for h in found[sentence]] == [tokens for _, tokens in expected]
            assert [h.score for h in found[sentence]] == pytest.approx([score for score, _ in expected], abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_repeats_a_narrow_beam_has_none_whoever_was_in_its_place_before(n: int) -> None:
    limits = [9, 2, 7, 9, 1, 9, 9]

    for seed in range(5):
        together = TableStepper(len(limits), sharpness=1.0, seed=seed)
        how = Search(3, no_repeat_ngram=n, min_length=5)
        expected = beam_search(together, how, max_lengths=limits, bos=BOS, eos=EOS, forbidden=[BOS])
        waiting = WaitingStepper(len(limits), sharpness=1.0, seed=seed)
        found = beam_search(waiting, how, max_lengths=limits, bos=BOS, eos=EOS, forbidden=[BOS], refill=waiting.refill)
        assert [[h.tokens for h in of] for of in found] == [[h.tokens for h in of] for of in expected]
        assert all(not repeats(h.tokens, n) for of in found for h in of)


def first_come(stepper: TableStepper, beam_size: int, enough: int, penalty: LengthPenalty) -> list[Hypothesis]:
    """Beam search of one sentence as Kasai et al. write it: it goes on until so many hypotheses have ended."""
    beams, finished = [(0.0, [BOS])], []
    for length in range(LONGEST + 1):
        more = []
        for score, tokens in beams:
            log_probs = stepper.log_probs(0, tokens).tolist()
            choices = [EOS] if length == LONGEST else range(V)
            more += [(score + log_probs[token], [*tokens, token]) for token in choices]
        more.sort(key=lambda row: -row[0])
        for score, tokens in more[:beam_size]:
            if tokens[-1] == EOS:
                finished.append(Hypothesis(tokens[1:-1], score, score / penalty(len(tokens) - 1), length == LONGEST))
        beams = [row for row in more if row[1][-1] != EOS][:beam_size]
        if len(finished) >= enough or not beams:
            break
    return sorted(finished, key=lambda h: -h.score)


@pytest.mark.parametrize("patience", [0.5, 1.0, 2.0])
def test_patience_decides_how_many_hypotheses_end(patience: float) -> None:
    penalty, differing = LengthPenalty("length", 2.0), 0
    for seed in range(30):
        stepper = TableStepper(sentences=1, sharpness=1.0, seed=seed)
        expected = first_come(stepper, 4, max(1, int(4 * patience)), penalty)[0]
        (found,) = run(stepper, Search(4, penalty=penalty, patience=patience))[0]
        assert found.tokens == expected.tokens
        assert found.score == pytest.approx(expected.score, abs=1e-5)
        differing += expected.tokens != first_come(stepper, 4, 4, penalty)[0].tokens
    assert (differing > 0) == (patience != 1)


def diverse(stepper: TableStepper, beam_size: int, groups: int, diversity: float) -> list[Hypothesis]:
    """Algorithm 1 of Vijayakumar et al. for one sentence, group by group at each step."""
    size = beam_size // groups
    beams: list[list[tuple[float, list[int]]]] = [[(0.0, [BOS])] for _ in range(groups)]
    finished: list[Hypothesis] = []
    for length in range(LONGEST + 1):
        taken = [0] * V
        for group in range(groups):
            more = []
            for score, tokens in beams[group]:
                log_probs = stepper.log_probs(0, tokens).tolist()
                for token in [EOS] if length == LONGEST else range(V):
                    total = score + log_probs[token]
                    more.append((total - diversity * taken[token] * (token != EOS), total, [*tokens, token]))
            more.sort(key=lambda row: -row[0])
            for _, total, tokens in more[:size]:
                if tokens[-1] == EOS:
                    penalty = LengthPenalty()(len(tokens) - 1)
                    finished.append(Hypothesis(tokens[1:-1], total, total / penalty, length == LONGEST))
            beams[group] = [(total, tokens) for _, total, tokens in more if tokens[-1] != EOS][:size]
            for _, tokens in beams[group]:
                taken[tokens[-1]] += 1
        if len(finished) >= beam_size:
            break
    return sorted(finished, key=lambda h: -h.score)


@pytest.mark.parametrize(("groups", "diversity"), [(1, 0.5), (2, 0.0), (2, 0.7), (4, 0.7), (4, 100.0)])
def test_groups_are_searched_as_in_the_paper(groups: int, diversity: float) -> None:
    for seed in range(20):
        stepper = TableStepper(sentences=1, sharpness=1.0, seed=seed)
        expected = diverse(stepper, 4, groups, diversity)[:4]
        (found,) = run(stepper, Search(4, 4, groups=groups, diversity=diversity, penalty=LengthPenalty()))
        assert [h.tokens for h in found] == [h.tokens for h in expected]
        assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-5)


def test_groups_of_one_beam_give_different_first_tokens_if_they_must() -> None:
    found = run(TableStepper(sentences=3, seed=2), Search(3, 3, groups=3, diversity=1e6, min_length=1))
    for hypotheses in found:
        assert len({h.tokens[0] for h in hypotheses}) == 3


class Covering(TableStepper):
    """A table whose coverage is a fixed function of the prefix."""

    def coverage(self) -> Tensor:
        return torch.tensor([self.covered(i, prefix) for i, prefix in self.rows])

    def covered(self, sentence: int, prefix: Sequence[int]) -> float:
        return -abs(float(self.log_probs(sentence, (*prefix, 9))[0])) if len(prefix) > 1 else -3.0


@pytest.mark.parametrize("beta", [0.2, 1.0, 5.0])
def test_the_coverage_penalty_counts_at_the_end_as_in_the_paper(beta: float) -> None:
    differing = 0
    for seed in range(5):
        stepper, penalty = Covering(sentences=2, seed=seed), LengthPenalty()
        found = run(stepper, Search(4**LONGEST, 5, coverage_penalty=beta))
        for sentence in range(2):
            rows = [
                (stepper.forced(sentence, tokens) / penalty(length + 1)
                 + beta * stepper.covered(sentence, (BOS, *tokens)), list(tokens))
                for length in range(LONGEST + 1)
                for tokens in itertools.product([t for t in range(V) if t != EOS], repeat=length)
            ]  # fmt: skip
            best = sorted(rows, reverse=True)[:5]
            assert [h.tokens for h in found[sentence]] == [tokens for _, tokens in best]
            assert [h.score for h in found[sentence]] == pytest.approx([score for score, _ in best], abs=1e-5)
            differing += best[0][1] != exhaustive(stepper, sentence, penalty)[0][1]
    assert differing


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"groups \(2\) must divide beam_size \(5\)"):
        Search(5, groups=2)


def test_the_published_case_of_opennmt() -> None:
    """Beam 5 on a vocabulary of 8; expected tokens and log-probabilities as OpenNMT-py's own tests have them."""
    first = [0, 0, 0, 4, 5, 3, 2, 1]
    second = [
        [0, 0, 0, 0.3, 0, 0.51, 0.2, 0], [0, 0, 1.5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0.49, 0.48, 0, 0],
        [0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2], [0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2],
    ]  # fmt: skip
    seen: list[list[int]] = []

    class Published:
        def start(self, beam_size: int) -> int:
            return 1

        def step(self, tokens: Tensor) -> Tensor:
            seen.append(tokens.tolist())
            table = {0: [first] * 5, 1: second}.get(len(seen) - 1)
            return torch.tensor(table) if table else torch.zeros(5, 8)

        def reorder(self, rows: Tensor) -> None:
            pass

    beam_search(Published(), Search(5, 3), max_lengths=[3], bos=1, eos=2)
    assert seen[1] == [4, 3, 5, 6, 7]
    assert seen[2][:3] == [5, 3, 6]  # and 2, which ends; the fifth is one of several equals
