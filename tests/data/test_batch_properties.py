"""Whatever the lengths and limits: each example comes once, limits are kept, ranks share a step."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from unittest.mock import patch

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from seq2seq.config import GPTTokenizerSettings
from seq2seq.data.ahead import own_micro_batches
from seq2seq.data.batch import Batch, TokenBatch, cut_by_tokens
from seq2seq.data.blocks import BlockData, _TextBlocks
from seq2seq.data.order import PairStep, TrainingData
from seq2seq.data.pools import Pools, Position, StoredPools
from seq2seq.data.store import PairStore
from seq2seq.text import tokenizer as tokenizers
from seq2seq.text.ids import BOS, EOS, PAD, Ids
from seq2seq.text.lines import is_blank
from seq2seq.text.tokenizer import Tokenizer

BYTES = Tokenizer.train_on_text([], GPTTokenizerSettings(type="bytes"))

lengths = st.integers(1, 12) | st.integers(1, 200)
pair_lengths = st.lists(st.tuples(lengths, lengths), min_size=1, max_size=60)
rows = st.lists(st.lists(st.integers(4, 9), max_size=7).map(lambda row: np.array([*row, EOS])), min_size=1, max_size=6)
small = st.integers(1, 40)
ranks = st.integers(1, 6)


class Pairs(PairStore):
    """Pairs of which only the lengths are known; the first ids of both sides tell the number of the pair."""

    def __init__(self, pairs: Sequence[tuple[int, int]], weight: int) -> None:
        self.name, self.weight, self.counts = "pairs", weight, {}
        self.source_lengths, self.target_lengths = np.array(pairs).T

    def ids(self, index: int) -> tuple[Ids, Ids]:
        return np.full(self.source_lengths[index], 4 + index), np.full(self.target_lengths[index], 4 + index)


def epoch(training: TrainingData, position: Position = Position()) -> Iterator[PairStep]:  # noqa: B008 (frozen)
    """The steps from a position to the end of its epoch."""
    for step in training.steps(position):
        yield step
        if step.next.epoch > position.epoch:
            return


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 200), small)
def test_rows_are_cut_into_batches(sizes: list[int], tokens: int, n_rows: int) -> None:
    batches = list(cut_by_tokens(sizes, tokens, n_rows))
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    widths = [max(sizes[i] for i in batch) for batch in batches]
    assert widths == sorted(widths, reverse=True)
    for batch, width in zip(batches, widths, strict=True):
        assert len(batch) <= n_rows and (len(batch) == 1 or len(batch) * width <= tokens)
    for batch, after in pairwise(batches):  # none could have held a row more
        assert len(batch) == n_rows or (len(batch) + 1) * max(sizes[i] for i in batch) > tokens, after


@given(st.data())
def test_padding_is_told_apart(data: st.DataObject) -> None:
    targets = data.draw(rows)
    sources = data.draw(st.lists(rows.map(lambda some: some[0]), min_size=len(targets), max_size=len(targets)))
    batch = Batch.from_ids(sources, targets)
    assert batch.n_tokens == sum(map(len, targets)) == int((batch.tgt_out != PAD).sum())
    for tensor, expected in (
        (batch.src, sources),
        (batch.tgt_out, targets),
        (batch.tgt_in, [[BOS, *row[:-1]] for row in targets]),
    ):
        assert tensor.shape == (len(expected), max(map(len, expected)))
        assert [row[row != PAD].tolist() for row in tensor] == [list(row) for row in expected]
        assert all((row[len(ids) :] == PAD).all() for row, ids in zip(tensor, expected, strict=True))
    packed = batch.packed()
    assert packed.tgt_out.tolist() == [token for row in targets for token in row]
    for some, expected in ((packed.src, sources), (packed.tgt_in, [[BOS, *row[:-1]] for row in targets])):
        ends = some.offsets.tolist()
        found = [some.ids[start:end].tolist() for start, end in pairwise(ends)]
        assert found == [list(row) for row in expected]
        assert some.positions.tolist() == [i for row in expected for i in range(len(row))]
        assert some.longest == max(map(len, expected))


@given(rows)
def test_padding_of_running_text_is_told_apart(blocks: list[Ids]) -> None:
    blocks = [np.array([7, *block]) for block in blocks]
    batch = TokenBatch.from_ids(blocks)
    assert batch.n_tokens == sum(len(block) - 1 for block in blocks) == int((batch.targets != PAD).sum())
    for tokens, targets, block in zip(batch.tokens, batch.targets, blocks, strict=True):
        assert targets[: len(block) - 1].tolist() == block[1:].tolist()
        assert tokens[: len(block) - 1].tolist() == block[:-1].tolist()


@given(pair_lengths, small, st.integers(1, 400), st.integers(1, 300), ranks, st.integers(0, 3))
def test_every_pair_comes_once_an_epoch(
    pairs: list[tuple[int, int]], pool_size: int, batch_tokens: int, device_tokens: int, world_size: int, number: int
) -> None:
    pools = StoredPools([Pairs(pairs, 1)], 3, pool_size)
    training = TrainingData(pools, 3, batch_tokens, device_tokens, world_size)
    steps = list(epoch(training, Position(number)))
    counts = Counter[int]()
    for step in steps:
        check_step(step, pairs, device_tokens, world_size)
        counts.update(number for row in numbers(step) for number in row)
    assert counts == Counter(range(len(pairs)))
    alone = epoch(TrainingData(pools, 3, batch_tokens, 10**6), Position(number))
    for step, same in zip(steps, alone, strict=True):
        assert step.next == same.next and step.n_tokens == same.n_tokens
        assert sorted(chain(*numbers(step))) == sorted(chain(*numbers(same)))
    for step, after in pairwise(steps):
        assert numbers(next(training.steps(step.next))) == numbers(after)


def numbers(step: PairStep) -> list[list[int]]:
    """Which pairs are in each micro-batch of a step."""
    return [[int(step.pool.ids(int(i))[0][0]) - 4 for i in rows] for rows in step.micro_batches]


def check_step(step: PairStep, pairs: Sequence[tuple[int, int]], device_tokens: int, world_size: int) -> None:
    """Limits, tokens, and what each rank gets."""
    found = numbers(step)
    dealt = [own_micro_batches(step, rank, world_size) for rank in range(world_size)]
    assert sorted(i for own in dealt for i in own) == list(range(len(found)))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    n_pairs = sum(map(len, found))
    assert len(found) >= min(world_size, n_pairs)
    assert step.n_tokens == sum(pairs[i][1] for row in found for i in row)
    for i, row in enumerate(found):
        batch = step.batch(i)
        assert len(row) == len(batch.src) > 0
        assert len(row) == 1 or len(row) * max(max(pairs[number]) for number in row) <= device_tokens
        assert (batch.src[:, 0] == torch.tensor(row) + 4).all()


@given(st.lists(st.tuples(pair_lengths, st.integers(1, 3)), min_size=1, max_size=3), small)
def test_pairs_come_as_often_as_their_weight_says(
    corpora: list[tuple[list[tuple[int, int]], int]], pool_size: int
) -> None:
    stores = [Pairs(pairs, weight) for pairs, weight in corpora]
    pools: Pools = StoredPools(stores, 5, pool_size)
    found = Counter[tuple[int, int, int]]()
    position = Position()
    sizes = []
    while position.epoch == 0:
        pool, position = pools.pool(position)
        sizes.append(len(pool.source_lengths))
        for i, (source, target) in enumerate(zip(pool.source_lengths, pool.target_lengths, strict=True)):
            ids = pool.ids(i)
            assert (len(ids[0]), len(ids[1])) == (source, target)
            found[int(ids[0][0]) - 4, int(source), int(target)] += 1
    assert max(sizes) <= pool_size and max(sizes) - min(sizes) <= 1
    expected = Counter[tuple[int, int, int]]()
    for pairs, weight in corpora:
        for i, pair in enumerate(pairs):
            expected[i, *pair] += weight
    assert found == expected


class Numbered:
    """Blocks that say which they are; `found` is how many there are of those that are asked for."""

    tokens_per_epoch = None

    def __init__(self, found: int) -> None:
        self.found = found

    def take(self, position: Position, n: int) -> tuple[list[Ids], Position]:
        return [np.array([i, i, EOS]) for i in range(min(n, self.found))], Position(step=position.step + 1)

    def close(self) -> None:
        pass


@given(small, st.integers(1, 400), st.integers(1, 400), ranks, st.integers(1, 99))
def test_blocks_of_a_step_are_shared(
    context: int, batch_tokens: int, device_tokens: int, world_size: int, found: int
) -> None:
    data = BlockData(Numbered(found), context, batch_tokens, device_tokens, world_size)
    step = next(data.steps(Position()))
    assert data.tokens_per_step == data.per_step * context
    assert abs(data.tokens_per_step - batch_tokens) <= max(context / 2, context - batch_tokens)
    dealt = [
        [step.micro_batches[i].tolist() for i in own_micro_batches(step, r, world_size)] for r in range(world_size)
    ]
    assert sorted(i for own in dealt for part in own for i in part) == list(range(min(found, data.per_step)))
    assert len(step.micro_batches) >= min(world_size, len(step.blocks))
    assert all(len(part) == 1 or len(part) * context <= device_tokens for part in step.micro_batches)
    assert sum(step.batch(i).n_tokens for i in range(len(step.micro_batches))) == step.n_tokens == 2 * len(step.blocks)


class Texts:
    """Documents in memory."""

    name, weight, fingerprint = "texts", 1.0, ""

    def __init__(self, documents: Sequence[str]) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[str]:
        return iter(self.documents)


@given(st.lists(st.text("ab \n", max_size=9), min_size=1, max_size=6).filter(lambda all_: not all(map(is_blank, all_))),
       st.integers(1, 7), st.lists(st.integers(1, 5), min_size=1, max_size=8), small)  # fmt: skip
@example(["", "a", " "], 1, [1, 1, 1, 1], 1)
def test_each_token_of_a_stream_comes_once_a_pass(
    documents: list[str], context: int, takes: list[int], group: int
) -> None:
    source = _TextBlocks(Texts(documents), BYTES, 1, context)
    one_pass = [token for text in documents if not is_blank(text) for token in [*(4 + b for b in text.encode()), EOS]]
    needed = context * sum(takes)
    expected = [EOS, *one_pass * (1 + needed // len(one_pass))][: needed + 1]
    start, place = 0, (0, 0, 0)
    with patch.object(tokenizers, "GROUP", group):
        for n in takes:
            blocks, behind = source.take(place, n)
            assert len(blocks) == n
            for block in blocks:
                assert block.tolist() == expected[start : start + context + 1]
                start += context
            again, same = _TextBlocks(Texts(documents), BYTES, 1, context).take(place, n)  # by another process
            assert [block.tolist() for block in again] == [block.tolist() for block in blocks] and same == behind
            place = behind
