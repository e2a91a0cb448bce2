"""Words that no hypothesis holds, however they are cut into tokens."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seq2seq.decode.pieces import Pieces, in_bytes, spread

NEVER = -torch.inf

Words = tuple[str, ...]  # the last ones of a hypothesis; the very last may go on, and is empty where none has begun
NO_WORDS: Words = ("",)


class Forbidden:
    """Follows the last words of hypotheses and rules out what would complete a forbidden one.

    A word is complete only when something else begins: until then it may become another.

    Args:
        texts: a word of each, or several in a row, whatever the case of their letters and what stands between them.
        pieces: tokens as text.
        eos: id that ends a hypothesis.
    """

    def __init__(self, texts: Iterable[str], pieces: Pieces, eos: int) -> None:
        ways = [way for text in texts for way in (text, *map(in_bytes, (text, text.lower(), text.upper())))]
        self._phrases = frozenset(words for way in ways if (words := tuple(spread(way).split())))
        self._longest = max(map(len, self._phrases), default=0)
        self._spread = pieces.spread if self._phrases else []
        self._eos = eos
        self._closing = torch.tensor(pieces.begins).nonzero()[:, 0]
        # What a hypothesis may end with that a forbidden phrase begins with, and tokens that close a word within.
        self._begun = {(*some[:-1], some[-1][:n]) for words in self._phrases for some in _starts(words)
                       for n in range(1, len(some[-1]) + 1)}  # fmt: skip
        self._closed = [token for token, text in enumerate(self._spread) if " " in text.lstrip()]
        self._fatal: dict[Words, Tensor] = {}

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def after(self, words: Words, token: int) -> Words:
        """Returns the last words behind a token."""
        return self._all_after(words, token)[-self._longest - 1 :] if self._phrases else words

    def bar(self, scores: Tensor, words: Words) -> None:
        """Rules out, in place, the tokens behind which a forbidden phrase would stand; scores: [V]."""
        if not self._phrases:
            return
        if any(words[-n:] in self._phrases for n in range(1, self._longest + 1)):
            scores[self._closing.to(scores.device)] = NEVER
            scores[self._eos] = NEVER
        if self._closed:
            scores[self._fatal_behind(words).to(scores.device)] = NEVER

    def _all_after(self, words: Words, token: int) -> Words:
        *whole, last = (words[-1] + self._spread[token]).split(" ")
        return (*words[:-1], *filter(None, whole), last)

    def _fatal_behind(self, words: Words) -> Tensor:
        """Returns the tokens within which a forbidden phrase comes to its end."""
        words = words if words[-1] else words[:-1]
        tail = next((words[-n:] for n in range(self._longest, 0, -1) if words[-n:] in self._begun), ())
        if tail not in self._fatal:
            ways = {(*tail, ""), tail} if tail else {NO_WORDS}
            found = [token for token in self._closed if any(self._holds(self._all_after(way, token)) for way in ways)]
            self._fatal[tail] = torch.tensor(found, dtype=torch.long)
        return self._fatal[tail]

    def _holds(self, words: Words) -> bool:
        """Says whether a forbidden phrase stands in words, the last of which may go on."""
        ends = range(1, len(words))
        return any(words[max(0, end - n) : end] in self._phrases for end in ends for n in range(1, self._longest + 1))


def stands_in(text: str, forbidden: Iterable[str]) -> bool:
    """Says whether a text holds one of some words or phrases."""
    words = f" {' '.join(spread(text).split())} "
    return any(f" {' '.join(spread(one).split())} " in words for one in forbidden if spread(one).strip())


def _starts(words: Sequence[str]) -> list[Words]:
    """Returns the first word, the first two and so on."""
    return [tuple(words[:n]) for n in range(1, len(words) + 1)]
