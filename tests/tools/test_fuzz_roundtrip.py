import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fuzz import roundtrip
from fuzz.roundtrip import BATCH, check, main, random_strings, report
from seq2seq.text.ids import Ids
from seq2seq.text.tokenizer import Tokenizer

WORDS = ["dog", "Häuser,"]


class Broken(Tokenizer):
    """Bytes, but for some texts, that lose spaces, get a special id, or are refused."""

    def __init__(self, fault: str) -> None:
        super().__init__([b""], "bytes")
        self.fault = fault

    def encode_target(self, lines: Sequence[str]) -> list[Ids]:
        if self.fault == "refused" and any("\u2581" in line for line in lines):
            raise RuntimeError("no such character")
        rows = super().encode_target([line.rstrip(" ") if self.fault == "spaces" else line for line in lines])
        if self.fault == "special":
            for row in rows:
                row[row == 4 + ord("\n")] = 1
        return rows


def test_strings_are_of_all_kinds_and_the_same_again() -> None:
    strings = list(random_strings(3000, 1, WORDS))
    assert strings == list(random_strings(3000, 1, WORDS)) != list(random_strings(3000, 2, WORDS))
    text = "".join(strings)
    text.encode()  # no surrogates
    assert {ord(char) >> 16 for char in text} == set(range(17))
    assert "" in strings
    assert all(what in text for what in ("\n", "\x00", "\u0301", "\u05e9", "\U0001f600", "\u3000", "dog", "</s>"))
    assert all(what in text for what in ("\u2581", "\ue000", "\ue001", "\ue002"))


@pytest.mark.parametrize(("fault", "found"), [
    ("spaces", lambda text: text.endswith(" ")), ("special", lambda text: "\n" in text),
    ("refused", lambda text: "\u2581" in text),
])  # fmt: skip
def test_a_broken_tokenizer_is_found(fault: str, found: object) -> None:
    assert callable(found)
    strings = list(random_strings(3 * BATCH, 5, WORDS))
    outcome = check({"good": Tokenizer([b""], "bytes"), "bad": Broken(fault)}, iter(strings))
    assert outcome.strings == len(strings) and outcome.characters == sum(map(len, strings))
    expected = [text for text in strings[BATCH : 2 * BATCH] if found(text)]
    assert [failure.text for failure in outcome.failures] == expected != []
    assert {failure.tokenizer for failure in outcome.failures} == {"bad"}
    first, second, *_ = report(outcome, 5).split("\n")
    assert f"{len(strings):,} strings" in first and f" {len(expected):,} failures" in first and "seed 5" in first
    assert repr(expected[0]) in second


def test_strings_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roundtrip, "BATCH", 300)
    path = tmp_path / "new/found.json"
    assert main(["--strings", "3000", "--seed", "7", "--json", str(path)]) == 0
    assert capsys.readouterr().out.startswith("3,000 strings, ")
    assert json.loads(path.read_text())["failures"] == []
    monkeypatch.setattr(roundtrip, "train_tokenizers", lambda: ({"bad": Broken("spaces")}, WORDS))
    assert main(["--strings", "300", "--json", str(path)]) == 1
    assert json.loads(path.read_text())["failures"][0]["text"].endswith(" ")
