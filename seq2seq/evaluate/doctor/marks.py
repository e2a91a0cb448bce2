"""Faults that single characters show: wrong encodings, control and invisible characters, escapes, markup."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from seq2seq.evaluate.doctor.checks import SHOWN, Example, Finding, find
from seq2seq.evaluate.doctor.reading import Rows
from seq2seq.evaluate.guards import ESCAPE, is_escape
from seq2seq.text.lines import LINE_BREAKS

AROUND = 30  # characters shown on each side of a mark

# What bytes 0x80 to 0xbf, which continue a UTF-8 character, become in Latin-1 and in Windows-1252.
_WINDOWS = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"  # noqa: RUF001
_NEXT = f"[\x80-\xbf{_WINDOWS}]"
# What the first byte becomes: of Latin letters alone, of Greek, Cyrillic and Arabic ones, which come in rows, and of
# characters of three bytes; rarer ones are left out, as they are rarely meant.
MOJIBAKE = re.compile(
    f"(?:[ÂÃÄÅ]{_NEXT}|(?:[ÎÏÐÑØÙ]{_NEXT}){{2,}}|[âãåæçèéêëìíï]{_NEXT}{{2}}|à[¤¥¦§¨ª«¬®¯°¸¹]{_NEXT})+"  # noqa: RUF001
)
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s+[\w:-]+\s*=[^<>\n]{0,200})?\s*/?>")
_INVISIBLE = "\u00ad\u180e\u200b\u2060-\u2064\ufeff"


def _always(_: str) -> bool:
    return True


def unmangled(text: str) -> str | None:
    """Returns what a run of characters was before its UTF-8 bytes were read as Windows-1252; None: it never was."""
    try:
        raw = b"".join(char.encode("latin-1" if ord(char) < 256 else "cp1252") for char in text)
        original = raw.decode()
    except UnicodeError:
        return None
    return original if all(unicodedata.category(char) not in ("Cn", "Co") for char in original) else None


def _is_mangled(text: str) -> bool:
    return unmangled(text) is not None


# Patterns that are searched for, and what else must hold for what they find.
MARKS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "lone_cr": (re.compile("\r"), _always),
    "line_separators": (re.compile(LINE_BREAKS.pattern.replace("\n\r", "")), _always),
    "control": (re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]"), _always),
    "replacement": (re.compile("\ufffd"), _always),
    "bidi": (re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"), _always),
    "invisible": (re.compile(f"[{_INVISIBLE}]"), _always),
    "tabs": (re.compile("\t"), _always),
    "entities": (ESCAPE, is_escape),
    "tags": (_TAG, _always),
    "mojibake": (MOJIBAKE, _is_mangled),
}


class MarkScan:
    """Counts the lines of each side that hold a mark.

    Many lines are searched at once: what is clean costs next to nothing.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lines = 0
        self._counts: dict[tuple[str, int], int] = {}
        self._examples: dict[tuple[str, int], list[Example]] = {}

    def add(self, side: int, first: int, lines: Sequence[str]) -> None:
        """Searches lines of a side, the first of which has the index `first`."""
        text = "\n".join(lines)
        starts: list[int] = []
        for check, (pattern, holds) in MARKS.items():
            last = -1
            for found in pattern.finditer(text):
                if not holds(found[0]):
                    continue
                starts = starts or list(accumulate((len(line) + 1 for line in lines), initial=0))
                line = bisect_right(starts, found.start()) - 1
                if line != last:  # each line once
                    self._count(check, side, first + line, lines[line], found.start() - starts[line], found[0])
                    last = line
        if side == 0:
            self._lines += len(lines)

    def _count(self, check: str, side: int, index: int, line: str, place: int, mark: str) -> None:
        note = ""
        if check == "mojibake":
            repaired = unmangled(mark) or ""
            again = MOJIBAKE.search(repaired)
            if again and _is_mangled(again[0]):
                check, repaired = "double_mojibake", unmangled(again[0]) or ""
            note = f"{mark} was {repaired}"
        key = check, side
        self._counts[key] = self._counts.get(key, 0) + 1
        examples = self._examples.setdefault(key, [])
        if len(examples) < SHOWN:
            start = max(0, place - AROUND)
            excerpt = "…" * (start > 0) + line[start : place + len(mark) + AROUND]
            examples.append(Example(self._rows.place(index, side), (excerpt,), note))

    def findings(self) -> list[Finding]:
        """Returns what was found on each side."""
        found = []
        for (check, side), count in sorted(self._counts.items()):
            detail = ("source", "target")[side] if self._rows.n_sides > 1 else ""
            found += find(check, count, self._lines, detail=detail, examples=self._examples[check, side])
        return found
