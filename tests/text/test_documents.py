"""Running text: what a document is, what comes back of it, and where it is split."""

from pathlib import Path
from typing import Any

import pytest

from seq2seq.config import GPTDataSettings, GPTTokenizerSettings
from seq2seq.errors import DataError
from seq2seq.text.documents import Documents, Part, open_documents
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
    first, last = (Part(open_text(tmp_path, text="text"), 0.1, side) for side in (False, True))
    n = int(0.9 * len(text))
    assert (list(first), list(last)) == ([text[:n]], [text[n:]])
    assert first.fingerprint != last.fingerprint
    lines = open_text(tmp_path, text="lines", documents="lines")
    assert list(Part(lines, 0.5, False)) == ["aé", "bc", ""]
    assert list(Part(lines, 0.5, True)) == ["", "d", "efgh"]


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


def test_bytes_have_ids_behind_the_special_ones() -> None:
    tokenizer = Tokenizer.train_on_text([], GPTTokenizerSettings(type="bytes"))
    assert tokenizer.target_vocab_size == 260
    assert tokenizer.encode_texts(["aé"])[0].tolist() == [4 + 97, 4 + 0xC3, 4 + 0xA9, EOS]
    assert tokenizer.decode_text([4 + 0xC3]) == "\ufffd"
    assert tokenizer.target_pieces(tokenizer.encode_texts(["a"])) == [["<0x61>", "<eos>"]]
