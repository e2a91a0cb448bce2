"""Tables as text: aligned, harmless, no wider than they may be, and nothing is lost."""

import pytest

from seq2seq.cli.table import LONGEST, table_text

ROWS = [["first", "1.00", "short"], ["日本", "10.00", "x" * 50], ["e\u0301\x1b[31m\n\udcff", "–", ""]]


def test_all_has_room_in_a_pipe() -> None:
    lines = table_text(["run", "BLEU", "key"], ROWS, [True, False, True], None).split("\n")
    assert lines == [
        "run                 BLEU  key",
        "first               1.00  short",
        "日本               10.00  " + "x" * 50,
        "e\u0301\\x1b[31m\\n\\udcff      –",
    ]


@pytest.mark.parametrize(("width", "blocks"), [(10, 8), (40, 8), (60, 4), (80, 2)])
def test_what_has_no_room_follows_below(width: int, blocks: int) -> None:
    heads = ["run", *(f"column {i}" for i in range(8))]
    rows = [["a", *(f"value {i}" for i in range(8))], ["b" * 50, *("-" * 8)]]
    text = table_text(heads, rows, [True] * 9, width)
    assert all(len(line) <= max(width, LONGEST + 2 + 8) for line in text.split("\n"))
    assert [text.count(cell) for cell in (*heads[1:], *rows[0][1:])] == [1] * 16
    assert [block[:3] for block in text.split("\n\n")] == ["run"] * blocks
    assert "b" * 15 + "…" + "b" * 15 in text
