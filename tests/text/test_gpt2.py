import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.text.gpt2 import GPT2Codec
from seq2seq.text.ids import EOS, SPECIAL_IDS
from seq2seq.text.tokenizer import Tokenizer

tokenizers = pytest.importorskip("tokenizers")

TEXT = "The old house sees the red dog, and the red dog sees the old house. "
NASTY = [
    "",
    " ",
    "  two  spaces ",
    "a\n\n\tb\r\n",
    "À la fête, 日本語 \U0001f600\u200d",
    "õÁÀ",
    "\x00\x7f",
    "it's <|endoftext|>",
]
END = "<|endoftext|>"


def trained(special: list[str]) -> bytes:
    """A tokenizer.json with GPT-2's bytes and a few merges; the special tokens come first."""
    bpe = tokenizers.ByteLevelBPETokenizer()
    bpe.train_from_iterator([TEXT] * 3, vocab_size=300, special_tokens=special, show_progress=False)
    return bytes(bpe.to_str().encode())


@pytest.fixture(scope="module")
def content() -> bytes:
    return trained([END])


def test_every_text_comes_back_and_holds_no_special_id(content: bytes) -> None:
    codec = GPT2Codec(content)
    lines = [*NASTY, TEXT]
    rows = codec.encode(lines)
    assert all(row[-1] == EOS and min(row[:-1], default=4) >= len(SPECIAL_IDS) for row in rows)
    assert codec.decode([row[:-1] for row in rows]) == codec.decode(rows) == lines
    assert len(rows[-1]) < len(TEXT) / 2  # merges apply
    assert codec.sample(TEXT, 0.1, 1) == rows[-1]


def test_ids_change_places_and_none_is_added(content: bytes) -> None:
    codec, library = GPT2Codec(content), tokenizers.Tokenizer.from_str(content.decode())
    assert codec.vocab_size == library.get_vocab_size()
    assert sorted(codec.theirs) == list(range(codec.vocab_size))
    assert sum(ours != theirs for ours, theirs in enumerate(codec.theirs)) <= 2 * len(SPECIAL_IDS)
    assert codec.theirs[EOS] == library.token_to_id(END)
    assert [codec.theirs[i] for i in codec.encode([TEXT])[0][:-1]] == library.encode(TEXT).ids
    assert [codec.piece(i) for i in range(4)] == ["<pad>", "<unk>", "<bos>", "<eos>"]
    row = codec.encode(["see the dog"])[0]
    assert "".join(codec.piece(i) for i in row) == "see\u0120the\u0120dog<eos>"
    assert [codec.piece(i) for i in row if codec.starts_word(i)] == ["\u0120the", "\u0120dog"]


@pytest.mark.parametrize("before", [["<1>", "<2>"], ["<1>", "<2>", "<3>", "<4>", "<5>"]])
def test_special_tokens_are_found_wherever_they_stand(before: list[str]) -> None:
    content = trained([*before, END])
    codec = GPT2Codec(content)
    library = tokenizers.Tokenizer.from_str(content.decode())
    assert sorted(codec.theirs) == list(range(codec.vocab_size))
    assert codec.theirs[:4] == [library.token_to_id(token) for token in ("\xc0", "\xc1", "\xf5", END)]


def test_it_is_saved_and_loaded_with_the_tokenizer(content: bytes, tmp_path: Path) -> None:
    tokenizer = Tokenizer([content], "gpt2")
    tokenizer.save(tmp_path / "tokenizer")
    assert (tmp_path / "tokenizer/bpe.json").read_bytes() == content
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded.hash() == tokenizer.hash()
    assert loaded.encode_target([TEXT])[0].tolist() == tokenizer.encode_target([TEXT])[0].tolist()
    for damaged in (content[: len(content) // 2], b"\xff", trained([])):  # cut off, no text, no <|endoftext|>
        (tmp_path / "tokenizer/bpe.json").write_bytes(damaged)
        with pytest.raises(ModelError):
            Tokenizer.load(tmp_path / "tokenizer")


def test_long_lines_have_the_tokens_of_the_whole(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, longest, real = Tokenizer([content], "gpt2"), 0, GPT2Codec.encode
    text = " ".join(f"{TEXT}{' ' * (i % 4)}it's {i}, 日本 é!?\x85\x1c \u00a0x" for i in range(50))

    def watched(self: GPT2Codec, lines: Sequence[str]) -> list[list[int]]:
        nonlocal longest
        longest = max([longest, *map(len, lines)])
        return real(self, lines)

    (whole,) = tokenizer.encode_target([text])
    monkeypatch.setattr(GPT2Codec, "encode", watched)
    monkeypatch.setattr("seq2seq.text.tokenizer.LONG", 20)
    (ids,) = tokenizer.encode_texts([text])
    assert ids.tolist() == whole.tolist()
    assert longest < 60


def test_a_tokenizer_that_is_not_byte_level_is_refused() -> None:
    words = tokenizers.Tokenizer(
        tokenizers.models.BPE({piece: i for i, piece in enumerate(["\xc0", "\xc1", "\xf5", END])}, [])
    )
    with pytest.raises(ModelError, match="not GPT-2's: its pre_tokenizer is not ByteLevel"):
        GPT2Codec(words.to_str().encode())


def test_what_to_install_is_said(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(Seq2SeqError, match=r"pip install 'seq2seq\[gpt2\]'"):
        GPT2Codec(content)


def test_what_to_install_for_a_stored_one_is_said(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Tokenizer([content], "gpt2").save(tmp_path / "tokenizer")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(Seq2SeqError, match=r"pip install 'seq2seq\[gpt2\]'"):
        Tokenizer.load(tmp_path / "tokenizer")


@pytest.mark.parametrize("number", [10**6, 0])
def test_ids_with_holes_are_refused(content: bytes, number: int) -> None:
    whole = json.loads(content)
    whole["model"]["vocab"]["z"] = number
    with pytest.raises(ModelError, match="its ids are not those from 0 on"):
        GPT2Codec(json.dumps(whole).encode())
