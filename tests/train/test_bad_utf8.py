"""`data.on_bad_utf8`: training lines that are not UTF-8 are named, left out as pairs, or mended, and counted."""

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from conftest import make_pairs, text_recipe, tiny_recipe, write_pairs

from seq2seq.cli.train import main
from seq2seq.config import DataSettings, LanguageModelSettings, TranslationSettings, settings_from_dict
from seq2seq.data.pools import Position
from seq2seq.errors import DataError, RecipeError
from seq2seq.files import fingerprint, sha256
from seq2seq.text.corpora import open_corpus
from seq2seq.text.ids import EOS
from seq2seq.train.language_model import LanguageModelTask
from seq2seq.train.prepare import Prepared, prepare

PAIRS = make_pairs(20, seed=2)
BAD = 7  # the index of the pair whose source, of two files the target, has a bad byte and characters that no other has
WHOLE = PAIRS[:BAD] + PAIRS[BAD + 1 :]
FILES = {
    "two files": {"source": "train.en", "target": "train.de"},
    "compressed": {"source": "train.en", "target": "train.de.gz"},
    "tsv": {"tsv": "train.tsv"},
    "jsonl": {"jsonl": "train.jsonl"},
}


def write(folder: Path, kind: str, bad: bytes = b"\xc3\xa9 \xff \xc3\xa9") -> None:
    sources, targets = ([pair[side].encode() for pair in PAIRS] for side in (0, 1))
    (targets if kind in ("two files", "compressed") else sources)[BAD] = bad
    rows = list(zip(sources, targets, strict=True))
    contents = {
        "train.en": b"".join(source + b"\n" for source in sources),
        "train.de": b"".join(target + b"\n" for target in targets),
        "train.tsv": b"".join(source + b"\t" + target + b"\n" for source, target in rows),
        "train.jsonl": b"".join(b'{"en": "%s", "de": "%s"}\n' % row for row in rows),
    }
    write_pairs(folder / "data", "valid", make_pairs(3))
    for name, content in contents.items():
        (folder / "data" / name).write_bytes(content)
        (folder / "data" / f"{name}.gz").write_bytes(gzip.compress(content))


def settings(folder: Path, kind: str, **data: Any) -> TranslationSettings:
    recipe = tiny_recipe(folder, data={"train": [FILES[kind]], "max_ratio": 50, **data})
    found = settings_from_dict({**recipe, "tokenizer": {"type": "characters", "vocab_size": 100}}, "test")
    assert isinstance(found, TranslationSettings)
    return found


def trained_on(found: Prepared, n: int) -> set[tuple[str, str]]:
    pool, _ = found.pools.pool(Position())
    ids = [pool.ids(i) for i in range(n)]
    sides = [found.tokenizer.decode_target([pair[side][:-1] for pair in ids]) for side in (0, 1)]
    return set(zip(*sides, strict=True))


@pytest.mark.parametrize("kind", FILES)
def test_pairs_are_left_out_or_mended_and_counted(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, kind)
    side = int(kind in ("two files", "compressed"))
    with pytest.raises(DataError, match=r"train\.\S+:8: byte \d+ of the line \(0xff\) is not UTF-8"):
        prepare(settings(tmp_path, kind))
    with caplog.at_level("INFO"):
        skipped = prepare(settings(tmp_path, kind, on_bad_utf8="skip"))
        mended = prepare(settings(tmp_path, kind, on_bad_utf8="replace"))
    text = ["é \ufffd é" if i == side else PAIRS[BAD][i] for i in (0, 1)]
    assert trained_on(skipped, len(WHOLE)) == set(WHOLE)
    row = {"pair": BAD + 1, "reason": "bad_utf8", "source": text[0], "target": text[1]}
    assert list(skipped.stores[0].dropped()) == [row]
    assert ": 20 pairs, 1 bad UTF-8 dropped, " in caplog.text
    assert "é" not in skipped.tokenizer.target_pieces([np.arange(skipped.tokenizer.target_vocab_size)])[0]
    assert trained_on(mended, len(PAIRS)) == {*WHOLE, (text[0], text[1])}
    assert list(mended.stores[0].dropped()) == []
    assert ": 20 pairs, 1 with U+FFFD for bad UTF-8, " in caplog.text
    assert skipped.fingerprint != mended.fingerprint
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings(tmp_path, kind).model_dump(mode="json")))
    out = CliRunner().invoke(main, [str(tmp_path / "recipe.yaml"), "data.on_bad_utf8=skip", "--list-dropped",
                                    str(tmp_path / "list")])  # fmt: skip
    assert (out.exit_code, "1 pairs in" in out.stderr) == (0, True), out.output
    assert {**row, "corpus": skipped.stores[0].name} == json.loads((tmp_path / "list").read_text())


@pytest.mark.parametrize("mode", ["skip", "replace"])
def test_what_is_validated_or_tested_with_is_never_mended(tmp_path: Path, mode: str) -> None:
    write(tmp_path, "two files")
    (tmp_path / "data/valid.de").write_bytes(b"eins\nzw\xffei\ndrei\n")
    bad, good = {"source": "valid.en", "target": "valid.de"}, FILES["tsv"]
    for held_out in ({"valid": bad}, {"valid": {"tsv": "good.tsv"}, "test": bad}):
        (tmp_path / "data/good.tsv").write_text("one\teins\n")
        with pytest.raises(DataError, match=r"valid\.de:2: byte 3 of the line \(0xff\) is not UTF-8"):
            prepare(settings(tmp_path, "two files", train=[good], on_bad_utf8=mode, **held_out))


@pytest.mark.parametrize("mode", ["skip", "replace"])
@pytest.mark.parametrize("kind", FILES)
def test_other_faults_stay_faults(tmp_path: Path, kind: str, mode: str) -> None:
    write(tmp_path, kind)
    for name in ("train.en", "train.tsv", "train.jsonl"):
        (tmp_path / "data" / name).write_bytes("text".encode("utf-16"))
    with pytest.raises(DataError, match="is UTF-16"):
        prepare(settings(tmp_path, kind, on_bad_utf8=mode))


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("tsv", b"a\tb\ngarbage \xff\nc\td\n", "has 1 column"),
        ("jsonl", b'{"en": "a", "de": "b"}\n{"en": \xff\n{"en": "c", "de": "d"}\n', "is not valid JSON"),
    ],
)
def test_a_bad_line_that_is_no_row_can_only_be_left_out(tmp_path: Path, kind: str, content: bytes, reason: str) -> None:
    write(tmp_path, kind)
    (tmp_path / "data" / next(iter(FILES[kind].values()))).write_bytes(content)
    skipped = prepare(settings(tmp_path, kind, on_bad_utf8="skip"))
    assert trained_on(skipped, 2) == {("a", "b"), ("c", "d")}
    assert skipped.stores[0].counts["bad_utf8"] == 1
    with pytest.raises(DataError, match=rf"train\.{kind}:2: {reason}"):
        prepare(settings(tmp_path, kind, on_bad_utf8="replace"))


def test_files_beside_a_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import datasets

    write(tmp_path, "two files")
    (tmp_path / "data/set").mkdir()
    rows = [{"en": source, "de": target} for source, target in PAIRS]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "data/set/train.parquet")
    train = [FILES["two files"], {"dataset": "set", "streaming": True}]
    with caplog.at_level("INFO"):
        found = prepare(settings(tmp_path, "two files", train=train, on_bad_utf8="skip", pool_size=38))
        assert trained_on(found, 38) <= set(PAIRS)
    assert "from row 0 on: 20 pairs, 1 bad UTF-8 dropped" in caplog.text


def test_fingerprints_are_what_they_were_unless_the_key_is_set(tmp_path: Path) -> None:
    write(tmp_path, "tsv")
    data = settings(tmp_path, "tsv").data
    assert isinstance(data, DataSettings)
    hashes = [open_corpus(data.train[0], data, mode).fingerprint for mode in ("fail", "skip", "replace")]
    assert hashes[0] == fingerprint([sha256(tmp_path / "data/train.tsv"), (1, 2)])
    assert len(set(hashes)) == 3


# Text of language models


def text_task(folder: Path, documents: str, mode: str, **data: Any) -> LanguageModelTask:
    recipe = text_recipe(folder)
    (folder / "data/x.txt").write_bytes(b"one\nt\xff\xfewo\nthree\n\xc3\n")
    train = [{"text": "x.txt", "documents": documents}]
    recipe["data"] |= {"train": train, "valid": {"text": "train.txt"}, "on_bad_utf8": mode, **data}
    found = settings_from_dict({**recipe, "tokenizer": {"type": "characters", "vocab_size": 100}}, "test")
    assert isinstance(found, LanguageModelSettings)
    return LanguageModelTask(found, None)


def documents_of(task: LanguageModelTask) -> list[str]:
    ids = task.stores[0].ids.tolist()
    ends = [i for i, token in enumerate(ids) if token == EOS]
    return [task.tokenizer.decode_text(ids[a + 1 : b]) for a, b in pairwise(ends)]


def test_documents_are_left_out_or_mended_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert documents_of(text_task(tmp_path, "lines", "skip")) == ["one", "three"]
        assert "x.txt: 2 lines that are not UTF-8 left out" in caplog.text
        mended = ["one", "t\ufffd\ufffdwo", "three", "\ufffd"]
        assert documents_of(text_task(tmp_path, "lines", "replace")) == mended
        assert "x.txt: 2 lines that are not UTF-8 with U+FFFD for bad bytes" in caplog.text
    assert documents_of(text_task(tmp_path, "file", "replace")) == ["\n".join([*mended, ""])]
    part = text_task(tmp_path, "lines", "skip", valid={"share": 0.5})
    assert (documents_of(part), part.valid[0].counts["bytes"]) == (["one", "t"], 4)
    with pytest.raises(DataError, match=r"x.txt:2: byte 2 of the line \(0xff\) is not UTF-8"):
        text_task(tmp_path, "lines", "skip", train=[{"text": "train.txt"} | {"documents": "lines"}],
                  valid={"text": "x.txt"})  # fmt: skip


def test_a_whole_file_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"skip leaves out lines, and x\.txt is one document: choose replace, or doc"):
        text_task(tmp_path, "file", "skip")
