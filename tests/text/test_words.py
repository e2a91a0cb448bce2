"""Pieces of all tokenizers find their words, whatever spaces a text has."""

import pytest
from conftest import make_pairs

from seq2seq.config import TokenizerSettings
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.text.words import words_of_pieces

PAIRS = make_pairs(80)
TEXTS = ["red dog sees old cat.", "  red   dog ", "unheard words, too", "tab\there", "dog", ". , !", "e\u0301 \ufb01n"]
# SentencePiece takes these for spaces or for nothing, Python does not, or the other way round.
STRANGE = [
    "red\u200bdog sees cat",
    "red\u00a0dog",
    "a\u2028b c",
    "\ufeffred dog",
    "red \u200b dog",
    "x\u00adx dog",
    "\u2581\u2581 dog",
]


def tokenizer(kind: str, lossless: bool = False) -> Tokenizer:
    if kind == "bytes":
        return Tokenizer([b""], "bytes")
    settings = {"type": kind, "vocab_size": 400 if lossless else 60, "lossless": lossless}
    return Tokenizer.train(PAIRS, TokenizerSettings.model_validate(settings))


def cut(tokenizer: Tokenizer, text: str) -> tuple[list[str], list[int]]:
    (pieces,) = tokenizer.source_pieces([tokenizer.encode_source([text])[0][:-1]])
    return pieces, words_of_pieces(pieces, text)


@pytest.mark.parametrize(("kind", "lossless"), [("sentencepiece", False), ("characters", False), ("bytes", False)])
def test_pieces_of_each_word_are_that_words(kind: str, lossless: bool) -> None:
    one = tokenizer(kind, lossless)
    for text in ["red dog sees old cat.", "  red   dog ", "dog", "tree. car!"]:
        pieces, words = cut(one, text)
        assert words == sorted(words) and set(words) == set(range(len(text.split())))
        for i, word in enumerate(text.split()):
            own = [piece for piece, j in zip(pieces, words, strict=True) if i == j]
            if kind == "bytes":
                own = [chr(int(piece[3:5], 16)) for piece in own]
            assert "".join(own).replace("\u2581", " ").strip() == word


@pytest.mark.parametrize("kind", ["sentencepiece", "characters", "bytes"])
@pytest.mark.parametrize("text", TEXTS + STRANGE)
def test_all_pieces_have_a_word_in_order(kind: str, text: str) -> None:
    pieces, words = cut(tokenizer(kind), text)
    assert len(words) == len(pieces)
    assert words == sorted(words)
    assert all(0 <= word < len(text.split()) for word in words)


def test_places_are_compared_where_spaces_differ() -> None:
    assert words_of_pieces(["\u2581red", "\u2581dog", "\u2581sees"], "red\u200bdog sees") == [0, 0, 1]
    assert words_of_pieces(["red", "dog"], "red\u2028dog") == [0, 1]
    assert words_of_pieces(["<0xC3>", "<0xA9>", "<0x20>", "x"], "\u00e9 x") == [0, 0, 1, 1]
    assert words_of_pieces(["a b", "c", " ", "d "], "a bc d") == [0, 1, 2, 2]
    assert words_of_pieces([], "x") == []
