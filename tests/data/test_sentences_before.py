"""Sentences in front of a source: which they are, and that every way to the ids gives the same ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_pairs, write_pairs

from seq2seq.config import DataSettings, TokenizerSettings
from seq2seq.data.pools import Pool, Position, StoredPools, Variation
from seq2seq.data.store import PairFilter, PairStore, open_store
from seq2seq.data.streams import StreamedPools
from seq2seq.errors import DataError, ModelError
from seq2seq.text.context import SEPARATOR, Document, taken_off
from seq2seq.text.corpora import open_corpus
from seq2seq.text.ids import EOS, IdRows
from seq2seq.text.tokenizer import Tokenizer

# Documents of several lengths; sources that are too long, repeated, or without a translation are among them.
PAIRS = [("", "") if i % 17 == 16 else pair for i, pair in enumerate(make_pairs(120))]
PAIRS[5] = ("red dog " * 40, "DOG")
PAIRS[9] = ("blue cat.", "")
PAIRS[12] = PAIRS[11]
BPE = TokenizerSettings(model="bpe", vocab_size=72)
TOKENIZER = Tokenizer.train(PAIRS, BPE, separated=True)
Row = tuple[list[int], list[int]]


def settings(folder: Path, **changes: Any) -> DataSettings:
    files = {"source": "x.en", "target": "x.de"}
    base = {"source_language": "en", "target_language": "de", "train": [files], "valid": files, "context": 2}
    return DataSettings.model_validate({**base, "root": str(folder), "cache": str(folder / "cache"), **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The pairs as files of all kinds."""
    import datasets

    write_pairs(tmp_path, "x", PAIRS)
    rows = [{"translation": {"en": source, "de": target}} for source, target in PAIRS]
    (tmp_path / "x.tsv").write_text("".join("\t".join(pair).strip("\t") + "\n" for pair in PAIRS))
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" if row["translation"]["en"] else "\n" for row in rows)
    (tmp_path / "hub").mkdir()
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "hub/train-00000-of-00001.parquet")
    return tmp_path


def expected(k: int, max_length: int = 256, tokenizer: Tokenizer = TOKENIZER) -> list[Row]:
    """The ids of the pairs that are trained on, put together one by one."""
    found = []
    for i, pair in enumerate(PAIRS):
        if not all(pair):
            continue
        tag, own = tokenizer.tag_length, tokenizer.encode_source([pair[0]], "de")[0].tolist()
        target = tokenizer.encode_target([pair[1]])[0].tolist()
        if max(len(own), len(target)) > max_length or max(len(own), len(target)) > 5 * min(len(own), len(target)):
            continue
        before: list[list[int]] = []
        for source, _ in reversed(PAIRS[max(0, i - k) : i]):
            if not source:
                break
            (ids,) = tokenizer.encode_source([source], "de")
            before.insert(0, [*ids[tag:-1].tolist(), tokenizer.separator])
        while sum(map(len, before)) + len(own) > max_length:
            del before[0]
        found.append(([*own[:tag], *(token for ids in before for token in ids), *own[tag:]], target))
    return found


def rows(store: PairStore) -> list[Row]:
    pairs = [store.ids(i) for i in range(len(store))]
    assert [len(source) for source, _ in pairs] == store.source_lengths.tolist()
    return [(source.tolist(), target.tolist()) for source, target in pairs]


def of_pool(pool: Pool) -> list[Row]:
    pairs = [pool.ids(i) for i in range(len(pool.source_lengths))]
    assert [len(source) for source, _ in pairs] == pool.source_lengths.tolist()
    return [(source.tolist(), target.tolist()) for source, target in pairs]


def stored(data: DataSettings, tokenizer: Tokenizer = TOKENIZER, text: bool = False) -> PairStore:
    return open_store(open_corpus(data.train[0], data, data.on_bad_utf8), tokenizer, data, text)


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_the_sentences_before_stand_in_front(folder: Path, k: int) -> None:
    """Until the blank line between documents, dropped ones too; not more tokens than allowed; across chunks."""
    for max_length in (256, 24):
        assert rows(stored(settings(folder, context=k, max_length=max_length))) == expected(k, max_length)
    if k:
        assert expected(k) != expected(0) and expected(k, 24) != expected(k)
        assert max(len(source) for source, _ in expected(k, 24)) > 20


def test_chunks_do_not_end_a_context(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.data.store.CHUNK", 7)
    assert rows(stored(settings(folder))) == expected(2)


CORPORA = [
    {"tsv": "x.tsv"},
    {"jsonl": "x.jsonl.gz"},
    {"dataset": "hub"},
]


@pytest.mark.parametrize("corpus", CORPORA, ids=["tsv", "jsonl", "dataset"])
def test_all_kinds_of_corpora_have_documents(folder: Path, corpus: dict[str, Any]) -> None:
    """In a TSV or JSONL file an empty line ends a document; elsewhere a row without text does."""
    (folder / "x.tsv").write_text("".join("\t".join(pair) + "\n" if pair[0] else "\n" for pair in PAIRS))
    assert rows(stored(settings(folder, train=[corpus]))) == expected(2)


def test_tag_context_and_sentence_stand_in_this_order(folder: Path) -> None:
    tokenizer = Tokenizer.train(PAIRS, BPE, ["de", "fr"], separated=True)
    assert tokenizer.separator == 6 and tokenizer.unspoken == (0, 1, 2, 4, 5, 6)
    found = rows(stored(settings(folder, tags=True), tokenizer))
    assert found == expected(2, tokenizer=tokenizer)
    assert {source[0] for source, _ in found} == {4}


def test_duplicates_are_judged_without_context(folder: Path) -> None:
    store = stored(settings(folder, drop_duplicates=True))
    repeated = [i + 1 for i, pair in enumerate(PAIRS) if all(pair) and pair in PAIRS[:i]]
    assert [row["pair"] for row in store.dropped() if row["reason"] == "duplicate"] == repeated
    assert 13 in repeated


def test_lines_that_are_left_out_as_bad_end_a_document(folder: Path) -> None:
    text = (folder / "x.en").read_bytes().split(b"\n")
    text[20] = b"\xff" + text[20]
    (folder / "x.en").write_bytes(b"\n".join(text))
    n_before = sum(map(all, PAIRS[:20])) - 1  # one is too long
    whole = expected(2)
    found = rows(stored(settings(folder, on_bad_utf8="skip")))
    assert found[:n_before] == whole[:n_before] and found[n_before + 2 :] == whole[n_before + 3 :]
    assert [row.count(TOKENIZER.separator) for row, _ in found[n_before : n_before + 3]] == [0, 1, 2]


def test_text_is_cut_anew_with_its_context(folder: Path) -> None:
    """Of a store of text the ids are the same without variation; sampled, source and context read the same."""
    data = settings(folder, max_length=2000)  # sampled, no context is too long
    store = stored(data, text=True)
    assert store.source_lengths.tolist() == [len(source) for source, _ in expected(2, 2000)]
    plain = StoredPools([store], 3, 50, variation=Variation(TOKENIZER, data, 0.0, 3))
    found, position = [], Position()
    for _ in range(plain.pools_per_epoch):
        pool, position = plain.pool(position)
        found += of_pool(pool)
    assert sorted(found) == sorted(expected(2, 2000))
    sampled = StoredPools([store], 3, 1000, variation=Variation(TOKENIZER, data, 0.4, 3)).pool(Position())[0]
    cut = of_pool(sampled)
    assert cut != of_pool(
        StoredPools([store], 3, 1000, variation=Variation(TOKENIZER, data, 0.0, 3)).pool(Position())[0]
    )

    def read(row: Row) -> tuple[str, ...]:
        parts = "".join(f"\n{i}" if i == TOKENIZER.separator else f" {i}" for i in row[0][:-1]).split("\n")
        ids = [[int(i) for i in part.split()] for part in parts]
        return tuple(TOKENIZER.decode_target([[i for i in part if i != TOKENIZER.separator] for part in ids]))

    assert sorted(map(read, cut)) == sorted(map(read, expected(2, 2000)))


@pytest.mark.parametrize("text", [False, True])
def test_shortlists_are_learnt_from_sentences_alone(folder: Path, text: bool) -> None:
    store = stored(settings(folder), text=text)
    sources, targets = store.rows(3, 60, TOKENIZER)
    found = [(source.tolist(), target.tolist()) for source, target in zip(sources.rows, targets.rows, strict=True)]
    assert found == expected(0)[3:60]


def test_noise_spares_the_context(folder: Path) -> None:
    data = settings(folder, noise={"no_final_punctuation": 1.0})
    variation = Variation(TOKENIZER, data, 0.0, 3)
    source, _ = variation.encode(("red dog.", "DOG!"), "de", (0,), ("blue cat.",))
    assert source.tolist() == TOKENIZER.source_rows(["red dog"], None, [("blue cat.",)]).ids.tolist()


def test_a_variation_is_judged_without_its_context(folder: Path) -> None:
    """Its context is cut as any other; sampled pieces that need more room cost sentences of it, not the pair."""
    longest = max(len(TOKENIZER.encode_source([s])[0]) for s, _ in PAIRS[:5])
    data = settings(folder, max_length=longest, max_ratio=100)
    for i in range(20):
        source, _ = Variation(TOKENIZER, data, 0.3, 3).encode(PAIRS[1], "de", (i,), (PAIRS[0][0],))
        assert len(source) <= longest


@pytest.mark.parametrize("corpus", [{"dataset": "hub", "streaming": True}, {"source": "x.en", "target": "x.de"}])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_streams_have_context_and_go_on_from_any_position(folder: Path, corpus: dict[str, Any], alpha: float) -> None:
    data = settings(folder, train=[{"dataset": "hub", "streaming": True}, corpus], max_length=60, context=3)

    def pools() -> StreamedPools:
        corpora = [open_corpus(one, data) for one in data.train]
        variation = Variation(TOKENIZER, data, alpha, 3) if alpha else None
        return StreamedPools(corpora, [PairFilter(TOKENIZER, data, one) for one in corpora], 3, 26, variation)

    whole, position, positions, found = pools(), Position(), [], []
    for _ in range(19):  # two passes and some
        positions.append(position)
        pool, position = whole.pool(position)
        found.append(of_pool(pool))
    for start, pairs in zip(reversed(positions), reversed(found), strict=True):
        assert of_pool(pools().pool(start)[0]) == pairs
    if not alpha:
        assert {str(row) for pairs in found for row in pairs} == set(map(str, expected(3, 60)))


def test_a_store_is_made_for_one_context(folder: Path) -> None:
    stores = [stored(settings(folder, context=k)) for k in (0, 1, 2)]
    assert len({store.folder for store in stores}) == 3


def test_taking_off_gives_the_sentence_itself() -> None:
    lines, contexts = ["red dog.", "", "cat.", "old"], [("blue cat.", "old"), (), ("red",), ()]
    for tokenizer in (TOKENIZER, Tokenizer.train(PAIRS, BPE, ["de"], separated=True)):
        full = tokenizer.source_rows(lines, "de", contexts)
        bare, plain = tokenizer.without_context(full), tokenizer.source_rows(lines, "de")
        assert bare.ids.tolist() == plain.ids.tolist() and bare.lengths.tolist() == plain.lengths.tolist()
        assert full.ids.tolist().count(tokenizer.separator) == 3
    assert not len(taken_off(IdRows(np.zeros(0, np.int32), np.zeros(0, np.int64)), 4, 0).ids)


def test_a_document_ends_with_a_blank_line() -> None:
    lines = ["a", "b", "c", " ", "d", "", "", "e", "f"]
    found = [(), ("a",), ("a", "b"), ("b", "c"), (), ("d",), (), (), ("e",)]
    assert Document(2).read(lines) == found
    for cut in range(len(lines)):
        for enough in (lines[:cut], lines[max(0, cut - 2) : cut]):
            assert Document(2, enough).read(lines[cut:]) == found[cut:]
    assert Document(0).read(lines) == [()] * len(lines)


@pytest.mark.parametrize("changes", [{}, {"type": "characters"}, {"shared": False}, {"lossless": True}])
def test_no_text_can_produce_the_separator(tmp_path: Path, changes: dict[str, Any]) -> None:
    kind = TokenizerSettings.model_validate(
        {"model": "bpe", "vocab_size": 400 if "lossless" in changes else 72} | changes
    )
    tokenizer = Tokenizer.train([*PAIRS, (SEPARATOR, SEPARATOR)], kind, separated=True)
    assert tokenizer.separator == 4
    assert tokenizer.separator not in tokenizer.source_rows([f"red {SEPARATOR} dog", SEPARATOR]).ids
    assert (4 in tokenizer.unspoken) == tokenizer.shared
    (ids,) = tokenizer.source_rows(["dog"], None, [("red", "old")]).rows
    assert ids[-1] == EOS and (ids == EOS).sum() == 1 and (ids == 4).sum() == 2
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded.separator == 4 and loaded.hash() == tokenizer.hash()
    path = tmp_path / "tokenizer/tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "languages": ["de"]}))
    with pytest.raises(ModelError, match="is not the tag of de"):
        Tokenizer.load(tmp_path / "tokenizer")


def test_a_tokenizer_without_separator_is_what_it_was(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(PAIRS, BPE)
    tokenizer.save(tmp_path / "tokenizer")
    content = json.loads((tmp_path / "tokenizer/tokenizer.json").read_text())
    assert list(content) == ["type", "special_ids", "lossless", "languages", "models", "hash"]
    assert Tokenizer.load(tmp_path / "tokenizer").separator is None
    with pytest.raises(DataError, match="no separator"):
        tokenizer.source_rows(["dog"], None, [("red",)])
    content["separator"] = SEPARATOR
    (tmp_path / "tokenizer/tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="id 4 is not the separator"):
        Tokenizer.load(tmp_path / "tokenizer")
