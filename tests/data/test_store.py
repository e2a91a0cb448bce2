from pathlib import Path

import numpy as np
import pytest
from conftest import make_pairs, write_pairs

from seq2seq.config import DataSettings, ParallelFiles, TokenizerSettings
from seq2seq.data.store import PairStore, open_store
from seq2seq.errors import DataError
from seq2seq.text.corpora import Corpus, open_corpus
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(200)
TOKENIZER = Tokenizer.train(PAIRS, TokenizerSettings(vocab_size=60))


def settings(folder: Path, **changes: object) -> DataSettings:
    files = {"source": "x.en", "target": "x.de"}
    base = {"source_language": "en", "target_language": "de", "train": [files], "valid": files}
    return DataSettings.model_validate({**base, "root": str(folder), "cache": str(folder / "cache"), **changes})


def corpus(folder: Path, pairs: list[tuple[str, str]]) -> Corpus:
    write_pairs(folder, "x", pairs)
    return open_corpus(ParallelFiles(source="x.en", target="x.de"), settings(folder))


def test_store_holds_the_tokens_of_the_pairs(tmp_path: Path) -> None:
    store = open_store(corpus(tmp_path, PAIRS), TOKENIZER, settings(tmp_path))
    sources = TOKENIZER.encode_source([source for source, _ in PAIRS])
    targets = TOKENIZER.encode_target([target for _, target in PAIRS])
    assert len(store) == len(PAIRS)
    for i in range(len(PAIRS)):
        assert np.array_equal(store.ids(i)[0], sources[i])
        assert np.array_equal(store.ids(i)[1], targets[i])
    assert store.source_lengths.tolist() == [len(ids) for ids in sources]
    assert store.ids(0)[0].dtype == np.uint16
    assert store.counts["source_tokens"] == sum(map(len, sources))


def test_pairs_are_dropped_as_pairs_and_counted(tmp_path: Path) -> None:
    blank = [("", "NOT BLANK"), ("not blank", " \u200b"), ("\u3000", "")]
    pairs = [PAIRS[0], *blank, ("red " * 40, "RED " * 40), ("red", "RED " * 12), PAIRS[1]]
    store = open_store(corpus(tmp_path, pairs), TOKENIZER, settings(tmp_path, max_length=50, max_ratio=3.0))
    wanted = {"read": 7, "blank": 3, "too_long": 1, "length_ratio": 1, "kept": 2}
    assert {key: store.counts[key] for key in wanted} == wanted
    assert np.array_equal(store.ids(1)[1], TOKENIZER.encode_target([PAIRS[1][1]])[0])


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sentence pair left to train on .2 pairs, 2 blank dropped"):
        open_store(corpus(tmp_path, [("", ""), (" ", "x")]), TOKENIZER, settings(tmp_path))
    assert not [path for path in (tmp_path / "cache").glob("*") if not path.name.startswith(".")]


def test_cache_is_used_until_something_changes(tmp_path: Path) -> None:
    def folders() -> set[str]:
        return {path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")}

    first = corpus(tmp_path, PAIRS)
    open_store(first, TOKENIZER, settings(tmp_path))
    one = folders()
    open_store(first, TOKENIZER, settings(tmp_path))
    assert folders() == one
    open_store(first, TOKENIZER, settings(tmp_path, max_length=100))
    assert len(folders()) == 2
    store = open_store(corpus(tmp_path, PAIRS[:50]), TOKENIZER, settings(tmp_path))
    assert isinstance(store, PairStore)
    assert len(store) == 50
    assert len(folders()) == 3


def test_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    expected = open_store(corpus(tmp_path, PAIRS), TOKENIZER, settings(tmp_path))
    rows = [expected.ids(i)[0].tolist() for i in range(len(expected))]
    for name, content in (("source.data", b"short"), ("store.json", b"{"), ("MANIFEST.json", b"")):
        (folder,) = (tmp_path / "cache").glob("pairs-*")
        (folder / name).unlink()
        (folder / name).write_bytes(content)
        again = open_store(corpus(tmp_path, PAIRS), TOKENIZER, settings(tmp_path))
        assert [again.ids(i)[0].tolist() for i in range(len(again))] == rows


def test_duplicates_are_dropped_by_choice(tmp_path: Path) -> None:
    """A pair counts as one only if both sides are the same."""
    pairs = [PAIRS[0], PAIRS[1], PAIRS[0], (PAIRS[0][0], PAIRS[1][1]), PAIRS[1], PAIRS[0]]
    found = corpus(tmp_path, pairs)
    assert len(open_store(found, TOKENIZER, settings(tmp_path))) == 6
    store = open_store(found, TOKENIZER, settings(tmp_path, drop_duplicates=True))
    assert (len(store), store.counts["duplicate"]) == (3, 3)
    assert np.array_equal(store.ids(2)[1], TOKENIZER.encode_target([PAIRS[1][1]])[0])
    assert [row["pair"] for row in store.dropped()] == [3, 5, 6]


def test_dropped_pairs_are_listed_with_their_reason(tmp_path: Path) -> None:
    pairs = [PAIRS[0], ("", "X\u2028Y"), PAIRS[1], ("red", "RED " * 12)]
    store = open_store(corpus(tmp_path, pairs), TOKENIZER, settings(tmp_path, max_ratio=3.0))
    assert list(store.dropped()) == [
        {"pair": 2, "reason": "blank", "source": "", "target": "X\u2028Y"},
        {"pair": 4, "reason": "length_ratio", "source": "red", "target": "RED " * 12},
    ]


def test_a_store_of_text_gives_it_back(tmp_path: Path) -> None:
    pairs = [PAIRS[0], ("", "x"), ("Grüße 🙂 \u00a0!", "ΑΒΓ"), PAIRS[1]]
    store = open_store(corpus(tmp_path, pairs), TOKENIZER, settings(tmp_path), text=True)
    assert [store.text(i) for i in range(3)] == [pairs[0], pairs[2], pairs[3]]
    ids = open_store(corpus(tmp_path, pairs), TOKENIZER, settings(tmp_path))
    assert store.source_lengths.tolist() == ids.source_lengths.tolist()
