"""The sentences in front of a sentence, of the same document."""

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from seq2seq.text.ids import IdRows
from seq2seq.text.lines import is_blank

SEPARATOR = "<sep>"  # the token behind each sentence of a context
Context = tuple[str, ...]  # the sentences in front of one, the nearest last


class Document:
    """Knows which lines stand in front of the next one; a blank line ends a document.

    Args:
        size: lines of a context at the most; 0: there is none.
        lines: that have been read already; of them the last ones, as many as `size`, suffice.
    """

    def __init__(self, size: int, lines: Iterable[str] = ()) -> None:
        self._size = size
        self._lines = deque[str](maxlen=size)
        for line in lines:
            self._read(line)

    def read(self, lines: Sequence[str]) -> list[Context]:
        """Returns the context of each of the lines that come next."""
        return [self._read(line) for line in lines] if self._size else [()] * len(lines)

    def _read(self, line: str) -> Context:
        context = tuple(self._lines)
        if is_blank(line):
            self._lines.clear()
        else:
            self._lines.append(line)
        return context


def put_in_front(context: Sequence[Sequence[int]], ids: Sequence[int], separator: int, room: int) -> list[int]:
    """Returns the ids of a sentence with those of its context in front, as many of the nearest ones as there is room.

    Tiedemann & Scherrer 2017, "2+1", with any number of sentences in front: the target is the last sentence alone.

    Args:
        context: ids of sentences, each ending in eos, in whose place the separator comes.
        ids: of the sentence itself.
        separator: id behind each sentence of the context.
        room: ids at the most; the sentence itself is kept whole, however long.
    """
    parts: list[Sequence[int]] = [ids]
    room -= len(ids)
    for row in reversed(context):
        room -= len(row)
        if room < 0:
            break
        parts.append([*row[:-1], separator])
    return [token for part in reversed(parts) for token in part]


def taken_off(rows: IdRows, separator: int, n_tags: int) -> IdRows:
    """Returns sources without their context.

    Args:
        rows: ids of sources, each of `n_tags` tags, the context and the sentence itself.
        separator: id behind each sentence of the context.
        n_tags: ids that stay in front.
    """
    ends = rows.lengths.cumsum()
    starts = ends - rows.lengths
    places = np.flatnonzero(rows.ids == separator)
    owners = np.searchsorted(ends, places, side="right")
    begins = starts + n_tags  # of the sentence itself
    np.maximum.at(begins, owners, places + 1)
    within = np.arange(len(rows.ids))
    kept = within >= np.repeat(begins, rows.lengths)
    kept |= within < np.repeat(starts + n_tags, rows.lengths)
    return IdRows(rows.ids[kept], ends - begins + n_tags)
