"""Steps prepared in the background."""

import threading
from collections.abc import Generator

import pytest
import torch

from seq2seq.data.ahead import Ahead, ready_steps
from seq2seq.data.blocks import BlockStep
from seq2seq.data.pools import Position


def numbers(taken: list[int], closed: list[bool], last: int = 10**9) -> Generator[int, None, None]:
    try:
        for i in range(last):
            taken.append(i)
            yield i
        raise ValueError("no more")
    finally:
        closed.append(True)


def test_items_come_in_order_and_are_taken_ahead_of_time() -> None:
    taken: list[int] = []
    closed: list[bool] = []
    before = threading.active_count()
    found = Ahead(numbers(taken, closed), 3)
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    found.close()
    assert closed == [True] and threading.active_count() == before
    assert taken == list(range(len(taken))) and 5 <= len(taken) <= 8


def test_an_error_comes_behind_the_items_in_front_of_it() -> None:
    found = Ahead(numbers([], [], 2), 5)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="no more"):
        next(found)
    assert list(Ahead((i for i in range(7)), 2)) == list(range(7))


def test_a_wait_that_a_signal_ends_loses_nothing() -> None:
    """Neither the item that was waited for, nor time when the run then ends although the item does not come."""
    import signal
    import time

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    go_on, before = threading.Event(), signal.signal(signal.SIGALRM, stop)

    def slow() -> Generator[int, None, None]:
        yield 0
        go_on.wait()
        yield 1
        time.sleep(60)

    try:
        found = Ahead(slow(), 1)
        assert next(found) == 0
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            next(found)
        go_on.set()
        assert next(found) == 1
        started = time.monotonic()
        found.close(patience=1.0)
        assert time.monotonic() - started < 10
    finally:
        signal.signal(signal.SIGALRM, before)


def test_each_rank_prepares_its_own_micro_batches() -> None:
    import numpy as np

    blocks = [np.arange(i, i + 5, dtype=np.int32) for i in range(6)]
    step = BlockStep(blocks, np.array_split(np.arange(6), 3), 24, Position(step=1))

    def steps() -> Generator[BlockStep, None, None]:
        yield step

    for rank in range(2):
        (ready,) = ready_steps(steps(), 24, rank, 2, lambda batch: batch)
        assert (ready.n_tokens, ready.next, len(ready.micro_batches)) == (24, step.next, 3)
        for number in range(rank, 3, 2):
            assert torch.equal(ready.batch(number).tokens, step.batch(number).tokens)
        with pytest.raises(KeyError):
            ready.batch(1 - rank)
