"""Outputs that went wrong are flagged, and what is right is not."""

import time

import pytest
from conftest import make_pairs
from hypothesis import given
from strategies import nasty_lines

from seq2seq.decode.detector import Lengths, inspect_output, visible_length

SOURCE = "Two young men are playing football in front of the old town hall."
GOOD = "Zwei junge Männer spielen vor dem alten Rathaus Fußball."
WRONG = {
    "repetition": [
        "Zwei junge junge junge Männer spielen Fußball.",
        "Zwei junge Männer spielen vor dem alten vor dem alten Rathaus Fußball.",
        "Zwei junge Männer, zwei junge Männer, zwei junge Männer spielen Ball.",
        "Zwei Männer spielen vor dem alten Rathaus Fußball vor dem alten Rathaus Fußball.",
        "Der Mann und der Hund und der Mann sind der Mann und der Hund und der Mann und der Hund.",
        "Fußballballballballballballballballball",
        "Männer ! ! ! ! ! ! ! !",
        "两个人在人在人在人在踢球。",
    ],
    "copy": [
        SOURCE,
        SOURCE.lower(),
        "Two young men are playing football in front of the alten town hall.",
        SOURCE.upper(),
    ],
    "too_long": [GOOD + " Ein Hund läuft über die grüne Wiese, während eine Frau auf der Bank sitzt und ihr Buch "
                 "über das Leben der Vögel liest, das sie gestern erst in der Stadt gekauft hat."],
    "too_short": ["Zwei Männ.", "."],
    "empty": ["", " ", "\u200b"],
}  # fmt: skip


def kinds(source: str, translation: str, **options: object) -> list[str]:
    return [flag.kind for flag in inspect_output(source, translation, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in WRONG.items() for text in texts])
def test_what_is_wrong_is_flagged(kind: str, text: str) -> None:
    assert kind in kinds(SOURCE, text)


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        (SOURCE, GOOD),
        ("", ""),
        ("Yes.", "Ja, das stimmt."),
        ("No, no, no, no, no!", "Nein, nein, nein, nein, nein!"),
        ("It is very, very, very good.", "Es ist sehr, sehr, sehr gut."),
        ("They walk hand in hand from time to time.", "Sie gehen Hand in Hand von Zeit zu Zeit, die, die gehen."),
        ("Ha ha ha ha ha", "哈哈哈哈哈"),
        ("Aaaaaaaaaaaaaaaaaaaaaaah!", "Aaaaaaaaaaaaaaaaaaaaaaah!"),
        ("Contents ........................ 7", "Inhalt ........................... 7"),
        ("Row, row, row your boat, row, row, row your boat",
         "Ruder, ruder, ruder dein Boot, ruder, ruder, ruder dein Boot"),
        ("Angela Merkel, Barack Obama, Emmanuel Macron", "Angela Merkel, Barack Obama, Emmanuel Macron"),
        ("The Lord of the Rings, Star Wars", "The Lord of the Rings, Star Wars"),
        ("https://example.org/a/b/c/d 1 2 3 4 {name} %s", "https://example.org/a/b/c/d 1 2 3 4 {name} %s"),
        ("BBC NBC CNN", "BBC NBC CNN"),
        ("我们昨天在公园里看见了两只很大的狗。", "Yesterday we saw two very big dogs in the park."),
        ("Yesterday we saw two very big dogs in the park.", "我们昨天在公园里看见了两只很大的狗。"),
        ("昨日、公園でとても大きな犬を二匹見ました。", "Yesterday we saw two very big dogs in the park."),
    ],
)  # fmt: skip
def test_what_is_right_is_not_flagged(source: str, translation: str) -> None:
    assert inspect_output(source, translation, protect="exact") == []


def test_a_copy_may_be_right_in_one_language() -> None:
    assert kinds(SOURCE, SOURCE, same_language=True) == []


def test_a_source_that_repeats_less_is_no_excuse() -> None:
    assert kinds("No, no, no, no, no!", "Nein, " * 9 + "nein!") == ["repetition", "too_long"]
    assert kinds("ha ha ha", "ha " * 30) == ["repetition", "too_long"]


def test_a_source_that_repeats_something_short_is_no_excuse() -> None:
    source = "No, no, two young men are playing football in front of the old town hall."
    assert kinds(source, "Nein, nein, " + GOOD) == []
    assert kinds(source, "Nein, nein, zwei junge Männer spielen vor dem alten Rathaus vor dem alten Rathaus.") == [
        "repetition"
    ]


def test_what_was_lost_is_flagged_on_demand() -> None:
    source, translation = "It costs 1,000.5 at 12:30.", "Um 12:30 kostet es 1.000,5."
    assert inspect_output(source, translation) == []
    assert inspect_output(source, translation, protect="exact") == [("lost", "1,000.5")]
    assert inspect_output(source, translation, protect="any") == []


def test_limits_of_length_are_calibrated() -> None:
    pairs = [*make_pairs(100), ("", ""), ("blank", " ")]
    narrow = Lengths.calibrated(pairs, slack=0)
    assert 0.4 < narrow.shortest < 0.95 < 1.05 < narrow.longest < 2.5
    assert all(kinds(*pair, lengths=narrow, same_language=True) == [] for pair in pairs[:100])
    source = "one two three four five six seven eight"
    assert kinds(source, "eins zwei drei vier") == []
    assert kinds(source, "eins zwei drei vier", lengths=narrow) == ["too_short"]
    double = Lengths.calibrated([("a" * 10, "b" * 20)] * 9, slack=0)
    assert (double.shortest * double.longest) ** 0.5 == pytest.approx(2)
    with pytest.raises(ValueError, match="without text"):
        Lengths.calibrated([("a", "")])


def test_visible_length_weighs_scripts() -> None:
    assert [visible_length(text) for text in ("ab c\u3000d", "狗", "いぬ", "개", "äö", "")] == [4, 3, 4, 2, 2, 0]


@given(source=nasty_lines, translation=nasty_lines)
def test_any_text_can_be_inspected(source: str, translation: str) -> None:
    flags = inspect_output(source, translation, protect="exact")
    assert len({flag.kind for flag in flags}) == len(flags)
    assert inspect_output(source, source, same_language=True, protect="exact") == []


@pytest.mark.parametrize("unit", ["a", "ab ", "a b ", "狗", "1", "ab", "a a b ", "0123456789abcdefgh", "(x) "])
def test_long_lines_take_no_ages(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    mixed = " ".join(f"{unit}{i % 1000}" for i in range(10_000))
    started = time.process_time()
    assert "repetition" in kinds(SOURCE, text, protect="exact")
    inspect_output(text, text + mixed, protect="exact")
    assert time.process_time() - started < 10
