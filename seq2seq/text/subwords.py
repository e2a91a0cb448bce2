"""Segmentations of a line drawn at random, from the pieces of a SentencePiece model and nothing but a seed.

SentencePiece draws them too, but from a generator that no seed makes equal in every process and version. Only what it
calls normalisation is left to it.
"""

import math
import struct
from bisect import bisect
from collections.abc import Callable, Iterator
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple, Protocol

from seq2seq.errors import ModelError
from seq2seq.text.ids import UNK

UNKNOWN_PENALTY = 10.0  # SentencePiece's: how far the score of an unknown character is below that of the worst piece

# Numbers in sentencepiece_model.proto: of fields, of types of pieces, of a type of models.
PIECES, TRAINER_SPEC, PIECE, SCORE, TYPE, MODEL_TYPE = 1, 2, 1, 2, 3, 3
NORMAL, USER_DEFINED, UNUSED, BYTE = 1, 4, 5, 6
BPE = 2

# A piece of text with its id.
Token = tuple[str, int]


class _Piece(NamedTuple):
    text: str
    score: float
    type: int


class _Model(Protocol):
    """Cuts text that holds no symbol."""

    def cut(self, text: str, alpha: float, random: Random) -> list[Token]:
        """Returns the pieces of a segmentation drawn at random; an unknown character is one with the id of unk."""


class SubwordSampler:
    """Draws segmentations, the same in every process.

    Symbols that a user has defined stay whole, which SentencePiece promises of them; its own unigram sampler may cut
    those that have several characters.

    Args:
        content: the file of a unigram or BPE model, which SentencePiece has opened.
        normalize: its `normalize`.
    """

    def __init__(self, content: bytes, normalize: Callable[[str], str]) -> None:
        self._content = content
        self._normalize = normalize

    @cached_property
    def _pieces(self) -> list[_Piece]:
        return [_piece(value) for number, value in _fields(self._content) if number == PIECES]

    def _of_type(self, *types: int) -> dict[str, int]:
        return {piece.text: i for i, piece in enumerate(self._pieces) if piece.type in types}

    @cached_property
    def _symbols(self) -> "_Table":
        return _Table(self._of_type(USER_DEFINED))

    @cached_property
    def _bytes(self) -> dict[int, int]:
        """Ids of the bytes that stand for unknown characters; empty: unk does."""
        return {int(name[1:-1], 16): i for name, i in self._of_type(BYTE).items()}

    @cached_property
    def _model(self) -> _Model:
        scores = [piece.score for piece in self._pieces]
        specs = [value for number, value in _fields(self._content) if number == TRAINER_SPEC]
        if dict(_fields(b"".join(specs))).get(MODEL_TYPE) == BPE:
            return _BPE(self._of_type(NORMAL, UNUSED), scores, set(self._of_type(UNUSED)))
        return _Unigram(self._of_type(NORMAL), scores)

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Draws the ids of a line.

        Args:
            line: text.
            alpha: exponent of the probabilities of a unigram model, share of the merges that BPE leaves out.
            seed: 0 or more; decides alone.
        """
        # Python promises the same `random()` for a seed in all of its versions; NumPy's generators do not.
        random = Random(seed)
        ids: list[int] = []
        before = -1
        for piece, token in self._tokens(self._normalize(line), alpha, random):
            if token != UNK:
                ids.append(token)
            elif self._bytes:
                ids.extend(self._bytes[byte] for byte in piece.encode())
            elif before != UNK:  # a row of unknown characters is one
                ids.append(token)
            before = token
        return ids

    def _tokens(self, text: str, alpha: float, random: Random) -> Iterator[Token]:
        """Yields the symbols of a text, the longest where there are several, and pieces of what is between them."""
        start = i = 0
        while self._symbols.ids and i < len(text):
            symbol = max(self._symbols.beginnings(text, i), key=len, default="")
            if symbol:
                yield from self._model.cut(text[start:i], alpha, random)
                yield symbol, self._symbols.ids[symbol]
                start = i + len(symbol)
            i += len(symbol) or 1
        yield from self._model.cut(text[start:], alpha, random)


class _Table:
    """Pieces, found at a place of a text.

    A trie would be a little faster, but a file may hold pieces of millions of characters.

    Attributes:
        ids: of the pieces.
        lengths: of the pieces that have two characters or more, in ascending order, by their first two.
    """

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = ids
        lengths: dict[str, set[int]] = {}
        for piece in ids:
            if len(piece) > 1:
                lengths.setdefault(piece[:2], set()).add(len(piece))
        self.lengths = {beginning: sorted(found) for beginning, found in lengths.items()}

    def beginnings(self, text: str, i: int) -> list[str]:
        """Returns the pieces with which a text goes on at `i`."""
        rest = len(text) - i
        ends = [i + length for length in (1, *self.lengths.get(text[i : i + 2], ())) if length <= rest]
        return [text[i:end] for end in ends if text[i:end] in self.ids]


class _Unigram:
    """Draws from all segmentations, each with the product of its pieces' probabilities to the power of alpha.

    Kudo 2018, "Subword Regularization", section 3.3, with l infinite. What can follow is summed up from the end of the
    text to its beginning, then pieces are drawn from the beginning on.

    Args:
        ids: of the pieces.
        scores: log-probabilities by id, in nats.
    """

    def __init__(self, ids: dict[str, int], scores: list[float]) -> None:
        self._table = _Table(ids)
        self._scores = scores
        self._unknown = min((scores[i] for i in ids.values()), default=0.0) - UNKNOWN_PENALTY

    def cut(self, text: str, alpha: float, random: Random) -> list[Token]:
        """Returns the pieces of a segmentation drawn at random."""
        ids, lengths, scores = self._table.ids, self._table.lengths, self._scores
        exp, n = math.exp, len(text)
        sums = [0.0] * (n + 1)  # log of what the segmentations of text[i:] weigh together
        options: list[tuple[list[int], list[int], list[float]]] = []  # from the end on: ids, ends, cumulative weights
        for i in range(n - 1, -1, -1):
            token = ids.get(text[i], UNK)
            tokens, ends = [token], [i + 1]
            logs = [alpha * (self._unknown if token == UNK else scores[token]) + sums[i + 1]]
            for length in lengths.get(text[i : i + 2], ()):
                end = i + length
                if end > n:
                    break
                if (found := ids.get(text[i:end])) is not None:
                    tokens.append(found)
                    ends.append(end)
                    logs.append(alpha * scores[found] + sums[end])
            if len(logs) == 1:
                sums[i] = logs[0]
                options.append((tokens, ends, [1.0]))
            else:
                best = max(logs)
                weights = list(accumulate([exp(log - best) for log in logs]))
                sums[i] = best + math.log(weights[-1])
                options.append((tokens, ends, weights))
        drawn: list[Token] = []
        i = 0
        while i < n:
            tokens, ends, weights = options[n - 1 - i]
            # The last one is the bound: a product with a number just below 1 may be rounded up.
            choice = bisect(weights, random.random() * weights[-1], 0, len(weights) - 1) if len(weights) > 1 else 0
            drawn.append((text[i : ends[choice]], tokens[choice]))
            i = ends[choice]
        return drawn


class _BPE:
    """Merges the best pair of neighbours, of equals the first, until there is none, and leaves out some: BPE dropout.

    Provilkov et al. 2020, section 3. There a merge that was left out is possible again after the next one; here, as in
    SentencePiece, only when one of the two has changed.

    Args:
        ids: of the pieces.
        scores: priorities by id.
        unused: pieces that may only be steps on the way to larger ones.
    """

    def __init__(self, ids: dict[str, int], scores: list[float], unused: set[str]) -> None:
        self._ids = ids
        self._scores = scores
        self._unused = unused

    def cut(self, text: str, alpha: float, random: Random) -> list[Token]:
        """Returns the pieces that merges drawn at random leave."""
        ids, scores = self._ids, self._scores
        parts = list(text)  # a part that is merged moves to the left: "" is left in its place
        after, before = list(range(1, len(text) + 1)), list(range(-1, len(text) - 1))
        halves: dict[str, tuple[str, str]] = {}
        pairs: list[tuple[float, int, int, int]] = []  # minus the score, left and right part, length of both

        def consider(left: int, right: int) -> None:
            merged = parts[left] + parts[right]
            if (token := ids.get(merged)) is not None:
                heappush(pairs, (-scores[token], left, right, len(merged)))

        for i in range(len(text) - 1):
            token = ids.get(text[i : i + 2])
            if token is not None:
                pairs.append((-scores[token], i, i + 1, 2))
        heapify(pairs)
        while pairs:
            _, left, right, length = heappop(pairs)
            if not parts[left] or not parts[right] or len(parts[left]) + len(parts[right]) != length:
                continue  # one of them has changed
            if alpha and random.random() < alpha:
                continue
            merged = parts[left] + parts[right]
            if merged in self._unused:
                halves[merged] = parts[left], parts[right]
            parts[left], parts[right] = merged, ""
            after[left] = beyond = after[right]
            if beyond < len(text):
                before[beyond] = left
                consider(left, beyond)
            if before[left] >= 0:
                consider(before[left], left)
        return [(piece, ids.get(piece, UNK)) for part in parts if part for piece in self._used(part, halves)]

    def _used(self, part: str, halves: dict[str, tuple[str, str]]) -> Iterator[str]:
        """Yields the part, or what it was merged from if it is unused."""
        if part in halves:
            for half in halves[part]:
                yield from self._used(half, halves)
        else:
            yield part


def _piece(message: bytes) -> _Piece:
    """Reads a piece."""
    fields = dict(_fields(message))
    # Bytes that are no UTF-8 become what no text holds.
    text = fields.get(PIECE, b"").decode("utf-8", "surrogateescape")
    (score,) = struct.unpack("<f", fields.get(SCORE, bytes(4)))
    return _Piece(text, score, fields.get(TYPE, NORMAL))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yields number and value of each field of a message in the format of Protocol Buffers.

    The value is a number where it is written as a varint, else its bytes. The library of that name is no dependency.
    """
    i = 0
    while i < len(message):
        key, i = _varint(message, i)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, i = _varint(message, i)
            yield number, value
            continue
        match kind:
            case 1:
                size = 8
            case 2:
                size, i = _varint(message, i)
            case 5:
                size = 4
            case _:
                raise ModelError(f"tokenizer: its file has a field of the unknown kind {kind}")
        yield number, message[i : i + size]
        i += size


def _varint(message: bytes, i: int) -> tuple[int, int]:
    """Reads a number at a place; returns it and the place behind it."""
    value = shift = 0
    while message[i] & 0x80:
        value |= (message[i] & 0x7F) << shift
        shift += 7
        i += 1
    return value | message[i] << shift, i + 1
