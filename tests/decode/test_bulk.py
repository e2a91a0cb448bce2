"""Lines that fail, chunk by chunk; the commands' way through it is tested in tests/cli and tests/tools."""

import io
import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from seq2seq.decode.bulk import HOPELESS, BulkTranslation
from seq2seq.decode.translation import BLANK, Candidate, Translation
from seq2seq.decode.translator import Translator
from seq2seq.errors import ModelError
from seq2seq.text.inputs import TextInput


class Capitals:
    """Stands in for a translator: capitals, except where it is asked for the impossible."""

    tell: Any = None
    context = 0

    def translate_each(
        self, lines: Sequence[str], n_best: int, before: Sequence[str], prefixes: Sequence[str]
    ) -> list[Translation]:
        self.tell(0.5)
        return [self.translate(line) for line in lines]

    def translate(self, line: str) -> Translation:
        if "bad" in line:
            return Translation("", [], error=ModelError(f"{line} is\u2028bad"))
        return Translation(line.upper(), [Candidate(line.upper(), 0.0, 0.0, [7, 8])]) if line else BLANK


class Watcher:
    def __init__(self) -> None:
        self.shown: list[tuple[float, int, float | None]] = []
        self.failures: list[tuple[int, str]] = []

    def show(self, lines: float, tokens: int, share: float | None) -> None:
        self.shown.append((lines, tokens, share))

    def failed(self, line: int, reason: str) -> None:
        self.failures.append((line, reason))


def run(content: bytes, jsonl: bool = False, at_once: int = 2) -> tuple[list[bytes], BulkTranslation, Watcher]:
    blocks: list[bytes] = []
    watcher = Watcher()
    text = TextInput(io.BytesIO(content), "input", size=len(content))
    bulk = BulkTranslation(cast(Translator, Capitals()), text, 1, jsonl, at_once)
    bulk.run(lambda block, state: blocks.append(block), watcher)
    return blocks, bulk, watcher


def test_a_failed_line_is_empty_counted_and_told_of() -> None:
    blocks, bulk, watcher = run(b"a\n\nbad\nc\nd")
    assert blocks == [b"A\n\n", b"\nC\n", b"D\n"]
    assert (bulk.tally.lines, bulk.tally.translated, bulk.tally.failed, bulk.tally.tokens) == (5, 3, 1, 6)
    assert watcher.failures == [(3, "bad is bad")]
    blocks, _, _ = run(b"a\nbad\n", jsonl=True)
    first, second = map(json.loads, b"".join(blocks).splitlines())
    assert (first["failed"], "error" in first) == (False, False)
    assert (second["translation"], second["failed"], second["error"]) == ("", True, "bad is bad")


def test_progress_only_grows_and_ends_at_the_end() -> None:
    _, _, watcher = run(b"a\nb\n\nccc\ndd\n")
    lines, tokens, shares = zip(*watcher.shown, strict=True)
    assert list(lines) == sorted(lines) == [1, 2, 3, 4, 4.5, 5]
    assert tokens == (0, 4, 4, 6, 6, 8)
    assert list(shares) == sorted(shares) and shares[-1] == 1.0


@pytest.mark.parametrize("content", [b"bad 1\n\nbad 2", b"bad 1\nbad 2\n", b"bad 1\n" * (2 * HOPELESS)])
def test_if_nothing_succeeds_the_first_error_ends_it(content: bytes) -> None:
    with pytest.raises(ModelError, match="bad 1 is"):
        run(content)


def test_lines_that_fail_first_are_not_lost() -> None:
    blocks, bulk, _ = run(b"\n\nbad\n\nbad\nbad\nx\ny\n")
    assert blocks == [b"\n\n", b"\n" * 4 + b"X\nY\n"]
    assert (bulk.tally.lines, bulk.tally.failed) == (8, 3)


def test_blank_input_is_no_failure() -> None:
    assert run(b"\n\n")[0] == [b"\n\n"]
    blocks, bulk, _ = run(b"")
    assert (blocks, bulk.tally.lines) == ([b""], 0)
