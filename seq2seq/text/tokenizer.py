"""SentencePiece: text to ids and back, one model for both sides or one for each."""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from seq2seq.config import TokenizerSettings
from seq2seq.errors import DataError, ModelError
from seq2seq.text.ids import BOS, EOS, PAD, SPECIAL_IDS, UNK, Ids
from seq2seq.text.lines import is_blank, one_line

# SentencePiece writes a space as U+2581. A lossless tokenizer must keep one that stands in the text itself apart.
ESCAPES = str.maketrans({"\ue000": "\ue000\ue001", "\u2581": "\ue000\ue002"})
UNESCAPES = (("\ue000\ue002", "\u2581"), ("\ue000\ue001", "\ue000"))


class Tokenizer:
    """Encodes source and target lines and decodes target ids.

    Attributes:
        shared: whether both sides use one model.
        source_vocab_size: ids of the source side, special ids counted.
        target_vocab_size: ids of the target side, special ids counted.
    """

    def __init__(self, models: Sequence[bytes], lossless: bool) -> None:
        self._models = tuple(models)
        self._lossless = lossless
        processors = [sentencepiece.SentencePieceProcessor(model_proto=model) for model in models]
        for processor in processors:
            found = {
                "pad": processor.pad_id(),
                "unk": processor.unk_id(),
                "bos": processor.bos_id(),
                "eos": processor.eos_id(),
            }
            if found != SPECIAL_IDS:
                raise ModelError(f"tokenizer: special ids are {found}, must be {SPECIAL_IDS}")
        self._source, self._target = processors[0], processors[-1]
        self.shared = len(models) == 1
        self.source_vocab_size: int = self._source.get_piece_size()
        self.target_vocab_size: int = self._target.get_piece_size()

    @classmethod
    def train(cls, pairs: Iterable[tuple[str, str]], settings: TokenizerSettings) -> "Tokenizer":
        """Trains on pairs of lines; blank ones are passed over.

        Raises:
            DataError: the text does not support the vocabulary asked for.
        """
        sides: tuple[list[str], list[str]] = ([], [])
        for pair in pairs:
            for side, line in zip(sides, pair, strict=True):
                if not is_blank(line):
                    side.append(line.translate(ESCAPES) if settings.lossless else line)
        texts = [sides[0] + sides[1]] if settings.shared else list(sides)
        return cls([_train(lines, settings) for lines in texts], settings.lossless)

    def encode_source(self, lines: Sequence[str]) -> list[Ids]:
        """Returns ids ending in eos for each line."""
        return self._encode(self._source, lines)

    def encode_target(self, lines: Sequence[str]) -> list[Ids]:
        """Returns ids ending in eos for each line."""
        return self._encode(self._target, lines)

    def decode_target(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns the text of target ids, each on one line; special ids must have been taken off."""
        texts = self._target.decode([list(map(int, row)) for row in ids])
        if self._lossless:
            for escape, char in UNESCAPES:
                texts = [text.replace(escape, char) for text in texts]
        return [one_line(text) for text in texts]

    def target_pieces(self, ids: Sequence[Ids]) -> list[list[str]]:
        """Returns the pieces that target ids stand for."""
        return [self._target.id_to_piece(row.tolist()) for row in ids]

    def starts_word(self, source_id: int) -> bool:
        """Says whether a source id begins a new word."""
        return str(self._source.id_to_piece(int(source_id))).startswith("\u2581")

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and the SentencePiece models into a new folder."""
        folder.mkdir()
        for name, model in zip(self._names(), self._models, strict=True):
            (folder / name).write_bytes(model)
        content = {
            "type": "sentencepiece",
            "special_ids": SPECIAL_IDS,
            "lossless": self._lossless,
            "models": self._names(),
            "hash": self.hash(),
        }
        (folder / "tokenizer.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Reads what `save` wrote.

        Raises:
            ModelError: a file is missing or is not what it should be.
        """
        try:
            content: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            models = [(folder / Path(name).name).read_bytes() for name in content["models"]]
            tokenizer = cls(models, bool(content["lossless"]))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(f"{folder}: not a usable tokenizer: {error}") from error
        if tokenizer.hash() != content.get("hash"):
            raise ModelError(f"{folder}: the tokenizer's models do not match the hash in tokenizer.json")
        return tokenizer

    def hash(self) -> str:
        """Returns a SHA-256 of all that decides how text is cut."""
        digest = hashlib.sha256(b"lossless" if self._lossless else b"")
        for model in self._models:
            digest.update(hashlib.sha256(model).digest())
        return digest.hexdigest()

    def _names(self) -> list[str]:
        return ["shared.model"] if self.shared else ["source.model", "target.model"]

    def _encode(self, processor: Any, lines: Sequence[str]) -> list[Ids]:
        if self._lossless:
            lines = [line.translate(ESCAPES) for line in lines]
        rows = processor.encode(list(lines), add_eos=True, num_threads=-1)
        return [np.array(row, dtype=np.int32) for row in rows]


def _train(lines: Sequence[str], settings: TokenizerSettings) -> bytes:
    """Trains one SentencePiece model."""
    model = io.BytesIO()
    lossless: dict[str, Any] = {
        "normalization_rule_name": "identity",
        "byte_fallback": True,
        "remove_extra_whitespaces": False,
    }
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=settings.model,
            vocab_size=settings.vocab_size,
            character_coverage=settings.character_coverage,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            max_sentence_length=100_000,  # bytes; longer lines are left out of the training of the tokenizer
            minloglevel=2,
            **(lossless if settings.lossless else {}),
        )
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"tokenizer.vocab_size={settings.vocab_size}: SentencePiece cannot train a {settings.model} model of this "
            f"size on {len(lines):,} lines: {str(error).split('] ')[-1].strip() or 'no text'}"
        ) from error
    return model.getvalue()
