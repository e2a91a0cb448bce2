"""One side of a tokenizer: lines of text to ids and back."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import sentencepiece

from seq2seq.errors import ModelError
from seq2seq.files import parse_json
from seq2seq.text.ids import EOS, SPECIAL_IDS, UNK
from seq2seq.text.subwords import SubwordSampler

# SentencePiece writes a space as U+2581. A lossless tokenizer must keep one that stands in the text itself apart.
ESCAPES = str.maketrans({"\ue000": "\ue000\ue001", "\u2581": "\ue000\ue002"})
UNESCAPES = (("\ue000\ue002", "\u2581"), ("\ue000\ue001", "\ue000"))

# Where a tokenizer may cut a long line: between two words, or anywhere.
SPACE, ANYWHERE = re.compile(r"(?<=\S)(?= \S)"), re.compile("")


class Codec(Protocol):
    """Text to ids and back; ids of special tokens and tags stand in front of all others and never come from text."""

    content: bytes
    vocab_size: int

    @property
    def cut(self) -> re.Pattern[str] | None:
        """Where a line may be cut: its parts have the tokens that the whole has; None: nowhere."""

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, ending in eos."""

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Returns ids of a line, ending in eos, with a segmentation drawn at random."""

    def decode(self, rows: Sequence[list[int]]) -> list[str]:
        """Returns the text of each row of ids."""

    def piece(self, token: int) -> str:
        """Returns what an id stands for."""

    def starts_word(self, token: int) -> bool:
        """Says whether an id begins a new word."""


class SentencePieceCodec:
    """Subwords of a SentencePiece model (Kudo & Richardson 2018).

    Args:
        content: the model file.
        lossless: whether U+2581 is escaped; see `ESCAPES`.

    Raises:
        ModelError: the special ids are not ours.
        RuntimeError: it is no SentencePiece model.
    """

    def __init__(self, content: bytes, lossless: bool = False) -> None:
        self.content = content
        self._lossless = lossless
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        ids = (self._processor.pad_id(), self._processor.unk_id(), self._processor.bos_id(), self._processor.eos_id())
        found = dict(zip(("pad", "unk", "bos", "eos"), ids, strict=True))
        if found != SPECIAL_IDS:
            raise ModelError(f"tokenizer: special ids are {found}, must be {SPECIAL_IDS}")
        self.vocab_size: int = self._processor.get_piece_size()
        self._sampler = SubwordSampler(content, self._processor.normalize)

    @cached_property
    def cut(self) -> re.Pattern[str] | None:
        """In front of a space, if no piece reaches across it and none is taken away there."""
        pieces = map(self.piece, range(self.vocab_size))
        crossed = any("\u2581" in piece.lstrip("\u2581") for piece in pieces)
        whole, first, second = self.encode(["a a", "a", " a"])
        return None if crossed or whole != first[:-1] + second else SPACE

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, ending in eos."""
        if self._lossless:
            lines = [line.translate(ESCAPES) for line in lines]
        rows: list[list[int]] = self._processor.encode(list(lines), add_eos=True, num_threads=-1)
        return rows

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Draws from all segmentations: subword regularization (Kudo 2018) or BPE dropout (Provilkov et al. 2020).

        Args:
            line: text.
            alpha: exponent of the probabilities of a unigram model, share of the merges that BPE leaves out.
            seed: 0 or more; decides alone.
        """
        line = line.translate(ESCAPES) if self._lossless else line
        return [*self._sampler.sample(line, alpha, seed), EOS]

    def decode(self, rows: Sequence[list[int]]) -> list[str]:
        """Returns the text of each row of ids."""
        texts: list[str] = self._processor.decode(list(rows))
        if self._lossless:
            for escape, char in UNESCAPES:
                texts = [text.replace(escape, char) for text in texts]
        return texts

    def piece(self, token: int) -> str:
        """Returns the piece of an id."""
        return str(self._processor.id_to_piece(token))

    def starts_word(self, token: int) -> bool:
        """Says whether a piece begins with a space."""
        return self.piece(token).startswith("\u2581")


class ByteCodec:
    """An id for each byte of UTF-8; there is nothing to train.

    Args:
        content: empty.

    Raises:
        ModelError: it is not.
    """

    cut = ANYWHERE

    def __init__(self, content: bytes = b"") -> None:
        if content:
            raise ModelError("tokenizer: bytes need no file, this one is not empty")
        self.content: bytes = content
        self.vocab_size = len(SPECIAL_IDS) + 256

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, ending in eos."""
        return [[*(byte + len(SPECIAL_IDS) for byte in line.encode()), EOS] for line in lines]

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Returns the ids of a line: there is only one way to cut it."""
        return self.encode([line])[0]

    def decode(self, rows: Sequence[list[int]]) -> list[str]:
        """Returns the text of each row of ids; bytes that are no UTF-8 become U+FFFD, special ids nothing."""
        first = len(SPECIAL_IDS)
        return [bytes(i - first for i in row if i >= first).decode("utf-8", "replace") for row in rows]

    def piece(self, token: int) -> str:
        """Returns the byte of an id as SentencePiece writes it."""
        names, first = list(SPECIAL_IDS), len(SPECIAL_IDS)
        return f"<{names[token]}>" if token < first else f"<0x{token - first:02X}>"

    def starts_word(self, token: int) -> bool:
        """Says whether a byte is a space."""
        return token == len(SPECIAL_IDS) + ord(" ")


class CharacterCodec:
    """An id for each character.

    Args:
        content: what `train` made: on each line a piece as a JSON string, in the order of their ids.

    Raises:
        ModelError: the special ids are not ours.
        ValueError: it is not such a list.
    """

    cut = ANYWHERE

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._pieces = [str(parse_json(line)) for line in content.decode().split("\n")[:-1]]
        if self._pieces[: len(SPECIAL_IDS)] != [f"<{name}>" for name in SPECIAL_IDS]:
            raise ModelError(f"tokenizer: the first pieces must be {', '.join(SPECIAL_IDS)}")
        self._ids = {piece: i for i, piece in enumerate(self._pieces) if len(piece) == 1}
        self._shown = [piece if len(piece) == 1 else "\ufffd" * (i == UNK) for i, piece in enumerate(self._pieces)]
        self.vocab_size = len(self._pieces)

    @classmethod
    def train(cls, lines: Sequence[str], size: int, coverage: float, tags: Sequence[str]) -> "CharacterCodec":
        """Takes the most frequent characters of some lines.

        Args:
            lines: text.
            size: ids at the most, special ones and tags included.
            coverage: share of the characters of the text that get an id.
            tags: pieces behind the special ones.
        """
        counts = Counter[str]()
        for line in lines:
            counts.update(line)
        pieces = [*(f"<{name}>" for name in SPECIAL_IDS), *tags]
        room, missing = size - len(pieces), (1 - coverage) * counts.total()
        frequent = sorted(counts, key=lambda char: (-counts[char], char))
        while frequent and (len(frequent) > room or counts[frequent[-1]] <= missing):
            missing -= counts[frequent.pop()]
        rows = [json.dumps(piece, ensure_ascii=False) + "\n" for piece in pieces + frequent]
        return cls("".join(rows).encode())

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line, ending in eos."""
        return [[*(self._ids.get(char, UNK) for char in line), EOS] for line in lines]

    def sample(self, line: str, alpha: float, seed: int) -> list[int]:
        """Returns the ids of a line: there is only one way to cut it."""
        return self.encode([line])[0]

    def decode(self, rows: Sequence[list[int]]) -> list[str]:
        """Returns the text of each row of ids; an unknown character becomes U+FFFD, tags and the like nothing."""
        return ["".join(self._shown[i] for i in row) for row in rows]

    def piece(self, token: int) -> str:
        """Returns the character of an id."""
        return self._pieces[token]

    def starts_word(self, token: int) -> bool:
        """Says whether a character is a space, which then stands in front of the word as SentencePiece's does."""
        return self._pieces[token].isspace()
