"""Groups of lines: each line in one of them, by length, numbers and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.evaluate import testset
from seq2seq.evaluate.groups import LENGTHS, Grouping, group_lines, shared_names
from seq2seq.evaluate.words import WORD, plain_words, units

LINES = st.text(alphabet="aB .,!?18犬あé'\t-\u00a0", max_size=60)


def make_test(references: list[list[str]], source: list[str] | None = None) -> testset.TestSet:
    files = [testset.TextFile("reference", lines, "") for lines in references]
    return testset.TestSet("made", files, None if source is None else testset.TextFile("source", source, ""))


def grouping(test: testset.TestSet, title: str) -> Grouping | None:
    return next((one for one in group_lines(test) if one.title == title), None)


def rows(test: testset.TestSet, title: str) -> dict[str, list[int]]:
    found = grouping(test, title)
    return {group.label: group.rows for group in found.groups} if found else {}


@given(st.lists(st.tuples(LINES, LINES, LINES), min_size=1, max_size=12), st.booleans())
def test_every_line_is_in_one_group(lines: list[tuple[str, str, str]], known: bool) -> None:
    source, first, second = (list(side) for side in zip(*lines, strict=True))
    found = group_lines(make_test([first, second], source if known else None))
    assert found[0].title == "Length"
    for one in found:
        assert sorted(row for group in one.groups for row in group.rows) == list(range(len(lines)))
        assert all(group.rows for group in one.groups)
        assert one.note.endswith(".") and one.note.count(".") == 1
    assert all(len(one.groups) > 1 for one in found[1:])


@given(LINES)
def test_units_are_the_text_without_its_spaces(text: str) -> None:
    assert "".join(units(text)) == "".join(text.split())
    assert units(text) == [word.strip() for word in WORD.findall(text)]
    assert plain_words(text) == [unit for unit in units(text) if unit.isalnum()]


@pytest.mark.parametrize("known", [True, False])
def test_by_length(known: bool) -> None:
    """Limits are told by counting words one by one."""
    lines = [" ".join(["word"] * n) for n in range(60)]
    test = make_test([["x"] * 60], lines) if known else make_test([lines, ["x"] * 60])
    found = rows(test, "Length")
    assert list(found) == [
        "0",
        "1 to 5",
        "6 to 10",
        "11 to 15",
        "16 to 20",
        "21 to 30",
        "31 to 40",
        "41 to 50",
        "over 50",
    ]
    for label, numbers in found.items():
        low, _, high = label.partition(" to ")
        ends = (51, 59) if label == "over 50" else (int(low), int(high or low))
        assert (numbers[0], numbers[-1]) == ends
    note = grouping(test, "Length")
    assert note and ("source" if known else "first reference") in note.note
    assert LENGTHS[-1] == 50


def test_words_of_all_kinds_count() -> None:
    assert units("Das ist's, oder? 犬だ") == ["Das", "ist", "'", "s", ",", "oder", "?", "犬", "だ"]
    assert rows(make_test([["a, b"], ["a"]]), "Length") == {"1 to 5": [0]}
    assert rows(make_test([["犬だ。猫だ。"]]), "Length") == {"6 to 10": [0]}


def test_by_numbers() -> None:
    source = ["It costs $1,000.5.", "It costs two.", "In ١٩٩٠.", "https://example.org/12", "no 5th"]
    expected = {"with numbers": [0, 2, 4], "without numbers": [1, 3]}
    assert rows(make_test([["x"] * 5], source), "Numbers") == expected
    assert rows(make_test([["x"] * 5, source]), "Numbers") == expected
    assert rows(make_test([["1"] * 2], ["1", "2"]), "Numbers") == {}


@pytest.mark.parametrize(
    ("source", "reference", "names"),
    [
        ("Yesterday Smith met Obama.", "Smith traf gestern Obama.", {"Smith", "Obama"}),
        ("Smith slept.", "Gestern schlief Smith.", {"Smith"}),
        ("Paris is big.", "Paris ist groß.", set()),  # a sentence could begin with it anyway
        ("The dog sees a house.", "Der Hund sieht ein Haus.", set()),
        ("He slept. In fact so did she.", "Er schlief. In der Tat sie auch.", set()),
        ("He met Mr. Smith.", "Er traf Mr. Smith.", {"Mr", "Smith"}),
        ("NATO met.", "Gestern tagte die NATO.", {"NATO"}),
        ("„Berlin“ is it.", "Es ist „Berlin“.", {"Berlin"}),
        ("Then I said: Hamburg!", "Dann sagte I: Hamburg!", set()),
        ("Élodie, meet Zoë!", "Das ist Zoë, Élodie!", {"Élodie", "Zoë"}),
        ("我爱Berlin。", "Ich liebe Berlin.", {"Berlin"}),
        ("", "", set()),
    ],
)
def test_shared_names(source: str, reference: str, names: set[str]) -> None:
    assert shared_names(source, reference) == names == shared_names(reference, source)


def test_by_names() -> None:
    source, first = ["See Rome.", "See Rome.", "See it."], ["Sieh Rom.", "Sieh Rom.", "Sieh es."]
    test = make_test([first, ["Sieh Rom.", "Besuche Rome.", "Sieh es."]], source)
    assert rows(test, "Names") == {"with names": [1], "without names": [0, 2]}
    assert grouping(make_test([first]), "Names") is None
    assert grouping(make_test([first], source), "Names") is None
