"""Running text: what a document is, what comes back of it, and where it is split."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seq2seq.config import GPTDataSettings, GPTTokenizerSettings
from seq2seq.errors import DataError
from seq2seq.text import tokenizer as tokenizers
from seq2seq.text.documents import Documents, open_documents, split
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import CUT, Tokenizer

NASTY = "\nFirst  Citizen:\n\n\nBefore\r\n\tproceed \u2581 \ue000\ue001 é 日 \u2028\x00\x1cx \n "


def open_text(root: Path, **corpus: Any) -> Documents:
    data = GPTDataSettings.model_validate({"root": str(root), "train": [corpus], "valid": {"text": "none"}})
    return open_documents(data.train[0], data)


def test_file_is_one_document_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbf" + NASTY.encode())
    assert list(open_text(tmp_path, text="text")) == [NASTY]


def test_lines_are_documents_if_the_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("one\r\n\ntwo\x85 three".encode())
    whole, lines = open_text(tmp_path, text="text"), open_text(tmp_path, text="text", documents="lines")
    assert list(whole) == ["one\r\n\ntwo\x85 three"]
    assert list(lines) == ["one", "", "two\x85 three"]
    assert whole.fingerprint != lines.fingerprint


def test_bad_bytes_are_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"good\nbad \xff\n")
    with pytest.raises(DataError, match=r"text:2: byte 5 of the line \(0xff\) is not UTF-8"):
        list(open_text(tmp_path, text="text"))
    (tmp_path / "text").write_bytes("\n\né\nä".encode()[:-1])
    with pytest.raises(DataError, match=r"text:4: byte 1 of the line \(0xc3\) is not UTF-8; mend the file or remove"):
        list(open_text(tmp_path, text="text"))
    (tmp_path / "text").write_bytes("text".encode("utf-16"))
    with pytest.raises(DataError, match="text: is UTF-16; convert it to UTF-8 first"):
        list(open_text(tmp_path, text="text"))
    with pytest.raises(DataError, match="no such file"):
        open_text(tmp_path, text="other")


@pytest.mark.parametrize("streaming", [False, True])
def test_column_of_a_dataset_holds_documents(tmp_path: Path, streaming: bool) -> None:
    import datasets

    (tmp_path / "hub").mkdir()
    rows = [{"body": NASTY, "other": 1}, {"body": None, "other": 2}, {"body": "b", "other": 3}]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "hub/train-00000-of-00001.parquet")
    assert list(open_text(tmp_path, dataset="hub", column="body", streaming=streaming)) == [NASTY, "", "b"]
    for column in ("text", "other"):
        with pytest.raises(DataError, match=f"has no column {column} with texts; found body, other"):
            open_text(tmp_path, dataset="hub", column=column, streaming=streaming)


def test_split_is_that_of_all_characters(tmp_path: Path) -> None:
    text = "".join(chr(200 + i) for i in range(1003))
    (tmp_path / "text").write_text(text)
    (tmp_path / "lines").write_text("aé\nbcd\nefgh\n")
    first, last = split(open_text(tmp_path, text="text"), 0.1)
    n = int(0.9 * len(text))
    assert (list(first), list(last)) == ([text[:n]], [text[n:]])
    assert first.fingerprint != last.fingerprint
    lines = open_text(tmp_path, text="lines", documents="lines")
    assert [list(part) for part in split(lines, 0.5)] == [["aé", "bc"], ["d", "efgh"]]
    assert [list(part) for part in split(lines, 0.6)] == [["aé", "b"], ["cd", "efgh"]]
    assert [list(part) for part in split(lines, 4 / 9)] == [["aé", "bcd"], ["efgh"]]
    assert [list(part) for part in split(lines, 0.99)] == [[], ["aé", "bcd", "efgh"]]


def test_parts_read_no_more_than_they_must() -> None:
    class Watched:
        name, weight, fingerprint = "watched", 1.0, "hash"
        read: list[str] = []  # noqa: RUF012

        def __iter__(self) -> Iterator[str]:
            for document in "abcdefghij":
                self.read.append(document)
                yield document

    whole = Watched()
    first, last = split(whole, 0.5)
    assert (list(first), whole.read) == (list("abcde"), list("abcdefghijabcde"))
    whole.read.clear()
    assert (list(last), whole.read) == (list("fghij"), list("abcdefghij"))  # what the first has counted it knows
    whole.read.clear()
    assert first.fingerprint != last.fingerprint
    assert whole.read == []


@pytest.mark.parametrize("kind", ["characters", "bytes", "unigram", "bpe"])
def test_text_comes_back_exactly_and_may_be_cut(kind: str, tmp_path: Path) -> None:
    text = NASTY + "".join(f"word{i % 7} and  more,\n" + "\n" * (i % 3) for i in range(200))
    lines = [line + "\n" for line in text.split("\n")]
    model = (
        {"type": "sentencepiece", "model": kind, "vocab_size": 300} if kind in ("unigram", "bpe") else {"type": kind}
    )
    tokenizer = Tokenizer.train_on_text(lines, GPTTokenizerSettings.model_validate(model))
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded.hash() == tokenizer.hash()
    (ids,) = loaded.encode_texts([text])
    assert ids[-1] == EOS
    assert ids[:-1].min() >= 4
    assert loaded.decode_text(ids[:-1]) == text
    assert len(CUT.split(text)) > 50
    (whole,) = loaded.encode_target([text])
    assert whole.tolist() == ids.tolist()


@pytest.mark.parametrize("kind", ["characters", "bytes", "unigram", "bpe"])
def test_long_lines_are_cut_where_it_changes_no_token(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = NASTY + " ".join(f"word{i % 7}  and\u2581 more,{' ' * (i % 4)}x\u00a0y" for i in range(100)) + "z" * 500
    model = {"type": "sentencepiece", "model": kind} if kind in ("unigram", "bpe") else {"type": kind}
    settings = GPTTokenizerSettings.model_validate({**model, "vocab_size": 300})
    tokenizer = Tokenizer.train_on_text(text.split("\n"), settings)
    (whole,) = tokenizer.encode_target([text])
    longest = 0
    codec = type(tokenizer._target)
    real = codec.encode

    def watched(self: Any, lines: Sequence[str]) -> list[list[int]]:
        nonlocal longest
        longest = max([longest, *map(len, lines)])
        return real(self, lines)

    monkeypatch.setattr(codec, "encode", watched)
    monkeypatch.setattr(tokenizers, "LONG", 30)
    for group in (1, 100, 10_000):
        monkeypatch.setattr(tokenizers, "GROUP", group)
        parts = list(tokenizer.encode_running([text, "", text]))
        assert np.concatenate(parts).tolist() == [*whole.tolist(), EOS, *whole.tolist()]
        assert len(parts) > 2 * len(text) / (group + 600)
        assert [row.tolist() for row in tokenizer.encode_texts([text, "", text])] == [
            whole.tolist(), [EOS], whole.tolist()
        ]  # fmt: skip
    assert longest == 30 if kind in ("characters", "bytes") else 500 < longest < 600  # the last word has no space


def test_lines_are_not_cut_where_a_space_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the dog and the cat " * 50
    settings = GPTTokenizerSettings(vocab_size=16, lossless=False)
    tokenizer = Tokenizer.train_on_text([text], settings)
    monkeypatch.setattr(tokenizers, "LONG", 30)
    (ids,), (whole,) = tokenizer.encode_texts([text]), tokenizer.encode_target([text])
    assert ids.tolist() == whole.tolist()


def test_bytes_have_ids_behind_the_special_ones() -> None:
    tokenizer = Tokenizer.train_on_text([], GPTTokenizerSettings(type="bytes"))
    assert tokenizer.target_vocab_size == 260
    assert tokenizer.encode_texts(["aé"])[0].tolist() == [4 + 97, 4 + 0xC3, 4 + 0xA9, EOS]
    assert tokenizer.decode_text([4 + 0xC3]) == "\ufffd"
    assert tokenizer.target_pieces(tokenizer.encode_texts(["a"])) == [["<0x61>", "<eos>"]]
