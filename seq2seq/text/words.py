"""Which word of a text, by its spaces, each piece of a tokenizer belongs to."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # how SentencePiece and the tokenizer of bytes write a byte


def words_of_pieces(pieces: Sequence[str], text: str) -> list[int]:
    """Returns for each piece the word of a text it belongs to, from 0 on; a space belongs to the word behind it.

    Words are `text.split()`, pieces are made of all of it. Where a tokenizer sees other spaces than Python does, or
    none, as it normalises text, places are compared: the middle of a piece, as a share of all characters of all pieces,
    with where words end.

    Args:
        pieces: of the text, without special tokens and tags.
        text: not blank.
    """
    visible = [_text(piece) for piece in pieces]
    n_words = len(text.split())
    found, last, between = [], -1, True  # the last word begun, and whether a space has ended it
    for piece in visible:
        parts = piece.split()
        if parts:
            last += between or piece[0].isspace()
            found.append(last)
            last, between = last + len(parts) - 1, piece[-1].isspace()
        else:
            found.append(last + 1)
            between = True
    if last + 1 == n_words:
        return [min(word, n_words - 1) for word in found]
    return _by_place(pieces, visible, text)


def _text(piece: str) -> str:
    """Returns what a piece is in a text; for a byte that is no character by itself, something visible."""
    if byte := BYTE.fullmatch(piece):
        value = int(byte[1], 16)
        return chr(value) if value < 128 else "?"
    return piece.replace("\u2581", " ") or "?"


def _by_place(pieces: Sequence[str], visible: Sequence[str], text: str) -> list[int]:
    in_bytes = any(map(BYTE.fullmatch, pieces))

    def size(part: str) -> int:
        part = "".join(unicodedata.normalize("NFKC", part).split())
        return len(part.encode("utf-8", "replace")) if in_bytes else len(part)

    ends = list(accumulate(max(1, size(word)) for word in text.split()))
    sizes = [1 if BYTE.fullmatch(piece) else size(part) for piece, part in zip(pieces, visible, strict=True)]
    scale = ends[-1] / max(1, sum(sizes))
    starts = accumulate(sizes, initial=0)
    places = [(start + part / 2) * scale for start, part in zip(starts, sizes, strict=False)]
    return [min(bisect_right(ends, place), len(ends) - 1) for place in places]
