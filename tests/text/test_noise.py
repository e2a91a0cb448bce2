"""Noise in the training text: how often, what, and never more than that."""

import math
from itertools import combinations

import numpy as np
import pytest

from seq2seq.config import NoiseSettings
from seq2seq.text.lines import is_blank
from seq2seq.text.noise import add_noise

PAIR = ("Das ist „gut“, sagte sie: „wir sehen uns!“", 'That\'s "good", she said: "see you!"')
KINDS = ("upper_case", "title_case", "no_final_punctuation", "typing_errors")
ODD = [
    "",
    " ",
    "!",
    "...",
    "¿?",
    "a",
    "A.",
    "1",
    "«»",
    "\u200b.",
    "ß",
    "I",
    "…“",
    "ok\u00a0?!",
    "你好。",
    "🙂!",
    "e\u0301",
    "ﬁ",
]


def noise(text: str, key: int = 0, **shares: float) -> str:
    return add_noise((text, "x"), NoiseSettings(**shares), (key,))[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_share_of_changed_pairs(kind: str, share: float) -> None:
    n = 5000
    changed = sum(add_noise(PAIR, NoiseSettings(**{kind: share}), (7, 0, i)) != PAIR for i in range(n))
    assert abs(changed - n * share) < 4 * math.sqrt(n * share * (1 - share))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_and_everything(kind: str) -> None:
    for i in range(200):
        assert add_noise(PAIR, NoiseSettings(**{kind: 0.0}), (1, i)) is PAIR
        assert add_noise(PAIR, NoiseSettings(**{kind: 1e-12}), (1, i)) is PAIR
        assert add_noise(PAIR, NoiseSettings(**{kind: 1.0}), (1, i)) != PAIR


def test_kinds_are_drawn_apart_from_each_other_and_anew_for_each_key() -> None:
    n = 4000
    drawn = {
        (kind, epoch): np.array(
            [add_noise(PAIR, NoiseSettings(**{kind: 0.5}), (3, epoch, i)) is not PAIR for i in range(n)]
        )
        for kind in KINDS
        for epoch in (0, 1)
    }
    for one, other in combinations(drawn, 2):
        assert abs(np.mean(drawn[one] & drawn[other]) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / n), (one, other)


def test_all_choices_follow_from_the_key() -> None:
    settings = NoiseSettings(**dict.fromkeys(KINDS, 0.5))
    first = [add_noise(PAIR, settings, (1, 2, i)) for i in range(100)]
    assert first == [add_noise(PAIR, settings, (1, 2, i)) for i in range(100)]
    assert first == [add_noise(PAIR, settings, (np.int64(1), np.int32(2), np.int64(i))) for i in range(100)]  # type: ignore[arg-type]
    assert first != [add_noise(PAIR, settings, (2, 2, i)) for i in range(100)]
    assert len({add_noise(PAIR, NoiseSettings(typing_errors=1), (i,)) for i in range(100)}) > 50


@pytest.mark.parametrize("kind", KINDS)
def test_no_side_becomes_blank(kind: str) -> None:
    texts = [*ODD, *(left + right for left, right in combinations(ODD, 2))]
    for number, text in enumerate(texts):
        for side in add_noise((text, text), NoiseSettings(**{kind: 1}), (number,)):
            assert is_blank(side) == is_blank(text), (text, side)
            assert "\n" not in side


def test_capitals() -> None:
    assert add_noise(("Straße, d’Arc", "it's ǆ"), NoiseSettings(upper_case=1), (1,)) == ("STRASSE, D’ARC", "IT'S Ǆ")
    assert add_noise(PAIR, NoiseSettings(upper_case=1, title_case=1), (1,)) == (PAIR[0].upper(), PAIR[1].upper())


@pytest.mark.parametrize(
    ("text", "titled"),
    [
        ("don't stop  McDonald", "Don't Stop  McDonald"),
        ('"who?" (he asked) „wir…“', '"Who?" (He Asked) „Wir…“'),
        ("e-mail 3rd 2b\tx", "E-mail 3rd 2b\tX"),
        ("élan ßa ǆ 你好", "Élan Ssa ǅ 你好"),
        ("- . !", "- . !"),
    ],
)
def test_title_case(text: str, titled: str) -> None:
    assert add_noise((text, text), NoiseSettings(title_case=1), (1,)) == (titled, titled)


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("Hello.", "Hello"),
        ('He said: "Hello!" ', 'He said: "Hello'),
        ("Er sagte: „Hallo …“", "Er sagte: „Hallo"),
        ("Vraiment ?!", "Vraiment"),
        ("well –", "well"),
        ("你好。", "你好"),
        ("50%", "50%"),
        ("C#.", "C#"),
        ("as (they say).", "as (they say)"),
        ("see __NAME__.", "see __NAME__"),
        ("no end ", "no end "),
        ("...", "..."),
        ("¿?", "¿?"),
    ],
)
def test_final_punctuation(text: str, stripped: str) -> None:
    assert add_noise((text, text), NoiseSettings(no_final_punctuation=1), (1,)) == (stripped, stripped)


def edits(text: str, other: str) -> int:
    """Damerau's distance: letters added, missing, replaced or swapped with their neighbour."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(text, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b)))
            if i > 1 and j > 1 and (a, text[i - 2]) == (other[j - 2], b):
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def test_typing_errors_are_few_and_on_the_source_only() -> None:
    text = "The quick brown fox jumps over the lazy dog and runs far away into the old dark wood"
    letters = sum(map(str.isalpha, text))
    counts = []
    for i in range(300):
        source, target = add_noise((text, text), NoiseSettings(typing_errors=1), (i,))
        assert target == text
        assert len(source.split()) == len(text.split())
        counts.append(edits(text, source))
    assert min(counts) >= 1
    assert max(counts) <= letters // 12
    assert letters / 20 - 1 < np.mean(counts) < letters / 12


def test_every_kind_of_typing_error_comes_up() -> None:
    found = {noise("Word", key, typing_errors=1) for key in range(500)}
    assert {"ord", "Wrd", "Wod", "Wor"} <= found  # missing
    assert {"WWord", "Woord", "Worrd", "Wordd"} <= found  # doubled
    assert {"oWrd", "Wrod", "Wodr"} <= found  # swapped
    assert {"Eord", "Qord", "Wird", "Wotd", "Worf"} <= found  # a key beside
    assert not found & {"Word", "eord", "WOrd"}
    assert all(edits("Word", text) == 1 for text in found)


def test_what_is_no_word_is_never_mistyped() -> None:
    text = "see 10:30 https://example.com/path www.example.org a@b.cd {name} <br> __VAR__ $HOME %s A4 z.B. \\n B2B"
    kept = text.removeprefix("see")
    sources = {noise(text, key, typing_errors=1) for key in range(300)}
    assert len(sources) > 5
    assert all(source.endswith(kept) and source != text for source in sources)
    assert noise(kept, 1, typing_errors=1) == kept
    assert noise("a", 1, typing_errors=1) in {"aa", "q", "w", "s", "z"}
