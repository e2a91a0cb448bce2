"""Prefixes, required phrases and forbidden words against enumeration of all hypotheses."""

import itertools
import random
import re
from collections.abc import Sequence

import pytest
import torch
from decode.test_beam import BOS, EOS, LONGEST, TableStepper, V, WaitingStepper, exhaustive
from torch import Tensor

from seq2seq.decode.beam import Search, beam_search
from seq2seq.decode.beams import Hypothesis, LengthPenalty
from seq2seq.decode.constraints import Constraints, Demand, Phrase
from seq2seq.decode.pieces import Pieces

A, B, C = 2, 3, 4
TEXTS = [" x", "", " a", "b", " c"]  # of which one alone, b, goes on a word
PIECES = Pieces(TEXTS)


def run(
    stepper: TableStepper,
    how: Search,
    demands: Sequence[Demand],
    forbidden: Sequence[str] = (),
    longest: int = 4,
) -> list[list[Hypothesis]]:
    constraints = Constraints(demands, EOS, PIECES, forbidden)
    lengths = [longest] * len(demands)
    return beam_search(stepper, how, max_lengths=lengths, bos=BOS, eos=EOS, constraints=constraints)


def text_of(tokens: Sequence[int]) -> str:
    return "".join(TEXTS[token] for token in tokens)


def holds(tokens: Sequence[int], phrases: Sequence[Phrase]) -> bool:
    """Says whether the phrases stand in the tokens, none within another, each at the end of a word."""
    places = []
    for phrase in phrases:
        found = set()
        for way in phrase.ways:
            for i in range(len(tokens) - len(way) + 1):
                end = i + len(way)
                if tuple(tokens[i:end]) == way and tokens[end : end + 1] != [B] and (way[0] != B or i == 0):
                    found.add(frozenset(range(i, end)))
        places.append(found)
    return any(sum(map(len, chosen)) == len(frozenset().union(*chosen)) for chosen in itertools.product(*places))


def compared(stepper: TableStepper, sentence: int, demand: Demand, tokens: list[int]) -> float:
    """The score of a hypothesis, in which of each phrase only the first token counts."""
    ids = [*tokens, EOS]
    spans = Constraints([demand], EOS, PIECES).spans(demand, tokens)
    free = {i for start, end, _ in spans for i in range(start + 1, end)}
    log_prob = sum(
        float(stepper.log_probs(sentence, (BOS, *ids[:t]))[ids[t]]) for t in range(len(ids)) if t not in free
    )
    return log_prob / LengthPenalty()(len(ids) - len(free))


@pytest.mark.parametrize(
    "phrases",
    [
        [[(A,)]],
        [[(C, C)]],
        [[(A, B)]],
        [[(A,)], [(C,)]],
        [[(A,)], [(A,)]],
        [[(A, B), (C,)]],
        [[(A, B)], [(C,), (0, 0)]],
        [[(B,)]],  # which goes on a word, but for at the beginning
        [[(A,), (A, B)]],  # a word and a longer one
        [[(A,)], [(A, C)]],  # one that the other begins with,
        [[(C,)], [(A, C, A)]],  # or is in the middle of
    ],
)
def test_a_wide_beam_finds_the_best_that_holds_the_phrases(phrases: list[list[tuple[int, ...]]]) -> None:
    demand = Demand(phrases=tuple(Phrase(tuple(ways)) for ways in phrases))
    for seed in range(8):
        stepper = TableStepper(sentences=2, sharpness=(2.0, 8.0)[seed % 2], seed=seed)
        found = run(stepper, Search(4**LONGEST, 10), [demand, Demand()])
        for sentence, asked in enumerate((demand, Demand())):
            rows = sorted(
                ((compared(stepper, sentence, asked, row[1]), row[1])
                 for row in exhaustive(stepper, sentence, LengthPenalty()) if holds(row[1], asked.phrases)),
                reverse=True,
            )[:10]  # fmt: skip
            assert [h.tokens for h in found[sentence]] == [tokens for _, tokens in rows]
            assert [h.score for h in found[sentence]] == pytest.approx([score for score, _ in rows], abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_whatever_is_asked_for_stands_there(beam_size: int) -> None:
    draw = random.Random(beam_size)
    demands = []
    for _ in range(200):
        some = [(A,), (C,), (A, B), (C, B, B), (C, A), (0, C, A)]
        ways = [tuple(draw.choices(some, k=draw.choice([1, 1, 2]))) for _ in range(draw.randint(0, 3))]
        prefix = tuple(draw.choices([A, B, C], k=draw.choice([0, 0, 1, 2])))
        demands.append(Demand(prefix, tuple(map(Phrase, ways))))
    slack = draw.randint(0, 3)
    lengths = [demand.length + slack for demand in demands]
    stepper = TableStepper(len(demands), sharpness=3.0, seed=beam_size)
    constraints = Constraints(demands, EOS, PIECES)
    found = beam_search(stepper, Search(beam_size), max_lengths=lengths, bos=BOS, eos=EOS, constraints=constraints)
    for i, (demand, (hypothesis,)) in enumerate(zip(demands, found, strict=True)):
        assert tuple(hypothesis.tokens[: len(demand.prefix)]) == demand.prefix
        assert holds(hypothesis.tokens, demand.phrases)
        assert len(hypothesis.tokens) <= lengths[i]
        assert hypothesis.log_prob == pytest.approx(stepper.forced(i, hypothesis.tokens), abs=1e-4)


def test_search_goes_on_while_what_counts_may_still_be_the_best() -> None:
    differing = 0
    for seed in range(20):
        stepper = TableStepper(sentences=1, sharpness=8.0, seed=seed)
        demand = Demand(phrases=(Phrase(((A, B, C),)),))
        (several,), (one,) = (run(stepper, Search(4**LONGEST, n), [demand]) for n in (10, 1))
        assert one[0] == several[0]
        differing += one[0].log_prob < max(h.log_prob for h in several)
    assert differing


def test_numbers_that_are_none_stop_a_search_with_phrases() -> None:
    stepper = TableStepper(sentences=1)
    stepper.log_probs = lambda *_: torch.full((V,), torch.nan)  # type: ignore[method-assign]
    with pytest.raises(FloatingPointError, match="not numbers"):
        run(stepper, Search(2), [Demand(phrases=(Phrase(((A,),)),))])


def test_what_begins_alike_comes_in_any_order() -> None:
    texts = [" x", "", " ", "1", "0", "/", "."]
    one, ten, both = ((2, 3), (3,)), ((2, 3, 4), (3, 4)), ((2, 3, 5, 4), (3, 5, 4))
    demands = [Demand(phrases=tuple(Phrase(ways, apart=".") for ways in chosen))
               for chosen in itertools.permutations((one, ten, both))]  # fmt: skip

    class Wide(TableStepper):
        def log_probs(self, sentence: int, prefix: Sequence[int]) -> Tensor:
            key = self.seed + hash((sentence, *prefix)) % 2**31
            return torch.randn(len(texts), generator=torch.Generator().manual_seed(key)).mul(3).log_softmax(-1)

    orders = set()
    for seed, beam_size, longest in itertools.product(range(20), (1, 5), (9, 12)):
        constraints = Constraints(demands, EOS, Pieces(texts))
        options = {"max_lengths": [longest] * 6, "bos": BOS, "eos": EOS, "constraints": constraints}
        found = beam_search(Wide(6, seed=seed), Search(beam_size), **options)  # type: ignore[arg-type]
        for of in found:
            assert of
            text = "".join(texts[token] for token in of[0].tokens)
            numbers = re.findall(r"(?<![^ ])1(?:/?0)?(?=$|\.*(?: |$))", text)
            assert {"1", "10", "1/0"} <= set(numbers), text
            orders.add(tuple(dict.fromkeys(numbers)))
    assert len(orders) == 6


def test_a_number_that_is_begun_is_not_given_up() -> None:
    pieces = Pieces([" x", "", " ", "1", "2"])
    constraints = Constraints([Demand(phrases=(Phrase(((2, 3, 4), (3, 4)), apart="."),))], EOS, pieces)
    constraints.start(1, 1)
    for token in (BOS, 2, 3):
        constraints.step(torch.tensor([token]))
    scores = torch.zeros(1, len(pieces.texts))
    constraints.bar(scores, [12])
    assert scores.isfinite().tolist() == [[False, False, False, False, True]]


def test_sentences_that_wait_are_asked_for_the_same() -> None:
    phrase = Phrase(((A, B),))
    demands = [Demand(phrases=(phrase,) * (i % 3)) if i % 2 else Demand((C,)) for i in range(9)]

    options = {"max_lengths": [7] * 9, "bos": BOS, "eos": EOS}
    expected = beam_search(
        TableStepper(9, seed=3),
        Search(3),
        constraints=Constraints(demands, EOS, PIECES),
        **options,  # type: ignore[arg-type]
    )
    waiting = WaitingStepper(9, seed=3)
    constraints = Constraints(demands, EOS, PIECES)
    found = beam_search(waiting, Search(3), constraints=constraints, refill=waiting.refill, **options)  # type: ignore[arg-type]
    assert [[h.tokens for h in of] for of in found] == [[h.tokens for h in of] for of in expected]
    assert all(holds(of[0].tokens, demand.phrases) for of, demand in zip(found, demands, strict=True))


def test_a_prefix_is_gone_on_with_as_the_best_of_all_that_begin_so() -> None:
    for seed in range(5):
        stepper = TableStepper(sentences=2, seed=seed)
        demands = [Demand((C, B)), Demand((A,))]
        found = run(stepper, Search(4**LONGEST, 5), demands)
        for sentence, demand in enumerate(demands):
            n = len(demand.prefix)
            rows = [row for row in exhaustive(stepper, sentence, LengthPenalty()) if tuple(row[1][:n]) == demand.prefix]
            assert [h.tokens for h in found[sentence]] == [tokens for _, tokens in rows[:5]]


@pytest.mark.parametrize("forbidden", [["a"], ["ab"], ["AB", "c"], ["a", "abb"], ["a c"], ["c a", "c c"], ["x"]])
def test_a_wide_beam_finds_the_best_without_forbidden_words(forbidden: list[str]) -> None:
    words = re.compile("|".join(rf"(?<!\w){word}(?!\w)" for word in forbidden), re.IGNORECASE)
    missed = 0
    for seed in range(4):
        stepper = TableStepper(sentences=1, seed=seed)
        (found,) = run(stepper, Search(4**LONGEST, 10), [Demand()], forbidden)
        rows = [row for row in exhaustive(stepper, 0, LengthPenalty()) if not words.search(text_of(row[1]))]
        assert [h.tokens for h in found] == [tokens for _, tokens in rows[:10]]
        missed += len(exhaustive(stepper, 0, LengthPenalty())) - len(rows)
    assert missed


def test_where_all_is_ruled_out_there_is_no_hypothesis() -> None:
    stepper = TableStepper(sentences=2, seed=1)
    found = run(stepper, Search(2), [Demand((A,)), Demand((C,))], ["a"], longest=1)
    assert found[0] == []
    assert found[1][0].tokens == [C]


def test_phrases_may_hold_what_is_never_chosen() -> None:
    stepper = TableStepper(sentences=1, seed=1)
    for how in (Search(2), Search(3, no_repeat_ngram=1)):
        constraints = Constraints([Demand(phrases=(Phrase(((A, C, C),)),))], EOS, PIECES)
        ((found,),) = beam_search(
            stepper, how, max_lengths=[6], bos=BOS, eos=EOS, forbidden=[C, 0], constraints=constraints
        )
        assert holds(found.tokens, [Phrase(((A, C, C),))])
        assert found.tokens.count(C) == 2


@pytest.mark.parametrize("beam_size", [1, 3])
def test_what_stands_apart_is_followed_by_a_space_or_punctuation_alone(beam_size: int) -> None:
    texts = [" x", "", " a", "b", ".", "-", "("]
    pieces, n = Pieces(texts), len(texts)

    class Wide(TableStepper):
        def log_probs(self, sentence: int, prefix: Sequence[int]) -> Tensor:
            key = hash((sentence, *prefix)) % 2**31
            return torch.randn(n, generator=torch.Generator().manual_seed(key)).mul(3).log_softmax(-1)

    for way, form in (((2, 3), r"(?:^|[ (])ab(?=$|[ .])"), ((3,), r"(?:^|[( ])b(?=$|[ .])")):
        phrase = Phrase((way,), apart=".")
        demands = [Demand(phrases=(phrase,) * (1 + i % 2)) for i in range(60)]
        constraints = Constraints(demands, EOS, pieces)
        found = beam_search(
            Wide(60), Search(beam_size), max_lengths=[9] * 60, bos=BOS, eos=EOS, constraints=constraints
        )
        for demand, hypotheses in zip(demands, found, strict=True):
            if way == (2, 3):
                assert hypotheses
            for hypothesis in hypotheses:
                text = "".join(texts[token] for token in hypothesis.tokens)
                assert len(re.findall(form, text)) >= len(demand.phrases), text


def test_a_phrase_that_has_come_to_its_end_begins_anew_if_the_word_goes_on() -> None:
    class Fixed(TableStepper):
        """Wants a, b, c."""

        def log_probs(self, sentence: int, prefix: Sequence[int]) -> Tensor:
            wanted = [A, B, C, EOS, EOS, EOS, EOS][len(prefix) - 1]
            return torch.full((V,), -4.0).index_fill_(0, torch.tensor(wanted), 0.0).log_softmax(-1)

    ((found,),) = run(Fixed(1), Search(3), [Demand(phrases=(Phrase(((A,),)),))], longest=6)
    assert holds(found.tokens, [Phrase(((A,),))])
