"""Text to ids and back, with one vocabulary for both sides or one for each."""

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from seq2seq.config import AnyTokenizerSettings, GPTTokenizerSettings, TokenizerSettings
from seq2seq.errors import DataError, ModelError
from seq2seq.files import read_bytes, read_json
from seq2seq.text.codecs import ESCAPES, ByteCodec, CharacterCodec, Codec, SentencePieceCodec
from seq2seq.text.context import SEPARATOR, Context, put_in_front, taken_off
from seq2seq.text.foreign import try_in_child
from seq2seq.text.gpt2 import GPT2Codec, library
from seq2seq.text.ids import BOS, EOS, PAD, SPECIAL_IDS, UNK, IdRows, Ids
from seq2seq.text.lines import Pair, is_blank, one_line

# Files of a tokenizer whose vocabulary is shared, and of one whose sides have one each.
FILES = {
    "sentencepiece": (["shared.model"], ["source.model", "target.model"]),
    "characters": (["characters.txt"], ["source.txt", "target.txt"]),
    "bytes": (["bytes.txt"], ["source.bytes", "target.bytes"]),
    "gpt2": (["bpe.json"], ["source.json", "target.json"]),
}

# Libraries of which a damaged or hostile file may crash the process.
FOREIGN = {"sentencepiece": "sentencepiece", "gpt2": "tokenizers"}

# Bytes that such a file may have. 256,000 subwords take 6 MB; a list of characters takes up to 50 times its size.
LARGEST = {"sentencepiece": 2**25, "gpt2": 2**25, "characters": 2**20, "bytes": 0}

# Where running text may be cut without changing its tokens: in front of a line break behind a visible character.
# SentencePiece has a token of its own for it, GPT-2 cuts there too, before it looks for pairs to merge. Characters that
# SentencePiece takes for spaces or for nothing, unless it is lossless, are not visible: at an end it drops them.
CUT = re.compile(r"(?<=[^\s\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2581\ufeff\ufffd])(?=\n)")
LONG = 10_000  # characters of a line from which on it is cut too, where its tokenizer allows it
GROUP = 2**20  # characters of running text that are encoded together
MOST = sys.maxsize  # ids of a source, of whose context all is wanted


def tag_piece(language: str) -> str:
    """Returns the token that stands for a target language."""
    return f"<2{language}>"


class Tokenizer:
    """Encodes source and target lines and decodes target ids.

    Args:
        contents: the files of the codecs: of both sides, or of source and target.
        kind: `sentencepiece`, `characters`, `bytes` or `gpt2`.
        lossless: whether decoding gives back every text exactly.
        languages: target languages that have a tag.
        separated: whether there is a token that stands behind each sentence of a context.

    Attributes:
        shared: whether both sides have one vocabulary.
        languages: target languages whose tags may stand in front of a source.
        separator: id that stands behind each sentence of a context; None: there can be no context.
        source_vocab_size: ids of the source side, special ids counted.
        target_vocab_size: ids of the target side, special ids counted.
    """

    def __init__(
        self,
        contents: Sequence[bytes],
        kind: str = "sentencepiece",
        lossless: bool = False,
        languages: Sequence[str] = (),
        separated: bool = False,
    ) -> None:
        self._contents = tuple(contents)
        self._kind = kind
        self._lossless = lossless
        self.languages = tuple(languages)
        codecs = [_codec(content, kind, lossless) for content in contents]
        self._source, self._target = codecs[0], codecs[-1]
        self.shared = len(codecs) == 1
        self.source_vocab_size = self._source.vocab_size
        self.target_vocab_size = self._target.vocab_size
        # Behind the special ids, in the order of the languages.
        self._tags = {language: len(SPECIAL_IDS) + i for i, language in enumerate(self.languages)}
        for language, token in self._tags.items():
            if self._source.piece(token) != tag_piece(language):
                raise ModelError(f"tokenizer: id {token} is not the tag of {language}")
        self.separator = len(SPECIAL_IDS) + len(self._tags) if separated else None
        if self.separator and self._source.piece(self.separator) != SEPARATOR:
            raise ModelError(f"tokenizer: id {self.separator} is not the separator of sentences")

    @classmethod
    def train(
        cls, pairs: Iterable[Pair], settings: TokenizerSettings, languages: Sequence[str] = (), separated: bool = False
    ) -> "Tokenizer":
        """Trains on pairs of lines; blank ones are passed over.

        Args:
            pairs: source and target lines.
            settings: kind and size of the vocabulary.
            languages: target languages that get a tag.
            separated: whether there is to be a separator, see the class.

        Raises:
            DataError: the text does not support the vocabulary asked for.
        """
        sides: tuple[list[str], list[str]] = ([], [])
        for pair in pairs:
            for side, line in zip(sides, pair, strict=True):
                if not is_blank(line):
                    side.append(line)
        tags = [*map(tag_piece, languages), *([SEPARATOR] if separated else [])]
        if settings.shared:
            contents = [_train(sides[0] + sides[1], settings, tags)]
        else:
            contents = [_train(sides[0], settings, tags), _train(sides[1], settings, [])]
        return cls(contents, settings.type, settings.lossless, languages, separated)

    @classmethod
    def train_on_text(cls, lines: Sequence[str], settings: GPTTokenizerSettings) -> "Tokenizer":
        """Trains on lines of running text, line breaks included, with one vocabulary.

        Raises:
            DataError: the text does not support the vocabulary asked for.
        """
        return cls([_train(lines, settings, [], running=True)], settings.type, settings.lossless)

    @property
    def tag_length(self) -> int:
        """Tokens of the tag in front of each source: 1 or 0."""
        return 1 if self._tags else 0

    @property
    def unspoken(self) -> tuple[int, ...]:
        """Target ids that no translation holds: pad, unk, bos; of a shared vocabulary tags and the separator, too."""
        of_sources = [*self._tags.values(), *([self.separator] if self.separator else [])]
        return (PAD, UNK, BOS, *(of_sources if self.shared else ()))

    def source_rows(
        self, lines: Sequence[str], language: str | None = None, contexts: Sequence[Context] = (), longest: int = MOST
    ) -> IdRows:
        """Returns ids ending in eos for each line.

        Args:
            lines: text.
            language: to be translated into: its tag stands in front, if the tokenizer has tags.
            contexts: of each line, between the tag and the line, or none at all; see `context.put_in_front`.
            longest: ids that a line may have together with its context, whose oldest sentences are left out for it.

        Raises:
            DataError: it has tags, but none for the language; or there is a context, but no separator.
        """
        tag = self._tag(language)
        if not any(contexts):
            rows = self._source.encode(lines)
            return IdRows.of([[*tag, *row] for row in rows] if tag else rows)
        distinct = list(dict.fromkeys(chain(lines, chain.from_iterable(contexts))))
        ids = dict(zip(distinct, self._source.encode(distinct), strict=True))
        return IdRows.of(
            [
                self._in_context(tag, [ids[sentence] for sentence in context], ids[line], longest)
                for context, line in zip(contexts, lines, strict=True)
            ]
        )

    def target_rows(self, lines: Sequence[str]) -> IdRows:
        """Returns ids ending in eos for each line."""
        return IdRows.of(self._target.encode(lines))

    def encode_source(self, lines: Sequence[str], language: str | None = None) -> list[Ids]:
        """Returns `source_rows`, each an array."""
        return self.source_rows(lines, language).rows

    def without_context(self, sources: IdRows) -> IdRows:
        """Returns the ids of sources, tags included, without those of their context."""
        return taken_off(sources, self.separator, self.tag_length) if self.separator else sources

    def encode_target(self, lines: Sequence[str]) -> list[Ids]:
        """Returns `target_rows`, each an array."""
        return self.target_rows(lines).rows

    def encode_texts(self, texts: Sequence[str]) -> list[Ids]:
        """Returns ids ending in eos for each of some texts of any length, line breaks included."""
        ids = np.concatenate([_array([]), *self.encode_running(texts)])
        ends = np.flatnonzero(ids == EOS) + 1  # no text has a token for it
        return [ids[start:end] for start, end in pairwise([0, *ends.tolist()])]

    def encode_running(self, texts: Iterable[str]) -> Iterator[Ids]:
        """Yields the ids of texts one behind the other, each text ending in eos, in arrays that end anywhere.

        Texts are cut in front of line breaks, and lines longer than `LONG` between words, of characters and bytes
        anywhere: wherever it does not change the tokens. Beside a text only some `GROUP` characters and their ids are
        held, but for longer stretches without such a place: long lines without spaces, and all long lines where
        SentencePiece is not lossless, because a space at the beginning of a part would be lost.
        """
        group: list[tuple[str, bool]] = []
        size = 0
        for part in chain.from_iterable(_parts(text, self._target.cut) for text in texts):
            group.append(part)
            size += len(part[0])
            if size >= GROUP:
                yield self._joined(group)
                group, size = [], 0
        if group:
            yield self._joined(group)

    def _joined(self, parts: Sequence[tuple[str, bool]]) -> Ids:
        """Returns the ids of parts of texts in one array, eos behind the last part of each text only."""
        rows = self._target.encode([part for part, _ in parts])
        return _array([i for row, (_, last) in zip(rows, parts, strict=True) for i in (row if last else row[:-1])])

    def sample(
        self, pair: Pair, language: str | None, alpha: float, seed: int, context: Context = (), longest: int = MOST
    ) -> tuple[Ids, Ids]:
        """Returns source and target ids of a pair with segmentations drawn at random; `seed` decides alone.

        That of the source does not depend on its context; see `source_rows`.
        """
        source, target = self._source.sample(pair[0], alpha, seed), self._target.sample(pair[1], alpha, seed + 1)
        front = [self._source.sample(sentence, alpha, seed + 2 + i) for i, sentence in enumerate(reversed(context))]
        return _array(self._in_context(self._tag(language), front[::-1], source, longest)), _array(target)

    def decode_target(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Returns the text of target ids, each on one line; special ids must have been taken off."""
        return [one_line(text) for text in self._target.decode([list(map(int, row)) for row in ids])]

    def decode_text(self, ids: Sequence[int]) -> str:
        """Returns the text of target ids with its line breaks; special ids must have been taken off."""
        (text,) = self._target.decode([list(map(int, ids))])
        return text

    def source_pieces(self, ids: Sequence[Ids]) -> list[list[str]]:
        """Returns the pieces that source ids stand for."""
        return [[self._source.piece(token) for token in row.tolist()] for row in ids]

    def target_pieces(self, ids: Sequence[Ids]) -> list[list[str]]:
        """Returns the pieces that target ids stand for."""
        return [[self._target.piece(token) for token in row.tolist()] for row in ids]

    def starts_word(self, source_id: int) -> bool:
        """Says whether a source id begins a new word."""
        return self._source.starts_word(int(source_id))

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and the codecs' files into a new folder."""
        folder.mkdir()
        for name, model in zip(self._names(), self._contents, strict=True):
            (folder / name).write_bytes(model)
        content = {
            "type": self._kind,
            "special_ids": SPECIAL_IDS,
            "lossless": self._lossless,
            "languages": self.languages,
            "models": self._names(),
            "hash": self.hash(),
        }
        if self.separator:
            content["separator"] = SEPARATOR
        (folder / "tokenizer.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Reads what `save` wrote.

        Raises:
            ModelError: a file is missing or is not what it should be.
        """
        try:
            content: dict[str, Any] = read_json(folder / "tokenizer.json")
            kind, names = content["type"], content["models"]
            if names not in FILES[kind]:
                raise ValueError(f"models must be {' or '.join(map(str, FILES[kind]))}")
            models = [read_bytes(folder / name, LARGEST[kind]) for name in names]
            if kind == "gpt2":
                library()  # says what to install
            if kind in FOREIGN:
                for model in models:
                    try_in_child(FOREIGN[kind], model)
            languages = [str(language) for language in content.get("languages", [])]
            tokenizer = cls(models, kind, bool(content["lossless"]), languages, "separator" in content)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ModelError) as error:
            raise ModelError(f"{folder}: not a usable tokenizer: {error}") from error
        if tokenizer.hash() != content.get("hash"):
            raise ModelError(f"{folder}: the tokenizer's models do not match the hash in tokenizer.json")
        return tokenizer

    def hash(self) -> str:
        """Returns a SHA-256 of all that decides how text is cut."""
        return contents_hash(self._contents, self._lossless)

    def _names(self) -> list[str]:
        return FILES[self._kind][0 if self.shared else 1]

    def _tag(self, language: str | None) -> list[int]:
        if not self._tags:
            return []
        if language not in self._tags:
            known = ", ".join(self._tags)
            raise DataError(f"the tokenizer has no tag for the target language {language}; it has {known}")
        return [self._tags[language]]

    def _in_context(
        self, tag: Sequence[int], context: Sequence[Sequence[int]], ids: Sequence[int], longest: int
    ) -> list[int]:
        if context:
            if not self.separator:
                raise DataError("the tokenizer has no separator to put between a sentence and those in front of it")
            ids = put_in_front(context, ids, self.separator, longest - len(tag))
        return [*tag, *ids]


def contents_hash(contents: Sequence[bytes], lossless: bool) -> str:
    """Returns the hash of a tokenizer with these files."""
    digest = hashlib.sha256(b"lossless" if lossless else b"")
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _codec(content: bytes, kind: str, lossless: bool) -> Codec:
    match kind:
        case "characters":
            return CharacterCodec(content)
        case "bytes":
            return ByteCodec(content)
        case "gpt2":
            return GPT2Codec(content)
        case _:
            return SentencePieceCodec(content, lossless)


def _array(row: Sequence[int]) -> Ids:
    return np.array(row, dtype=np.int32)


def _parts(text: str, cut: re.Pattern[str] | None) -> Iterator[tuple[str, bool]]:
    """Yields a text in parts, and of each whether it is the last; see `Tokenizer.encode_running`."""
    start = 0
    for end in chain((line_break.start() for line_break in CUT.finditer(text)), [len(text)]):
        while cut and end - start > LONG and (place := cut.search(text, start + LONG, end)):
            yield text[start : place.start()], False
            start = place.start()
        yield text[start:end], end == len(text)
        start = end


def _train(lines: Sequence[str], settings: AnyTokenizerSettings, tags: Sequence[str], running: bool = False) -> bytes:
    """Trains the codec of one side or of both, or of running text, and returns its file."""
    if settings.type == "bytes":
        return ByteCodec().content
    if settings.type == "characters":
        return CharacterCodec.train(lines, settings.vocab_size, settings.character_coverage, tags).content
    if running:  # a line break is a token of its own
        lines = [line.removesuffix("\n") for line in lines if not is_blank(line)]
    if settings.lossless:
        lines = [line.translate(ESCAPES) for line in lines]
    model = io.BytesIO()
    lossless: dict[str, Any] = {
        "normalization_rule_name": "identity",
        "byte_fallback": True,
        "remove_extra_whitespaces": False,
    }
    # Running text begins anywhere, so no space is added in front of it.
    unbroken: dict[str, Any] = {"user_defined_symbols": ["\n"], "add_dummy_prefix": False}
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
            control_symbols=list(tags),
            max_sentence_length=100_000,  # bytes; longer lines are left out of the training of the tokenizer
            minloglevel=2,
            **(lossless if settings.lossless else {}),
            **(unbroken if running else {}),
        )
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"tokenizer.vocab_size={settings.vocab_size}: SentencePiece cannot train a {settings.model} model of this "
            f"size on {len(lines):,} lines: {str(error).split('] ')[-1].strip() or 'no text'}\n"
            "Choose another tokenizer.vocab_size, or train on more text"
        ) from error
    return model.getvalue()
