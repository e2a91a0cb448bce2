"""Translations that are drawn: what they follow from, and what minimum Bayes risk makes of them."""

import random
from typing import Any

import pytest
from decode.stored import LINES, translator

from seq2seq.decode.mbr import choose, posterior

SAMPLING: dict[str, Any] = {"search": "sampling", "candidates": 4}


def drawn(lines: list[str], batch_size: int | None = None, seed: int | None = 3, **decode: Any) -> list[list[int]]:
    """Tokens of all candidates of each line."""
    options = {"seed": seed}
    out = translator(batch_size, options=options, **SAMPLING | decode).translate_all(lines, n_best=4)
    return [[token for one in each.candidates for token in [*one.tokens, -1]] for each in out]


def test_samples_follow_from_the_seed_and_the_line_alone() -> None:
    lines = LINES[:10]
    expected = drawn(lines)
    order = list(range(10))
    random.Random(1).shuffle(order)
    for batch_size in (1, 4, 64):
        assert drawn(lines, batch_size) == expected
        assert drawn([lines[i] for i in order], batch_size) == [expected[i] for i in order]
    other = drawn(lines, seed=4)
    assert all(one != another for one, another in zip(other, expected, strict=True))
    assert drawn(lines, seed=None) == drawn(lines, seed=translator().trained.settings.seed)


def test_without_temperature_it_is_greedy_search() -> None:
    greedy = translator(beam_size=1).translate_all(LINES)
    found = translator(**SAMPLING | {"temperature": 0.0}).translate_all(LINES)
    assert [one.candidates[0].tokens for one in found] == [one.candidates[0].tokens for one in greedy]


def test_samples_come_with_the_best_score_first_and_as_many_as_asked() -> None:
    sampler = translator(options={"seed": 1}, **SAMPLING)
    assert sampler.most == 4
    four = sampler.translate_all(LINES[:8], n_best=4)
    for one in four:
        scores = [candidate.score for candidate in one.candidates]
        assert len(scores) == 4 and scores == sorted(scores, reverse=True)
        assert one.text == one.candidates[0].text
        assert "utility" not in one.record(4)["n_best"][0]


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
@pytest.mark.parametrize("search", ["sampling", "beam"])
def test_minimum_bayes_risk_chooses_among_the_candidates(utility: Any, search: str) -> None:
    decode = {"search": search, "candidates": 5, "beam_size": 5}
    options = {"seed": 2}
    everything = translator(options=options, **decode).translate_all(LINES[:8], n_best=5)
    found = translator(options=options, **decode, mbr=utility).translate_all(LINES[:8], n_best=5)
    few = translator(options=options, **decode, mbr=utility).translate_all(LINES[:8], n_best=2)
    for plain, one, cut in zip(everything, found, few, strict=True):
        texts = [candidate.text for candidate in plain.candidates]
        weights = None if search == "sampling" else posterior([each.log_prob for each in plain.candidates])
        best, expected = choose(texts, utility, weights)
        assert one.candidates[0].utility == pytest.approx(expected[best], abs=1e-4)
        assert expected[texts.index(one.text)] == pytest.approx(max(expected), abs=1e-4)
        assert sorted(candidate.text for candidate in one.candidates) == sorted(texts)
        assert [each["utility"] for each in one.record(5)["n_best"]] == pytest.approx(
            sorted(expected, reverse=True), abs=1e-4
        )
        assert cut.candidates == one.candidates[:2] and cut.text == one.text
        assert len(cut.record(2)["n_best"]) == 2 and "n_best" not in cut.record()


def test_no_more_can_be_asked_for_than_minimum_bayes_risk_chooses_among() -> None:
    few = translator(beam_size=5, candidates=3, mbr="chrf")
    assert few.most == 3
    assert [len(one.candidates) for one in few.translate_all(LINES[:3], n_best=3)] == [3, 3, 3]
    assert translator(beam_size=5, candidates=9, mbr="chrf").most == translator(beam_size=5, candidates=3).most == 5


def test_the_second_try_of_many_samples_is_a_translation() -> None:
    options = {"seed": 1, "guard": True}
    many = translator(options=options, search="sampling", candidates=20, beam_size=1, temperature=3.0)
    found = many.translate_all(["The man has 12 cars.", *LINES[:5]], n_best=20)
    assert any(one.retried and len(one.candidates) == 8 for one in found)
