"""Text on disk and the blocks that are drawn from it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seq2seq.config import GPTTokenizerSettings
from seq2seq.data.blocks import BlockData, StoredBlocks, StreamedBlocks
from seq2seq.data.pools import Position
from seq2seq.data.tokens import TokenStore, open_token_store
from seq2seq.errors import DataError
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer

BYTES = Tokenizer.train_on_text([], GPTTokenizerSettings(type="bytes"))


class Texts:
    """Documents in memory."""

    def __init__(self, documents: list[str], weight: float = 1.0) -> None:
        self.documents, self.weight, self.name = documents, weight, "texts"

    def __iter__(self) -> Iterator[str]:
        return iter(self.documents)

    @property
    def fingerprint(self) -> str:
        return repr(self.documents)


def store(folder: Path, documents: list[str], weight: float = 1.0) -> TokenStore:
    return open_token_store(Texts(documents, weight), BYTES, folder)


def rows(data: BlockData, position: Position, n: int) -> list[list[list[int]]]:
    """The tokens of some steps, all micro-batches of a step together."""
    found = []
    for step, _ in zip(data.steps(position), range(n), strict=False):
        batches = [step.batch(i) for i in range(len(step.micro_batches))]
        assert sum(batch.n_tokens for batch in batches) == step.n_tokens
        found.append([row for batch in batches for row in batch.tokens.tolist()])
    return found


def test_documents_are_packed_between_ends(tmp_path: Path) -> None:
    packed = store(tmp_path, ["ab", " \n", "é"])
    assert packed.ids.tolist() == [EOS, 101, 102, EOS, 4 + 0xC3, 4 + 0xA9, EOS]
    assert packed.ids.dtype == np.uint16
    assert packed.counts == {"documents": 2, "tokens": 6, "bytes": 4}
    assert isinstance(packed.ids, np.memmap)
    with pytest.raises(DataError, match="no text"):
        store(tmp_path, ["", " "])


def test_store_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store(tmp_path, ["some text"]).ids.tolist()
    monkeypatch.setattr(Tokenizer, "encode_texts", lambda *_: pytest.fail("encoded again"))
    assert store(tmp_path, ["some text"]).ids.tolist() == before


def test_large_vocabularies_take_four_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer.train_on_text([], GPTTokenizerSettings(type="bytes"))
    tokenizer.target_vocab_size = 2**16 + 1
    assert open_token_store(Texts(["ab"]), tokenizer, tmp_path).ids.dtype == np.int32


def test_blocks_begin_everywhere_alike(tmp_path: Path) -> None:
    packed = store(tmp_path, [bytes(range(30, 60)).decode()])  # 32 ids
    data = BlockData(StoredBlocks([packed], 1, 8), 8, 800, 10_000)
    starts = Counter(row[0] for step in rows(data, Position(), 50) for row in step)
    firsts = packed.ids[: 32 - 8].tolist()
    assert set(starts) == set(firsts)
    expected = 5000 / len(firsts)
    chi_square = sum((starts[first] - expected) ** 2 / expected for first in firsts)
    assert chi_square < 50  # 23 degrees of freedom: exceeded by chance once in a thousand draws; the draw is fixed


def test_blocks_follow_from_seed_and_step_alone(tmp_path: Path) -> None:
    packed = store(tmp_path, ["".join(chr(33 + i % 90) for i in range(1000))])
    base = rows(BlockData(StoredBlocks([packed], 1, 8), 8, 80, 10_000), Position(), 6)
    assert [len(step) for step in base] == [10] * 6
    for device_tokens, ranks in ((8, 1), (24, 2), (10_000, 3)):
        assert rows(BlockData(StoredBlocks([packed], 1, 8), 8, 80, device_tokens, ranks), Position(), 6) == base
    data = BlockData(StoredBlocks([packed], 1, 8), 8, 80, 10_000)
    steps = data.steps(Position())
    third = [next(steps) for _ in range(3)][-1].next
    assert rows(data, third, 3) == base[3:]
    assert rows(BlockData(StoredBlocks([packed], 2, 8), 8, 80, 10_000), Position(), 6) != base
    flat = [tuple(row) for step in base for row in step]
    assert len(set(flat)) > 30


def test_micro_batches_fit_and_every_rank_has_one(tmp_path: Path) -> None:
    packed = store(tmp_path, ["x" * 1000])
    for device_tokens, ranks, parts in ((80, 1, 1), (79, 1, 2), (8, 1, 10), (1, 1, 10), (80, 4, 4), (80, 99, 10)):
        step = next(BlockData(StoredBlocks([packed], 1, 8), 8, 80, device_tokens, ranks).steps(Position()))
        assert len(step.micro_batches) == parts
        assert max(len(part) for part in step.micro_batches) * 8 <= max(8, device_tokens)
        batch = step.batch(0)
        assert (batch.targets[:, :-1] == batch.tokens[:, 1:]).all()


def test_weights_decide_how_often_a_corpus_comes(tmp_path: Path) -> None:
    stores = [store(tmp_path, ["a" * 999], 3.0), store(tmp_path, ["b" * 1999], 0.5)]
    data = BlockData(StoredBlocks(stores, 1, 8), 8, 8000, 10_000)
    found = Counter(row[-1] - 4 for step in rows(data, Position(), 4) for row in step)
    assert found[ord("a")] / 4000 == pytest.approx(3 / 4, abs=0.02)
    assert data.tokens_per_epoch == 4000


def test_short_text_is_one_block(tmp_path: Path) -> None:
    data = BlockData(StoredBlocks([store(tmp_path, ["abc"])], 1, 8), 8, 16, 100)
    step = next(data.steps(Position()))
    assert step.batch(0).targets.tolist() == [[101, 102, 103, EOS]] * 2
    assert step.n_tokens == 8


def test_epochs_count_the_text(tmp_path: Path) -> None:
    data = BlockData(StoredBlocks([store(tmp_path, ["x" * 39])], 1, 8), 8, 16, 100)  # 40 tokens, 16 a step
    assert [step.next.epoch for step, _ in zip(data.steps(Position()), range(5), strict=False)] == [0, 0, 1, 1, 2]


def streamed(monkeypatch: pytest.MonkeyPatch) -> BlockData:
    from seq2seq.data import blocks

    monkeypatch.setattr(blocks, "POOL_TOKENS", 200)
    monkeypatch.setattr(blocks, "POOL_STEPS", 1)
    monkeypatch.setattr(blocks, "CHUNK", 2)
    texts = [Texts([chr(33 + i) * (5 + i % 7) for i in range(60)]), Texts(["~" * 300], 0.5)]
    return BlockData(StreamedBlocks(texts, BYTES, 1, 8, 16), 8, 16, 100)


def test_streams_go_on_from_any_position(monkeypatch: pytest.MonkeyPatch) -> None:
    base = rows(streamed(monkeypatch), Position(), 60)
    steps = streamed(monkeypatch).steps(Position())
    for i in range(50):
        position = next(steps).next
        if i % 7 == 0:
            assert rows(streamed(monkeypatch), position, 5) == base[i + 1 : i + 6]
    assert all(len(step) == 2 for step in base)


def test_a_pool_of_a_stream_holds_each_block_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = streamed(monkeypatch)
    blocks, following = data.blocks._read(Position())  # type: ignore[attr-defined]
    again, _ = data.blocks._read(following)  # type: ignore[attr-defined]
    assert following.pool == 1
    first = [tuple(block.tolist()) for block in blocks if 4 + ord("~") not in block]
    second = [tuple(block.tolist()) for block in again if 4 + ord("~") not in block]
    assert len(set(first)) == len(first)
    assert not set(first) & set(second)
    covered = {token for block in first for token in block}
    assert covered == {EOS, *range(37, max(covered) + 1)}  # nothing between the ends is missing


def test_an_empty_stream_is_named() -> None:
    with pytest.raises(DataError, match="texts: no text"):
        next(BlockData(StreamedBlocks([Texts([" ", ""])], BYTES, 1, 8, 16), 8, 16, 100).steps(Position()))
