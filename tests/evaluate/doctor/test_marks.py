"""Characters that show what went wrong, found where they are and nowhere else."""

import pytest

from seq2seq.evaluate.doctor.marks import MARKS, MarkScan, unmangled

CLEAN = [
    "Ein Mann läuft über die Straße – „schön“, sagt er… 5 < 6 & 7 > 3; a<b and b>c.",
    "L’été à la plage : « ça va ? » CAFÉ» SÃO PAULO não É…",
    "Это просто предложение. Ελληνικά. 日本語です。 हिन्दी العربية",
    "AT&T & Co. R&D; &c. 100 % \u00a0x",
]


class Rows:
    """What a scan needs of a corpus: names of places."""

    name, n_sides, languages = "corpus", 1, ("",)

    def place(self, index: int, side: int = 0) -> str:
        return f"file:{index + 1}"


def scan(lines: list[str], first: int = 0) -> dict[str, tuple[int, str, str]]:
    marks = MarkScan(Rows())  # type: ignore[arg-type]
    marks.add(0, first, lines)
    return {each.check: (each.count, each.examples[0].place, each.examples[0].note) for each in marks.findings()}


def test_nothing_is_found_in_clean_text() -> None:
    assert scan(CLEAN) == {}


@pytest.mark.parametrize(
    ("check", "line"),
    [
        ("lone_cr", "a\rb"),
        ("line_separators", "a\u2028b"),
        ("line_separators", "a\x85b"),
        ("line_separators", "a\x0bb"),
        ("control", "a\x00b"),
        ("control", "a\x1bb"),
        ("control", "a\x9cb"),
        ("replacement", "a\ufffdb"),
        ("bidi", "a\u202eb"),
        ("invisible", "a\u200bb"),
        ("invisible", "a\u00adb"),
        ("tabs", "a\tb"),
        ("entities", "a &quot;b&quot;"),
        ("entities", "it&#39;s"),
        ("tags", "a <b>b</b>"),
        ("tags", '<a href="x">b'),
        ("mojibake", "fÃ¼r"),
        ("mojibake", "donâ€™t"),
        ("mojibake", "ÐŸÑ€Ð¸Ð²ÐµÑ‚"),
        ("mojibake", "æ—¥æœ¬"),
        ("double_mojibake", "fÃƒÂ¼r"),
    ],
)
def test_each_mark_is_found_alone_and_in_its_place(check: str, line: str) -> None:
    found = scan([*CLEAN, line, *CLEAN], first=10)
    assert {name: (count, place) for name, (count, place, _) in found.items()} == {check: (1, "file:15")}


def test_a_line_counts_once_and_what_it_was_is_shown() -> None:
    assert scan(["Ã¼ber Ã¤ltere MÃ¤nner", "x"])["mojibake"] == (1, "file:1", "Ã¼ was ü")
    assert unmangled("Ã¼") == "ü" and unmangled("ü") is None


def test_marks_are_those_of_the_checks() -> None:
    from seq2seq.evaluate.doctor.checks import CHECKS

    assert set(MARKS) < set(CHECKS)
