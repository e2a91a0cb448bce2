"""IBM Model 1: as its definition says, whatever the memory, and what it finds in a language made up for it."""

from collections import defaultdict

import numpy as np
import pytest
from conftest import make_pairs

from seq2seq.config import TokenizerSettings
from seq2seq.data import lexicon
from seq2seq.data.lexicon import Lexicon, learn_lexicon, learn_shortlist
from seq2seq.text.ids import EOS, IdRows, spans
from seq2seq.text.tokenizer import Tokenizer

SIZES = (14, 11)


def random_rows(n: int, vocab_size: int, seed: int) -> IdRows:
    random = np.random.default_rng(seed)
    return IdRows.of([[*random.integers(4, vocab_size, random.integers(1, 7)).tolist(), EOS] for _ in range(n)])


def by_definition(sources: IdRows, targets: IdRows, rounds: int) -> dict[tuple[int, int], float]:
    """Section 4.1 and the appendix of Brown et al., a loop for each sum."""
    pairs = [(s.tolist(), t.tolist()[:-1]) for s, t in zip(sources.rows, targets.rows, strict=True)]
    t: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        for source, target in pairs:
            for f in target:
                total = sum(t[e, f] for e in source)
                for e in source:
                    counts[e, f] += t[e, f] / total
        sums: dict[int, float] = defaultdict(float)
        for (e, _f), count in counts.items():
            sums[e] += count
        t = defaultdict(float, {(e, f): count / sums[e] for (e, f), count in counts.items()})
    return dict(t)


def as_dict(found: Lexicon) -> dict[tuple[int, int], float]:
    tokens = np.repeat(np.arange(len(found.offsets) - 1), np.diff(found.offsets))
    return dict(
        zip(zip(tokens.tolist(), found.targets.tolist(), strict=True), found.probabilities.tolist(), strict=True)
    )


def test_stretches_of_an_array() -> None:
    assert spans(np.array([5, 0, 2]), np.array([2, 0, 3])).tolist() == [5, 6, 2, 3, 4]
    assert spans(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist() == []


@pytest.mark.parametrize("rounds", [2, 3, 6])
def test_probabilities_are_those_of_the_definition(rounds: int) -> None:
    sources, targets = random_rows(40, SIZES[0], 1), random_rows(40, SIZES[1], 2)
    expected = by_definition(sources, targets, rounds)
    found = as_dict(learn_lexicon(sources, targets, SIZES, rounds, floor=0.0))
    assert found.keys() == {key for key, t in expected.items() if t > 0}
    for key, t in found.items():
        assert t == pytest.approx(expected[key], abs=1e-9)


@pytest.mark.parametrize(("table", "cells"), [(1, 1), (2 * SIZES[1], 7), (5 * SIZES[1], 10**6)])
def test_little_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch, table: int, cells: int) -> None:
    sources, targets = random_rows(60, SIZES[0], 3), random_rows(60, SIZES[1], 4)
    expected = as_dict(learn_lexicon(sources, targets, SIZES, floor=0.01))
    monkeypatch.setattr(lexicon, "TABLE", table)
    monkeypatch.setattr(lexicon, "CELLS", cells)
    found = as_dict(learn_lexicon(sources, targets, SIZES, floor=0.01))
    assert found.keys() == expected.keys()
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-12)


def test_the_improbable_is_forgotten() -> None:
    sources, targets = random_rows(60, SIZES[0], 3), random_rows(60, SIZES[1], 4)
    everything = as_dict(learn_lexicon(sources, targets, SIZES, 2, floor=0.0))
    some = as_dict(learn_lexicon(sources, targets, SIZES, 2, floor=0.1))
    assert some == {key: t for key, t in everything.items() if t > 0.1}
    assert 0 < len(some) < len(everything)


def test_a_dictionary_is_found_in_sentences_that_nobody_aligned() -> None:
    """Each word has one translation, and the order of words is another."""
    random = np.random.default_rng(5)
    translation = np.concatenate([[0, 1, 2, EOS], 4 + random.permutation(50)])
    words = [random.integers(4, 54, random.integers(2, 12)) for _ in range(600)]
    sources = IdRows.of([[*row.tolist(), EOS] for row in words])
    targets = IdRows.of([[*random.permutation(translation[row]).tolist(), EOS] for row in words])
    found = as_dict(learn_lexicon(sources, targets, (54, 54)))
    for e in range(4, 54):
        best = max((f for token, f in found if token == e), key=lambda f: found[e, f])
        assert best == translation[e]
        assert found[e, best] > 0.5


def test_pairs_are_left_out_evenly_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = IdRows.of([[4 + i, EOS] for i in range(100)])
    assert lexicon._thinned(sources, sources) == (sources, sources)
    monkeypatch.setattr(lexicon, "MOST_CELLS", 100)  # of 400
    kept, opposite = lexicon._thinned(sources, sources)
    assert kept.ids[::2].tolist() == list(range(4, 104, 4))
    assert opposite.ids.tolist() == kept.ids.tolist()


def test_a_shortlist_has_what_a_word_becomes(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = make_pairs(400)
    tokenizer = Tokenizer.train(pairs, TokenizerSettings(vocab_size=70))
    sources, targets = tokenizer.source_rows([s for s, _ in pairs]), tokenizer.target_rows([t for _, t in pairs])
    monkeypatch.setattr(lexicon, "FREQUENT", 3)
    monkeypatch.setattr(lexicon, "PER_TOKEN", 5)
    found = learn_shortlist(sources, targets, tokenizer)
    assert found.fits(tokenizer)
    assert np.diff(found.offsets).max() <= 5
    counts = np.bincount(targets.ids, minlength=70)
    assert set(found.frequent.tolist()) == {0, 1, 2, EOS, *np.argsort(-counts, kind="stable")[:3].tolist()}
    size, coverage = found.coverage(sources, targets)
    assert size < 60
    assert coverage > 0.9
    unseen = np.flatnonzero(np.bincount(sources.ids, minlength=70) == 0)
    for e in unseen.tolist():  # such as the capitals of the other side
        assert found.targets[found.offsets[e] : found.offsets[e + 1]].tolist() == [e]
