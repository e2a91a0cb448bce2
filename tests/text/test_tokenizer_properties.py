"""Whatever a text holds: it comes back from its ids, and no id of it is special."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from unittest.mock import patch

import pytest
from conftest import make_pairs, make_text
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import BREAKS, MARKS, nasty_texts

from seq2seq.config import GPTTokenizerSettings, TokenizerSettings
from seq2seq.text import tokenizer as tokenizers
from seq2seq.text.ids import EOS, SPECIAL_IDS, UNK
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(300)
TAGGED = len(SPECIAL_IDS) + 2  # the first id of a tokenizer with tags that stands for text
CHARACTERS = sorted(set("".join([*MARKS, *BREAKS, "the dog<2de>\U0001f600"])))
SAMPLED = 0.3  # alpha


def pairs(model: str, shared: bool = True, lossless: bool = True) -> Tokenizer:
    """Of sentence pairs, with tags."""
    settings = TokenizerSettings(model=model, lossless=lossless, shared=shared, vocab_size=330 if lossless else 60)
    return Tokenizer.train([*PAIRS, *((target, source) for source, target in PAIRS)], settings, ["de", "fr"])


def running(model: str, lossless: bool = True) -> Tokenizer:
    """Of running text."""
    settings = GPTTokenizerSettings(model=model, lossless=lossless, vocab_size=330 if lossless else 60)
    return Tokenizer.train_on_text([line + "\n" for pair in PAIRS for line in pair], settings)


def characters() -> Tokenizer:
    settings = TokenizerSettings(type="characters", vocab_size=1000)
    return Tokenizer.train([("".join(CHARACTERS), "x")], settings, ["de", "fr"])


def gpt2() -> Tokenizer:
    """With GPT-2's bytes and a few merges, of spaces too."""
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        [make_text(30).replace(" dog", "   dog")], vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False
    )
    return Tokenizer([bpe.to_str().encode()], "gpt2")


LOSSLESS: dict[str, Callable[[], Tokenizer]] = {
    "pairs-unigram": lambda: pairs("unigram"),
    "pairs-bpe": lambda: pairs("bpe"),
    "pairs-apart": lambda: pairs("unigram", shared=False),
    "running-unigram": lambda: running("unigram"),
    "running-bpe": lambda: running("bpe"),
    "bytes": lambda: Tokenizer([b""], "bytes"),
    **({"gpt2": gpt2} if find_spec("tokenizers") else {}),
}
LOSSY: dict[str, Callable[[], Tokenizer]] = {
    "lossy-pairs": lambda: pairs("unigram", lossless=False),
    "lossy-running": lambda: running("unigram", lossless=False),
    "characters": characters,
}


@cache
def made(name: str) -> Tokenizer:
    return {**LOSSLESS, **LOSSY}[name]()


def kinds(*dicts: dict[str, Callable[[], Tokenizer]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for some in dicts for name in some])


@kinds(LOSSLESS)
@given(st.lists(nasty_texts, min_size=1, max_size=4))
@example(["", " ", "\x00", "<0x41>\u2581 </s>\ue000\ue001\ue000\ue002\ue000", "a\r\n\u2028\n", "<|endoftext|>"])
def test_every_text_comes_back(name: str, texts: list[str]) -> None:
    tokenizer = made(name)
    rows = [ids[:-1].tolist() for ids in tokenizer.encode_target(texts)]
    assert [tokenizer.decode_text(row) for row in rows] == texts
    assert tokenizer.decode_target(rows) == [spaced(text) for text in texts]


def spaced(text: str) -> str:
    """A text with a space for each character at which Python ends a line."""
    return "".join(" " if char.splitlines() == [""] else char for char in text)


@kinds(LOSSLESS)
@given(nasty_texts, st.integers(0, 2**64))
def test_every_text_comes_back_from_a_drawn_segmentation(name: str, text: str, seed: int) -> None:
    tokenizer = made(name)
    language = "fr" if tokenizer.languages else None
    _, ids = tokenizer.sample(("x", text), language, SAMPLED, seed)
    assert tokenizer.decode_text(ids[:-1]) == text
    assert tokenizer.sample(("y", text), language, SAMPLED, seed)[1].tolist() == ids.tolist()


@kinds(LOSSLESS, LOSSY)
@given(st.lists(nasty_texts, max_size=4))
@example([*MARKS, "".join(MARKS)])
def test_no_text_has_special_ids_or_tags(name: str, texts: list[str]) -> None:
    tokenizer = made(name)
    language = "fr" if tokenizer.languages else None
    tags, first = tokenizer.tag_length, TAGGED if tokenizer.languages else len(SPECIAL_IDS)
    for source, row in zip(texts, tokenizer.source_rows(texts, language).rows, strict=True):
        assert row[:tags].tolist() == [TAGGED - 1][:tags]
        assert row[-1] == EOS
        text = row[tags:-1]
        assert ((text >= first) | ((text == UNK) & (name in LOSSY))).all(), source
        assert (text < tokenizer.source_vocab_size).all()
    for row in tokenizer.encode_target(texts):
        first = TAGGED if tokenizer.languages and tokenizer.shared else len(SPECIAL_IDS)
        assert ((row[:-1] >= first) | ((row[:-1] == UNK) & (name in LOSSY))).all()
        assert row[-1] == EOS and (row < tokenizer.target_vocab_size).all()


@pytest.mark.parametrize("name", [name for name in {**LOSSLESS, **LOSSY} if "pairs" not in name])
@given(st.lists(nasty_texts | st.lists(st.sampled_from([*"ab", " ", " the", "\n", "\u2581"])).map("".join), max_size=4),
       st.integers(1, 6), st.integers(1, 12))  # fmt: skip
@example(["a \u2581\nb", "\ufffd\n", "a \u200b\n"], 1, 1)  # SentencePiece drops what it takes for a space at an end
def test_running_text_has_the_ids_that_it_has_as_a_whole(name: str, texts: list[str], long: int, group: int) -> None:
    tokenizer = made(name)
    whole = [row.tolist() for row in tokenizer.encode_target(texts)]
    with patch.object(tokenizers, "LONG", long), patch.object(tokenizers, "GROUP", group):
        parts = [ids.tolist() for ids in tokenizer.encode_running(texts)]
        assert [token for ids in parts for token in ids] == [token for row in whole for token in row]
        assert [ids.tolist() for ids in tokenizer.encode_texts(texts)] == whole


@kinds(LOSSLESS, LOSSY)
@given(st.data())
def test_any_ids_are_one_line(name: str, data: st.DataObject) -> None:
    tokenizer = made(name)
    ids = st.integers(0, tokenizer.target_vocab_size - 1) | st.integers(0, min(270, tokenizer.target_vocab_size - 1))
    rows = data.draw(st.lists(st.lists(ids, max_size=30), max_size=5))
    lines = tokenizer.decode_target(rows)
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert len((line + "|").splitlines()) == 1
        assert line.encode().decode() == line
        assert tokenizer.decode_target([row]) == [line]


@given(st.lists(st.text(CHARACTERS), max_size=4), nasty_texts)
def test_characters_come_back_and_unknown_ones_are_marked(known: list[str], text: str) -> None:
    tokenizer = made("characters")
    assert [tokenizer.decode_text(ids[:-1]) for ids in tokenizer.encode_source(known, "de")] == known
    (ids,) = tokenizer.encode_target([text])
    assert len(ids) == len(text) + 1
    assert tokenizer.decode_text(ids[:-1]) == "".join(char if char in CHARACTERS else "\ufffd" for char in text)
