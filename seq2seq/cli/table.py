"""Tables as text that fit a terminal, whatever their cells hold."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence

LONGEST = 32  # places of a cell on a terminal; longer ones are shortened in the middle
GAP = "  "  # between columns


def terminal_width() -> int | None:
    """Returns how many places a line of stdout has; None where it is no terminal and any length is right."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_text(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[bool], width: int | None) -> str:
    """Lays out a table.

    Args:
        heads: names of the columns.
        rows: cells, as many in each row.
        left: of each column, whether it begins on the left.
        width: places of a line; what has no room follows below, beside the first column again. None: all has room.
    """
    cells = [[printable(cell) for cell in row] for row in [heads, *rows]]
    if width is not None:
        cells = [[_shortened(cell) for cell in row] for row in cells]
    widths = [max(_places(row[i]) for row in cells) for i in range(len(heads))]
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(heads)):
        block = blocks[-1]
        taken = sum(widths[j] + len(GAP) for j in block) + widths[i]
        if width is not None and taken > width and len(block) > 1:
            blocks.append(block := [0])
        block.append(i)
    return "\n\n".join("\n".join(_line(row, block, widths, left) for row in cells) for block in blocks)


def _line(row: Sequence[str], block: Sequence[int], widths: Sequence[int], left: Sequence[bool]) -> str:
    """Returns some cells of a row, each as wide as its column."""
    spaces = {i: " " * (widths[i] - _places(row[i])) for i in block}
    return GAP.join(row[i] + spaces[i] if left[i] else spaces[i] + row[i] for i in block).rstrip()


def printable(text: str) -> str:
    """Returns text of which every character takes its own place: no terminal obeys it, no line ends in it."""
    return "".join(
        c if c.isprintable() or unicodedata.combining(c) else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


def _places(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _shortened(text: str) -> str:
    if _places(text) <= LONGEST:
        return text
    half = LONGEST // 2 - 1
    head, tail = text[:half], text[-half:]
    while _places(head) > half:
        head = head[:-1]
    while _places(tail) > half:
        tail = tail[1:]
    return f"{head}…{tail}"
