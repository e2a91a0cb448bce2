"""Tokens as text: where words begin and end in what is searched for."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

JOINERS = frozenset(".,:'\u2019")  # without a space behind them a number, an address or a word goes on


@dataclass(frozen=True)
class Pieces:
    """What search has to know of tokens as text.

    Attributes:
        texts: of each token, spaces included; empty for special ones.
    """

    texts: Sequence[str]
    begins: Sequence[bool] = field(init=False)  # whether a new word begins with it, or what is no word
    ends: Sequence[bool] = field(init=False)  # whether a word may begin behind it without a space
    joins: Sequence[bool] = field(init=False)  # whether what is in front of it goes on unless there is a space behind
    spaces: Sequence[bool] = field(init=False)  # whether it begins with a space
    opens: Sequence[bool] = field(init=False)  # whether it ends with a space or a bracket or quote that opens

    @cached_property
    def spread(self) -> list[str]:
        """Each token as `spread`."""
        return list(map(spread, self.texts))

    def __post_init__(self) -> None:
        lasts = [text[-1:] for text in self.texts]
        found = {
            "begins": [not is_of_word(text[:1]) for text in self.texts],
            "ends": [not is_of_word(last) and last not in JOINERS for last in lasts],
            "joins": [text in JOINERS for text in self.texts],
            "spaces": [text.startswith(" ") for text in self.texts],
            "opens": [last != "" and last in ' ("[\u00ab\u201a\u201e\u201c\u00bf\u00a1' for last in lasts],
        }
        for name, values in found.items():
            object.__setattr__(self, name, values)


def is_of_word(char: str) -> bool:
    """Says whether a character is a part of a word that goes on beside it: not where words have no spaces."""
    return (char.isalnum() or is_mark(char)) and not ("\u0e00" <= char <= "\u0eff" or "\u3040" <= char <= "\u9fff")


def is_mark(char: str) -> bool:
    """Says whether a character is an accent or the like, written upon the one before it."""
    return char != "" and unicodedata.combining(char) > 0


def spread(text: str) -> str:
    """Returns a text in which single spaces or more, and nothing else, part the words, in small letters and decomposed.

    Where words have no spaces each character is one.
    """
    return "".join(char if is_of_word(char) else f" {char} " if char.isalnum() else " " for char in folded(text))


def folded(text: str) -> str:
    """Returns a text without case, and with accents behind their letters, in whichever way it has them."""
    if text.isascii():
        return text.lower()
    chars = unicodedata.normalize("NFC", text)
    return "".join(_decomposed(_decomposed(char).casefold()) if is_of_word(char) else char for char in chars)


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def byte_text(byte: int) -> str:
    """Returns what stands for a byte of UTF-8: the character that it is, else a letter that no text should hold."""
    return chr(byte) if byte < 0x80 else chr(0xA000 + byte)


def in_bytes(text: str) -> str:
    """Returns a text of which all but ASCII is written in bytes."""
    return "".join(char if char.isascii() else "".join(map(byte_text, char.encode())) for char in text)
