"""Text on disk and the blocks that are drawn from it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seq2seq.config import GPTTokenizerSettings
from seq2seq.data import blocks
from seq2seq.data.blocks import BlockData, StoredBlocks, StreamedBlocks, _TextBlocks
from seq2seq.data.pools import Position
from seq2seq.data.tokens import TokenStore, describe_text, open_token_store
from seq2seq.errors import DataError
from seq2seq.text import tokenizer as tokenizers
from seq2seq.text.codecs import ByteCodec
from seq2seq.text.ids import EOS, Ids
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
    assert packed.counts == {"documents": 2, "tokens": 6, "unknown": 0, "bytes": 4}
    assert isinstance(packed.ids.base, np.memmap)
    with pytest.raises(DataError, match="texts: no text.*; name another corpus"):
        store(tmp_path, ["", " "])


def test_store_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store(tmp_path, ["some text"]).ids.tolist()
    monkeypatch.setattr(Tokenizer, "encode_running", lambda *_: pytest.fail("encoded again"))
    assert store(tmp_path, ["some text"]).ids.tolist() == before


class Large(Tokenizer):
    """A vocabulary of any size, whose last id is all that a text has."""

    def __init__(self, size: int) -> None:
        super().__init__([b""], "bytes")
        self.target_vocab_size = size

    def encode_running(self, texts: Iterable[str]) -> Iterator[Ids]:
        for _ in texts:
            yield np.array([self.target_vocab_size - 1, EOS], dtype=np.int32)


@pytest.mark.parametrize(("size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.int32)])
def test_ids_take_as_few_bytes_as_hold_them_all(tmp_path: Path, size: int, dtype: type) -> None:
    ids = open_token_store(Texts(["ab"]), Large(size), tmp_path).ids
    assert ids.dtype == dtype
    assert ids.tolist() == [EOS, size - 1, EOS]


def test_unknown_tokens_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "GROUP", 10)
    tokenizer = Tokenizer.train_on_text(["abababab"], GPTTokenizerSettings(type="characters"))
    counts = open_token_store(Texts(["abc", "dba"]), tokenizer, tmp_path).counts
    assert describe_text(counts) == "2 documents, 8 tokens (2 unknown), 6 bytes"
    assert describe_text({**counts, "unknown": 0}) == "2 documents, 8 tokens, 6 bytes"
    caplog.set_level("INFO")
    _TextBlocks(Texts(["abc", "dba"]), tokenizer, 1, 3).take((), 3)
    assert "a pool from row 0 on: 3 documents, 9 tokens (2 unknown)" in caplog.text


def test_a_store_is_the_same_however_its_text_is_grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = ["".join(chr(97 + i * j % 26) for i in range(50 * j)) + "\n\nend\n" * j for j in range(9)]
    whole = store(tmp_path / "whole", documents)
    monkeypatch.setattr(tokenizers, "LONG", 10)
    monkeypatch.setattr(tokenizers, "GROUP", 30)
    parts = store(tmp_path / "parts", documents)
    assert parts.ids.tolist() == whole.ids.tolist()
    assert parts.counts == whole.counts


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
    stored = StoredBlocks([store(tmp_path, ["x" * 39])], 1, 8)
    data = BlockData(stored, 8, 16, 100)  # 40 tokens, 16 a step
    steps = [step for step, _ in zip(data.steps(Position()), range(5), strict=False)]
    assert [step.next.epoch for step in steps] == [0, 0, 1, 1, 2]
    larger = BlockData(stored, 8, 32, 100)  # the recipe may change: what was drawn before counts as it was
    steps = [step for step, _ in zip(larger.steps(steps[1].next), range(3), strict=False)]
    assert [step.next.tokens for step in steps] == [64, 96, 128]
    assert [step.next.epoch for step in steps] == [1, 2, 3]
    assert larger.tokens_per_step == 32


SMALL = [chr(33 + i) * (5 + i % 7) if i % 9 else " \n" for i in range(60)]
HUGE = ["~" * 3000]


def streamed(monkeypatch: pytest.MonkeyPatch, batch_tokens: int = 16) -> BlockData:
    """Small documents, blank ones between them, and a huge one with half their weight; pools of 200 tokens."""
    monkeypatch.setattr(blocks, "POOL_TOKENS", 200)
    monkeypatch.setattr(blocks, "POOL_STEPS", 1)
    monkeypatch.setattr(blocks, "SKIPPED", 50)
    monkeypatch.setattr(tokenizers, "LONG", 20)
    monkeypatch.setattr(tokenizers, "GROUP", 100)
    texts = [Texts(SMALL), Texts(HUGE, 0.5)]
    return BlockData(StreamedBlocks(texts, BYTES, 1, 8, batch_tokens), 8, batch_tokens, 100)


def test_streams_go_on_from_any_position(monkeypatch: pytest.MonkeyPatch) -> None:
    base = rows(streamed(monkeypatch), Position(), 60)
    steps = streamed(monkeypatch).steps(Position())
    within = 0
    for i in range(50):
        position = next(steps).next
        assert rows(streamed(monkeypatch), position, 5) == base[i + 1 : i + 6]
        assert json.loads(json.dumps(position.rows)) == [list(place) for place in position.rows]
        within += any(place[2] for place in position.rows)
    assert within > 20
    assert all(len(step) == 2 for step in base)


def test_each_corpus_has_its_share_of_every_pool_and_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = streamed(monkeypatch)
    steps, found = data.steps(Position()), []
    for _ in range(13 * 8):  # 8 pools of 26 blocks
        step = next(steps)
        found.append((step.next, [row for row in step.batch(0).targets.tolist() if 4 + ord("~") in row]))
    pools = [found[i : i + 13] for i in range(0, len(found), 13)]
    assert [pool[-1][0].pool for pool in pools] == list(range(1, 9))
    assert [sum(len(huge) for _, huge in pool) for pool in pools] == [9] * 8  # a third of 26, however huge
    assert pools[-1][-1][0].rows[1] == (0, 0, 8 * 9 * 8)


@pytest.mark.parametrize("documents", [SMALL, HUGE, ["ab"], ["a" * 7, "b" * 15]])
def test_blocks_of_a_stream_are_its_text(monkeypatch: pytest.MonkeyPatch, documents: list[str]) -> None:
    monkeypatch.setattr(tokenizers, "GROUP", 100)
    once = [4 + ord(char) if char else EOS for text in documents if text.strip() for char in [*text, ""]]
    endless = [EOS, *once * (1000 // len(once) + 2)]
    text, place, read = _TextBlocks(Texts(documents), BYTES, 1, 8), (), 0
    for n in (1, 5, 2, 30, 1, 80):
        found, following = text.take(place, n)
        expected = [endless[i : i + 9] for i in range(read, read + 8 * n, 8)]
        assert [block.tolist() for block in found] == expected
        again = _TextBlocks(Texts(documents), BYTES, 1, 8)
        assert [block.tolist() for block in again.take(place, n)[0]] == expected
        assert again.take(place, n)[1] == following
        place, read = following, read + 8 * n


def test_a_huge_document_of_a_stream_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = 0
    real = ByteCodec.encode

    def counted(self: ByteCodec, lines: Sequence[str]) -> list[list[int]]:
        nonlocal encoded
        encoded += sum(map(len, lines))
        return real(self, lines)

    monkeypatch.setattr(ByteCodec, "encode", counted)
    monkeypatch.setattr(tokenizers, "LONG", 20)
    monkeypatch.setattr(tokenizers, "GROUP", 100)
    text, place = _TextBlocks(Texts(HUGE), BYTES, 1, 8), ()
    for _ in range(30):
        _, place = text.take(place, 10)
    assert place == (0, 0, 2400)
    assert 2400 <= encoded <= 2600
    text.close()
    text.take(place, 1)  # from the start again
    assert 4800 <= encoded <= 5200


def test_a_position_behind_the_end_of_its_pool_is_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    data = streamed(monkeypatch)
    last = [step for step, _ in zip(data.steps(Position()), range(12), strict=False)][-1].next
    assert (last.pool, last.step) == (0, 12)
    second = rows(data, next(data.steps(last)).next, 3)
    for step in (13, 14, 999):  # the recipe may have changed
        assert rows(data, replace(last, step=step), 3) == second
    larger = streamed(monkeypatch, 48)
    assert all(len(step) == 6 for step in rows(larger, last, 9))


def test_weights_of_streams_that_do_not_divide_a_pool() -> None:
    weights = (1.0, 1.0, 1.0, 1e-9)
    streams = StreamedBlocks([Texts(HUGE, weight) for weight in weights], BYTES, 1, 2**14, 2**14)
    found, following = streams.take(Position(), 128)
    assert len(found) == 128
    assert following.pool == 1
    assert [place[0] * 3001 + place[2] for place in following.rows] == [n * 2**14 for n in (41, 43, 43, 1)]


def test_an_empty_stream_is_named() -> None:
    with pytest.raises(DataError, match="texts: no text"):
        next(BlockData(StreamedBlocks([Texts([" ", ""])], BYTES, 1, 8, 16), 8, 16, 100).steps(Position()))


def test_closed_steps_have_closed_their_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Watched(Texts):
        def __iter__(self) -> Iterator[str]:
            opened.append(self)
            try:
                yield from self.documents * 1000
            finally:
                opened.remove(self)

    streamed(monkeypatch)  # small pools
    data = BlockData(StreamedBlocks([Watched(SMALL), Watched(HUGE)], BYTES, 1, 8, 16), 8, 16, 100)
    steps = data.steps(Position())
    first = next(steps)
    assert len(opened) == 2
    steps.close()
    assert opened == []
    assert rows(data, first.next, 2) == rows(data, Position(), 3)[1:]
