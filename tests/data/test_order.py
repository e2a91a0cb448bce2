"""The order of examples: every pair as often as its weight says, the same steps for any number of ranks."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seq2seq.data.order import PairStep, TrainingData
from seq2seq.data.permutation import shuffled
from seq2seq.data.pools import Position, StoredPools, epoch_shares
from seq2seq.data.store import PairStore


class FakeStore(PairStore):
    """Ids that say which pair they are of: all of them are its number, behind those of the stores before it."""

    def __init__(self, lengths: np.ndarray, weight: float = 1.0, first: int = 0) -> None:
        self.first = first
        self.name = "fake"
        self.weight = weight
        self.counts = {}
        self.source_lengths, self.target_lengths = lengths

    def ids(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        n = 4 + self.first + index  # behind the special ids
        return np.full(self.source_lengths[index], n), np.full(self.target_lengths[index], n)


def store(n: int, weight: float = 1.0, seed: int = 0, first: int = 0) -> FakeStore:
    random = np.random.default_rng(seed)
    source = random.integers(2, 40, n)
    return FakeStore(np.stack([source, np.clip(source + random.integers(-3, 6, n), 1, None)]), weight, first)


def data(*stores: FakeStore, world_size: int = 1, device_tokens: int = 512, temperature: float = 1.0) -> TrainingData:
    return TrainingData(StoredPools(stores, 3, 300, temperature), 3, 2000, device_tokens, world_size)


def rows_of(step: PairStep) -> list[np.ndarray]:
    """The numbers of a step's pairs, micro-batch by micro-batch."""
    return [np.array([step.pool.ids(int(i))[0][0] - 4 for i in indices], dtype=int) for indices in step.micro_batches]


def epoch(training: TrainingData, number: int = 0) -> list[np.ndarray]:
    rows = []
    for step in training.steps(Position(epoch=number)):
        rows.append(np.concatenate(rows_of(step)))
        if step.next.epoch > number:
            return rows
    raise AssertionError


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000, 65_537])
def test_shuffled_is_a_permutation(n: int) -> None:
    out = shuffled(np.arange(n), n, 1, 2)
    assert np.array_equal(np.sort(out), np.arange(n))
    assert np.array_equal(shuffled(np.arange(n)[n // 2 :], n, 1, 2), out[n // 2 :])
    if n > 10:
        assert not np.array_equal(out, shuffled(np.arange(n), n, 1, 3))
        assert abs(np.corrcoef(out, np.arange(n))[0, 1]) < 5 / np.sqrt(n)


def test_shuffled_spreads_evenly() -> None:
    """Where 0 to 9 go under 5,000 keys: each of 10 places about equally often."""
    places = np.array([shuffled(np.arange(10), 10, key) for key in range(5_000)])
    for place in places.T:
        counts = np.bincount(place, minlength=10)
        assert ((counts - 500) ** 2 / 500).sum() < 40  # chi-squared, 9 degrees of freedom, far above 99.99 %


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_pair_once_an_epoch_whatever_the_ranks(world_size: int) -> None:
    for number in (0, 1):
        rows = epoch(data(store(1000), world_size=world_size), number)
        assert Counter(np.concatenate(rows).tolist()) == Counter(range(1000))
    single = epoch(data(store(1000)))
    several = epoch(data(store(1000), world_size=world_size, device_tokens=128))
    assert [sorted(a.tolist()) for a in single] == [sorted(b.tolist()) for b in several]


def test_weights_say_how_often_a_pair_comes() -> None:
    training = data(store(100, weight=2.0), store(300, weight=0.5, seed=1, first=100), store(50, seed=2, first=400))
    rows = [np.concatenate(epoch(training, number)) for number in range(2)]
    first = Counter(rows[0].tolist())
    assert all(first[i] == 2 for i in range(100))
    assert all(first[i] <= 1 for i in range(100, 400))
    assert sum(first[i] for i in range(100, 400)) == 150
    both = Counter(np.concatenate(rows).tolist())
    assert all(both[i] == 1 for i in range(100, 400))  # the other half comes in the second epoch
    assert all(both[i] == 2 for i in range(400, 450))


def test_epochs_differ_and_the_seed_decides() -> None:
    training = data(store(500))
    first, second = (np.concatenate(epoch(training, number)).tolist() for number in range(2))
    assert first != second
    assert first == np.concatenate(epoch(data(store(500)))).tolist()


def test_steps_go_on_from_any_position() -> None:
    training = data(store(1000))
    steps = training.steps(Position())
    seen = [next(steps) for _ in range(40)]
    assert seen[-1].next.epoch >= 2
    for i in (0, 5, 17, 38):
        again = next(training.steps(seen[i].next))
        assert all(np.array_equal(a, b) for a, b in zip(rows_of(again), rows_of(seen[i + 1]), strict=True))
        assert again.next == seen[i + 1].next


def test_positions_behind_the_end_stand_for_what_follows() -> None:
    """A run that goes on with larger steps or pools than it was started with may stand behind the end."""
    training = data(store(1000))
    first = next(training.steps(Position(epoch=1)))
    pools = StoredPools([store(1000)], 3, 300).pools_per_epoch
    for position in (
        Position(0, pools),
        Position(0, 99, 7),
        Position(0, pools - 1, 999),
    ):
        step = next(training.steps(position))
        assert step.next == first.next
        assert all(np.array_equal(a, b) for a, b in zip(rows_of(step), rows_of(first), strict=True))


def test_steps_hold_the_tokens_asked_for_and_micro_batches_fit() -> None:
    big = store(20_000)
    training = TrainingData(StoredPools([big], 1, 10_000), 1, 4096, 1024)
    steps = training.steps(Position())
    tokens = []
    for _ in range(50):
        step = next(steps)
        tokens.append(step.n_tokens)
        assert step.n_tokens == sum(int(big.target_lengths[rows].sum()) for rows in rows_of(step))
        for rows in rows_of(step):
            width = max(big.source_lengths[rows].max(), big.target_lengths[rows].max())
            assert len(rows) * width <= 1024
    assert np.mean(tokens) == pytest.approx(4096, rel=0.03)
    assert min(tokens) > 3900
    assert max(tokens) < 4300


def test_padding_is_small() -> None:
    training = TrainingData(StoredPools([store(29_000)], 1, 100_000), 1, 4096, 4096)
    real = padded = 0
    for step in training.steps(Position()):
        for i in range(len(step.micro_batches)):
            batch = step.batch(i)
            real += int((batch.src != 0).sum() + (batch.tgt_out != 0).sum())
            padded += batch.src.numel() + batch.tgt_out.numel()
        if step.next.epoch:
            break
    assert 1 - real / padded < 0.05


def test_large_steps_mix_lengths() -> None:
    training = TrainingData(StoredPools([store(20_000)], 1, 20_000), 1, 25_000, 4096)
    step = next(training.steps(Position()))
    widths = [int(step.pool.target_lengths[rows].max()) for rows in step.micro_batches]
    assert max(widths) > min(widths) + 5


def test_batches_hold_bos_and_eos(tmp_path: Path) -> None:
    step = next(data(store(20)).steps(Position()))
    batch, lengths = step.batch(0), step.pool.target_lengths[step.micro_batches[0]]
    assert batch.n_tokens == lengths.sum()
    assert batch.tgt_in[:, 0].tolist() == [2] * len(lengths)
    assert (batch.tgt_out != 0).sum(1).tolist() == lengths.tolist()


def test_temperature_flattens_the_shares() -> None:
    sizes = [900, 90, 10]
    assert epoch_shares(sizes, 1) == sizes
    warm = epoch_shares(sizes, 2)
    assert warm == pytest.approx([1000 * size**0.5 / sum(s**0.5 for s in sizes) for size in sizes], abs=1)
    assert epoch_shares(sizes, 1e6) == pytest.approx([333, 333, 333], abs=1)
    training = data(store(900), store(100, seed=1, first=900), temperature=2.0)
    counts = Counter(np.concatenate(epoch(training)).tolist())
    assert sum(counts.values()) == 1000
    assert sum(counts[i] for i in range(900)) == 750
    assert {counts[i] for i in range(900, 1000)} == {2, 3}
