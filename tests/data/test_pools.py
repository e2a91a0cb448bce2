"""Pools whose pairs are encoded anew, and pools of streams: all can be made again from their position."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_pairs, write_pairs

from seq2seq.config import DataSettings, TokenizerSettings
from seq2seq.data.order import TrainingData
from seq2seq.data.pools import Pool, Pools, Position, StoredPools, Variation
from seq2seq.data.store import PairFilter, open_store
from seq2seq.data.streams import StreamedPools
from seq2seq.errors import DataError
from seq2seq.text.corpora import open_corpus
from seq2seq.text.tokenizer import Tokenizer

PAIRS = make_pairs(120)
TOKENIZER = Tokenizer.train(PAIRS, TokenizerSettings(model="bpe", vocab_size=70))
STREAM = {"dataset": "streamed", "streaming": True}


def settings(folder: Path, **changes: Any) -> DataSettings:
    files = {"source": "x.en", "target": "x.de"}
    base = {"source_language": "en", "target_language": "de", "train": [files], "valid": files}
    return DataSettings.model_validate({**base, "root": str(folder), "cache": str(folder / "cache"), **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The pairs as plain files, and as two files of a dataset that can be streamed."""
    import datasets

    write_pairs(tmp_path, "x", PAIRS)
    (tmp_path / "streamed").mkdir()
    for i, part in enumerate((PAIRS[:70], PAIRS[70:])):
        rows = [{"translation": {"en": source, "de": target}} for source, target in part]
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / f"streamed/train-0000{i}-of-00002.parquet")
    return tmp_path


def stored(data: DataSettings, alpha: float, tokenizer: Tokenizer = TOKENIZER) -> StoredPools:
    store = open_store(open_corpus(data.train[0], data), tokenizer, data, text=True)
    return StoredPools([store], 3, 50, variation=Variation(tokenizer, data, alpha, 3))


def streamed(data: DataSettings, alpha: float = 0.0) -> StreamedPools:
    corpora = [open_corpus(corpus, data) for corpus in data.train]
    variation = Variation(TOKENIZER, data, alpha, 3) if alpha else None
    return StreamedPools(corpora, [PairFilter(TOKENIZER, data, c) for c in corpora], 3, 50, variation)


def rows(pool: Pool) -> list[tuple[list[int], list[int]]]:
    pairs = [pool.ids(i) for i in range(len(pool.source_lengths))]
    for (source, target), n, m in zip(pairs, pool.source_lengths, pool.target_lengths, strict=True):
        assert (len(source), len(target)) == (n, m)
    return [(source.tolist(), target.tolist()) for source, target in pairs]


def texts(pool: Pool) -> list[str]:
    return TOKENIZER.decode_target([target[:-1] for _, target in rows(pool)])


def some(pools: Pools, n: int) -> list[tuple[Position, Pool]]:
    found, position = [], Position()
    for _ in range(n):
        position = pools.settle(position)
        pool, following = pools.pool(position)
        found.append((position, pool))
        position = following
    return found


def test_sampled_pools_hold_every_pair_cut_anew_in_each_epoch(folder: Path) -> None:
    found = some(stored(settings(folder), 0.5), 6)  # two epochs of three pools
    for epoch in (0, 1):
        of_epoch = [text for position, pool in found if position.epoch == epoch for text in texts(pool)]
        assert Counter(of_epoch) == Counter(target for _, target in PAIRS)
    cut = [
        {tuple(t): s for p, pool in found if p.epoch == epoch for t, s in ((x[0], x[1]) for x in rows(pool))}
        for epoch in (0, 1)
    ]
    assert cut[0] != cut[1]
    plain = {tuple(ids.tolist()) for ids in TOKENIZER.encode_source([source for source, _ in PAIRS])}
    assert len(plain & set(cut[0])) < len(plain) / 2
    again = stored(settings(folder), 0.5)
    for position, pool in reversed(found):
        assert rows(again.pool(position)[0]) == rows(pool)


def test_noise_reaches_its_share_of_the_pairs(folder: Path) -> None:
    data = settings(folder, noise={"no_final_punctuation": 0.5})
    found = [text for _, pool in some(stored(data, 0.0), 6) for text in texts(pool)]
    assert len(found) == 240
    assert 80 < sum(not text.endswith("!") for text in found) < 160


def test_a_variation_that_is_too_long_is_not_taken(folder: Path) -> None:
    """Sampled at random, most targets need more tokens than are allowed, but none is lost."""
    longest = max(len(ids) for pair in PAIRS for ids in TOKENIZER.encode_target(list(pair)))
    data = settings(folder, max_length=longest, max_ratio=100)
    found = some(stored(data, 0.9), 3)
    assert max(pool.target_lengths.max() for _, pool in found) <= longest
    assert Counter(text for _, pool in found for text in texts(pool)) == Counter(target for _, target in PAIRS)


def test_streamed_pools_go_on_from_any_position(folder: Path) -> None:
    data = settings(folder, train=[STREAM])
    found = some(streamed(data, 0.2), 7)
    assert all(len(pool.source_lengths) == 50 for _, pool in found)
    passes = Counter(text for _, pool in found for text in texts(pool))
    assert set(passes) == {target for _, target in PAIRS}
    assert [position.pool for position, _ in found] == list(range(7))
    for position, pool in reversed(found):
        assert rows(streamed(data, 0.2).pool(position)[0]) == rows(pool)


def test_streams_and_files_share_each_pool_by_weight(folder: Path) -> None:
    files = {"source": "x.en", "target": "y.de", "weight": 3.0}
    (folder / "y.de").write_text("".join(f"{target.lower()}\n" for _, target in PAIRS))
    tokenizer = Tokenizer.train([(a, b) for a, c in PAIRS for b in (c, c.lower())], TokenizerSettings(vocab_size=70))
    data = settings(folder, train=[STREAM, files])
    corpora = [open_corpus(corpus, data) for corpus in data.train]
    pools = StreamedPools(corpora, [PairFilter(tokenizer, data, c) for c in corpora], 3, 40)
    for _, pool in some(pools, 5):
        found = tokenizer.decode_target([target[:-1] for _, target in rows(pool)])
        assert Counter(text.isupper() for text in found) == {True: 10, False: 30}


def test_a_stream_without_a_usable_pair_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no sentence pair left to train on"):
        streamed(settings(folder, train=[STREAM], max_length=2)).pool(Position())


def test_steps_of_a_stream_go_on_from_any_position(folder: Path) -> None:
    data = settings(folder, train=[STREAM])
    training = TrainingData(streamed(data), 3, 100, 512)
    steps = training.steps(Position())
    seen = [next(steps) for _ in range(30)]
    assert seen[-1].next.pool == 3
    for i in (0, 7, 8, 20, 28):
        again = next(TrainingData(streamed(data), 3, 100, 512).steps(seen[i].next))
        assert again.next == seen[i + 1].next
        assert np.array_equal(again.batch(0).src, seen[i + 1].batch(0).src)
