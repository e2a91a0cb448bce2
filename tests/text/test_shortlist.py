"""Shortlists: what a sentence may use, whatever stands beside it; files that fit their model or are refused."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_pairs
from safetensors.numpy import load_file, save_file

from seq2seq.config import TokenizerSettings
from seq2seq.errors import ModelError
from seq2seq.text.ids import EOS, IdRows, Ids
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train(make_pairs(200), TokenizerSettings(vocab_size=60))
LISTS = {EOS: [20], 5: [30, 31], 6: [31, 40], 7: list(range(10, 50))}  # 7 may become more than half of all


def make(lists: dict[int, list[int]] = LISTS, frequent: tuple[int, ...] = (0, 1, 2, 3, 8)) -> Shortlist:
    sizes = [len(lists.get(token, [])) for token in range(60)]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    targets = np.array([f for token in range(60) for f in lists.get(token, [])], dtype=np.int32)
    return Shortlist(np.array(frequent, dtype=np.int32), offsets, targets, 60)


def ids(*tokens: int) -> Ids:
    return np.array([*tokens, EOS])


def test_a_sentence_has_the_words_of_its_tokens_and_the_frequent_ones() -> None:
    choice = make().choose([ids(5), ids(6, 6, 9)])
    assert choice is not None
    assert choice.ids.tolist() == [0, 1, 2, 3, 8, 20, 30, 31, 40]
    assert choice.ids[choice.allowed[0]].tolist() == [0, 1, 2, 3, 8, 20, 30, 31]
    assert choice.ids[choice.allowed[1]].tolist() == [0, 1, 2, 3, 8, 20, 31, 40]


def test_neighbours_in_a_batch_change_nothing() -> None:
    for neighbour in (ids(6), ids(7), ids(9, 9, 9)):
        choice = make().choose([neighbour, ids(5)])
        assert choice is not None
        assert choice.ids[choice.allowed[1]].tolist() == [0, 1, 2, 3, 8, 20, 30, 31]


def test_a_sentence_with_many_words_may_use_all() -> None:
    assert make().choose([ids(7), ids(5, 7)]) is None
    choice = make().choose([ids(7), ids(5)])
    assert choice is not None
    assert choice.ids.tolist() == list(range(60))
    assert choice.allowed.sum(axis=1).tolist() == [60, 8]


def test_coverage_of_given_translations() -> None:
    sources, targets = IdRows.of([[5, EOS], [6, EOS]]), IdRows.of([[30, 31, 40, EOS], [41, EOS]])
    assert make().coverage(sources, targets) == (8.0, 0.5)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    make().save(tmp_path)
    found = Shortlist.load(tmp_path, TOKENIZER)
    for name in ("frequent", "offsets", "targets"):
        assert np.array_equal(getattr(found, name), getattr(make(), name))
        assert getattr(found, name).dtype == getattr(make(), name).dtype
    assert found.vocab_size == 60


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": np.full(len(make().targets), 60, np.int32)},
        {"targets": np.full(len(make().targets), -1, np.int32)},
        {"targets": make().targets[1:]},
        {"offsets": make().offsets[1:]},
        {"offsets": make().offsets + 1},
        {"offsets": make().offsets[::-1].copy()},
        {"offsets": np.zeros(0, np.int64)},
        {"offsets": make().offsets.astype(np.float32)},
        {"offsets": make().offsets[None]},
        {"frequent": np.array([0, 1, 3, 8], np.int32)},
        {"frequent": np.array([0, 1, 2, 3, 9, 8], np.int32)},
        {"frequent": np.array([0, 1, 2, 3, 99], np.int32)},
    ],
)
def test_one_that_does_not_fit_the_vocabulary_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    make().save(tmp_path)
    save_file({**load_file(tmp_path / SHORTLIST), **changes}, tmp_path / SHORTLIST)
    with pytest.raises(ModelError, match="is for another vocabulary than the model's; make it anew with seq2seq-short"):
        Shortlist.load(tmp_path, TOKENIZER)


def test_an_unreadable_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / SHORTLIST).write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="not usable"):
        Shortlist.load(tmp_path, TOKENIZER)
    save_file({"frequent": np.zeros(1)}, tmp_path / SHORTLIST)
    with pytest.raises(ModelError, match="not usable"):
        Shortlist.load(tmp_path, TOKENIZER)
