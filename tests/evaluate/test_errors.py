"""Errors of single lines: each kind is found where it is, and nowhere in references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.evaluate.errors import ERRORS, find_errors

SOURCE = "The old man saw three dogs and 20 cats by the river in the morning."
FIRST = "Der alte Mann sah am Morgen drei Hunde und 20 Katzen am Fluss."
SECOND = "Am Morgen erblickte der Alte beim Fluss drei Hunde und zwanzig Katzen."
PIECES = ["a", "b", "7", "20", "1.000,5", "x" * 20, " ", ". ", "犬", "http://a.de/", "{0}", "A b c d e f ", "\u00a0"]
LINES = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def kinds(hypothesis: str, references: list[str], source: str | None = None) -> list[str]:
    found = find_errors([hypothesis], [[line] for line in references], None if source is None else [source])
    assert all(rows in ([], [0]) for rows in found.values())
    return [kind for kind, rows in found.items() if rows]


@given(st.lists(st.tuples(LINES, LINES, LINES), max_size=8), st.integers(0, 1), st.booleans())
def test_references_have_no_errors(lines: list[tuple[str, str, str]], which: int, known: bool) -> None:
    source, *references = (list(side) for side in zip(*lines, strict=True)) if lines else ([], [], [])
    hypotheses = [f" {line} " for line in references[which]]
    found = find_errors(hypotheses, references, source if known else None)
    assert not any(found.values())
    assert list(found) == [kind.name for kind in ERRORS if known or kind.name != "untranslated"]


@given(LINES, LINES, LINES, LINES)
def test_a_further_reference_forgives(source: str, hypothesis: str, first: str, second: str) -> None:
    assert set(kinds(hypothesis, [first, second], source)) <= set(kinds(hypothesis, [first], source))


@given(st.lists(st.tuples(LINES, LINES, LINES), min_size=1, max_size=8))
def test_lines_are_looked_at_one_by_one(lines: list[tuple[str, str, str]]) -> None:
    source, hypotheses, references = (list(side) for side in zip(*lines, strict=True))
    found = find_errors(hypotheses, [references], source)
    for i, (line, hypothesis, reference) in enumerate(lines):
        assert [kind for kind, rows in found.items() if i in rows] == kinds(hypothesis, [reference], line)


def test_each_kind_is_described() -> None:
    names = [kind.name for kind in ERRORS]
    assert len(set(names)) == len(names)
    assert all(kind.description.endswith(".") and kind.description.count(".") == 1 for kind in ERRORS)


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        ("", ["empty"]),
        (" \u200b", ["empty"]),
        (SOURCE, ["untranslated"]),
        (SOURCE.replace("The", "Die"), ["untranslated"]),
        (FIRST, []),
        ("Der alte Mann sah am Morgen am Fluss zwanzig Katzen und 3 Hunde.", []),
        ("Der alte Mann sah am Morgen 21 Hunde am Fluss.", ["numbers"]),
        ("Der alte Mann sah 20 Katzen, 20 Katzen, 20 Katzen, 20 Katzen, 20 Katzen.", ["repeated"]),
        ("Der Mann.", ["too_short"]),
        (
            f"Ja, {FIRST} Und das ist noch lange nicht alles, was es hier zu sagen gibt, oder was meinst du?",
            ["too_long"],
        ),
        ("Der alte Mann sah am Morgen drei Hunde am Fluss bei http://a.de/b.", ["protected"]),
    ],
)
def test_kinds(hypothesis: str, expected: list[str]) -> None:
    assert kinds(hypothesis, [FIRST, SECOND], SOURCE) == expected
    without = kinds(hypothesis, [FIRST, SECOND])
    assert without == [kind for kind in expected if kind != "untranslated"]


def test_what_references_do_is_right() -> None:
    loop = "Nein, nein, nein, nein, nein!"
    assert kinds(loop, ["Nein!"], "No!") == ["repeated", "too_long"]
    assert kinds(loop, ["Nein, nein, nein, nein!"], "No!") == []
    assert kinds("", [""], "Hm?") == kinds("", ["Hm?"], "") == kinds("", ["", "Hm?"], "Hm?") == []
    name = "Hotel Adler"
    assert kinds(name, ["Zum Adler"], name) == ["untranslated"]
    assert kinds(name, ["Zum Adler", name], name) == []
    assert kinds("2018", ["2018."], "2018") == []


@pytest.mark.parametrize(
    ("reference", "n", "expected"),
    [
        (10, 5, []),
        (10, 4, ["too_short"]),
        (6, 1, ["too_short"]),
        (5, 1, []),
        (10, 20, []),
        (10, 21, ["too_long"]),
        (4, 9, ["too_long"]),
        (4, 8, []),
        (1, 6, ["too_long"]),
        (1, 5, []),
    ],
)
def test_limits_of_length(reference: int, n: int, expected: list[str]) -> None:
    words = [f"w{'abcdefghijklmnopqrstuvwxyz'[i]}" for i in range(26)]
    assert kinds(" ".join(words[:n]), [" ".join(words[:reference])]) == expected
    between = " ".join(words[: (n + reference) // 2])
    assert kinds(" ".join(words[:n]), [" ".join(words[:reference]), between]) == []


@pytest.mark.parametrize(
    ("source", "reference", "hypothesis"),
    [
        ("1,000.5 m", "1.000,5 m", "1000,5 m"),
        ("1,000 m", "1000 m", "1 000 m"),
        ("10,000 m", "10 000 m", "10.000 m"),
        ("10 000 m", "10 000 m", "10.000 m"),
        ("10 000 m", "10\u202f000 m", "10'000 m"),
        ("two dogs", "zwei Hunde", "2 Hunde"),
        ("2 dogs", "zwei Hunde", "2 Hunde"),
        ("2 dogs", "2 Hunde", "zwei Hunde"),
        ("100 dogs", "hundert Hunde", "100 Hunde"),
        ("at 2:30 p.m.", "um 14.30 Uhr", "um 14:30 Uhr"),
        ("at 2:30 p.m.", "um 14.30 Uhr", "um 2.30 Uhr"),
        ("at 7 p.m.", "um 19 Uhr", "um 19.00 Uhr"),
        ("11/20/2014", "20.11.2014", "20. November 2014"),
        ("2014-11-20", "2014-11-20", "20.11.2014"),
        (".5 and 0.25", "0,5 und ,25", "0,50 und 0,25"),
        ("١٩٩٠", "1990", "1990"),
        ("5 miles", "8 km", "8 km"),
        ("5 miles", "8 km", "5 Meilen"),
        ("page 12 100 times", "Seite 12 100 Mal", "Seite 12 hundertmal 100 Mal"),
        ("H2O", "H2O", "H2O"),
    ],
)
def test_numbers_written_otherwise(source: str, reference: str, hypothesis: str) -> None:
    assert "numbers" not in kinds(hypothesis, [reference], source)


@pytest.mark.parametrize(
    ("source", "reference", "hypothesis"),
    [
        ("1,000.5 m", "1.000,5 m", "10.005 m"),
        ("in 1990", "im Jahr 1990", "im Jahr 1991"),
        ("in 1990", "im Jahr 1990", "in dem Jahr"),
        ("in a year", "in einem Jahr", "im Jahr 1990"),
        ("3 dogs", "3 Hunde", "4 Hunde"),
        ("3 dogs", "3 Hunde", "33 Hunde"),
        ("10 000 m", "10.000 m", "10 001 m"),
        ("at 2:30", "um 2.30 Uhr", "um 2.20 Uhr"),
        ("1.5", "1,5", "15"),
        ("007", "007", "7"),
    ],
)
def test_wrong_numbers(source: str, reference: str, hypothesis: str) -> None:
    assert "numbers" in kinds(hypothesis, [reference], source)
    assert "numbers" in kinds(hypothesis, [reference])


@pytest.mark.parametrize(
    ("hypothesis", "wrong"),
    [
        ("Hallo {name}!", False),
        ("Hallo {name} {name}!", False),
        ("Hallo {Name}!", True),
        ("Hallo!", True),
        ("<b>Hallo {name}!", True),
    ],
)
def test_placeholders(hypothesis: str, wrong: bool) -> None:
    assert ("protected" in kinds(hypothesis, ["Guten Tag, {name}!"], "Hello {name}!")) == wrong
    assert "protected" not in kinds(hypothesis, ["Guten Tag!", hypothesis + "!"], "Hello {name}!")


def test_without_references_the_source_is_compared() -> None:
    assert kinds(FIRST, [], SOURCE) == []
    assert kinds("Der Mann.", [], SOURCE) == ["too_short", "numbers"]
