"""Minimum Bayes risk: sacrebleu's utilities, for all pairs at once, and the best candidate."""

import logging
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from strategies import nasty_lines

from seq2seq.decode import mbr
from seq2seq.decode.mbr import Utility, choose, posterior, utilities

NASTY = [
    "", " ", "a", "A dog.", "A dog", "a a a a a a a", "the the the cat the the", "the cat sat on the mat .",
    "The cat sat on the mat.", "我们看见一只狗。", "我们看见一只狗", "犬が 犬を見る。",
    "\u2028a\u2028b", "1,000.5 - 3.14%",
    "!!! ??? ...", "&quot;yes&quot; &amp; no", "<skipped> x", "dog-\ncat",
    "e\u0301e\u0301 é", "\U0001f600\U0001f600", "a\u3000b\u00a0c",
    "a" * 60, "ab" * 30, "\ud800x", "- - - -", "one two three", "one two three four five six seven",
]  # fmt: skip
WORDS = ["a", "big", "red", "dog", "sees", "the", "small", "cat", "that", "sits", "behind", "an", "old", "house"]


def direct(utility: Utility) -> Callable[[str, str], float]:
    """One sentence against one reference, by sacrebleu."""
    metric = CHRF() if utility == "chrf" else BLEU(effective_order=True)
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)

    def score(hypothesis: str, reference: str) -> float:
        return metric.sentence_score(hypothesis, [reference]).score

    return score


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
def test_utilities_are_those_of_sacrebleu(utility: Utility) -> None:
    found, score = utilities(NASTY, utility), direct(utility)
    for i, hypothesis in enumerate(NASTY):
        for j, reference in enumerate(NASTY):
            expected = score(hypothesis, reference)
            assert found[i, j] == pytest.approx(expected, abs=1e-9), (hypothesis, reference)


@given(texts=st.lists(nasty_lines | st.text("ab .,1-", max_size=20), min_size=1, max_size=5))
def test_utilities_of_any_text_are_those_of_sacrebleu(texts: list[str]) -> None:
    for utility in ("chrf", "bleu"):
        found, score = utilities(texts, utility), direct(utility)
        for i, hypothesis in enumerate(texts):
            assert found[i].tolist() == pytest.approx([score(hypothesis, text) for text in texts], abs=1e-9)


def draw_samples(n: int, words: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    base = draw.choices(WORDS, k=words)
    return [" ".join(draw.choice(WORDS) if draw.random() < 0.4 else word for word in base) + "." for _ in range(n)]


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_choice_is_that_of_the_double_loop(utility: Utility, weighted: bool) -> None:
    score = direct(utility)
    for seed in range(8):
        draw = random.Random(seed)
        candidates = [*draw_samples(6, 4, seed), ""]
        candidates += draw.choices(candidates, k=3)
        weights = [draw.random() for _ in candidates] if weighted else None
        shares = weights or [1.0] * len(candidates)
        expected = [
            sum(share * score(one, other) for other, share in zip(candidates, shares, strict=True)) / sum(shares)
            for one in candidates
        ]
        best, found = choose(candidates, utility, weights)
        assert found == pytest.approx(expected, abs=1e-9)
        assert best == next(i for i, value in enumerate(expected) if value >= max(expected) - 1e-9)


def test_duplicates_count_as_often_as_they_were_drawn() -> None:
    often = ["a red dog", "x y z", "x y z", "x y z"]
    assert choose(often)[0] == 1
    assert choose(["a red dog", "x y z"], weights=[1, 3]) == (1, choose(often)[1][:2])
    assert choose(["a red dog", "x y z"], weights=[3, 1])[0] == 0


def test_ties_go_to_the_first() -> None:
    assert choose(["aaaa", "bbbb", "cccc"])[0] == 0
    assert choose(["zz", "bbbb", "cccc", "bbbb", "cccc"])[0] == 1
    assert choose(["cccc", "bbbb"], weights=[0.1 + 0.2, 0.3])[0] == 0
    assert choose(["", "", ""]) == (0, [0.0, 0.0, 0.0])
    assert choose(["one"], "bleu") == (0, [pytest.approx(100)])


def test_what_cannot_be_chosen_from_is_refused() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        choose([])
    with pytest.raises(ValueError, match="2 weights for 1 candidates"):
        choose(["a"], weights=[1, 1])
    for weights in ([0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0], [float("inf"), 1.0]):
        with pytest.raises(ValueError, match="weights must be"):
            choose(["a", "b"], weights=weights)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*draw_samples(20, 12, seed=3), "a" * 500, "a" * 499 + "b"]
    expected = utilities(texts).tolist()
    monkeypatch.setattr(mbr, "BLOCK", 22 * 7)
    assert utilities(texts).tolist() == expected


def test_posterior_is_a_softmax() -> None:
    assert posterior([-1000.0, -1000.0]) == [0.5, 0.5]
    low, high = posterior([-3.0, -1.0]), posterior([-3.0, -1.0], temperature=2.0)
    assert low[1] == pytest.approx(0.880797, abs=1e-6)
    assert high[1] == pytest.approx(0.731059, abs=1e-6)
    assert sum(high) == pytest.approx(1)
