"""Ranks share an epoch out among them: every example is trained on once, by one of them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import make_pairs
from torch import Tensor, nn

from seq2seq.config import load_recipe
from seq2seq.data.batch import Batch
from seq2seq.data.pools import Position
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.distributed import Ranks, join_ranks
from seq2seq.train.loop import Trainer

Write = Callable[..., Path]


class Unheard(Ranks):
    """One of several ranks, without the others."""

    def _reduce(self, tensor: Tensor, operation: object) -> None:
        pass


def lines(ids: Tensor, tokenizer: Tokenizer) -> list[str]:
    return tokenizer.decode_target([[i for i in row if i > EOS] for row in ids.tolist()])  # both sides share one


def trained_on(trainer: Trainer, epoch: int) -> list[tuple[str, str]]:
    """The pairs that go through the model of a rank in an epoch, as text."""
    found: list[tuple[str, str]] = []
    tokenizer = trainer.task.tokenizer

    def look(model: nn.Module, arguments: tuple[Batch, float, float]) -> None:
        batch = arguments[0]
        found.extend(zip(lines(batch.src, tokenizer), lines(batch.tgt_out, tokenizer), strict=True))

    with trainer.model.register_forward_pre_hook(look):
        for step in trainer.data.steps(Position(epoch=epoch)):
            trainer.updater.take(step, 1)
            if step.next.epoch > epoch:
                return found
    raise AssertionError


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("sample_alpha", [0.0, 0.2])
def test_every_example_once_an_epoch(recipe_file: Write, world_size: int, sample_alpha: float) -> None:
    settings = load_recipe(recipe_file(), [f"tokenizer.sample_alpha={sample_alpha}"]).settings
    trainers = [Trainer(settings, Unheard(torch.device("cpu"), rank, world_size), None) for rank in range(world_size)]
    for epoch in range(2):
        shares = [trained_on(trainer, epoch) for trainer in trainers]
        assert Counter(pair for share in shares for pair in share) == Counter(make_pairs(400))
        assert min(map(len, shares)) > 400 / world_size / 2  # and each rank does its part


def test_more_ranks_than_examples(recipe_file: Write) -> None:
    """Ranks without an example contribute zeros: the step is taken all the same."""
    two_pairs = "data.train=[{source: train.en, target: train.de, weight: 0.005}]"
    settings = load_recipe(recipe_file(), [two_pairs]).settings
    trainers = [Trainer(settings, Unheard(torch.device("cpu"), rank, 3), None) for rank in range(3)]
    shares = [trained_on(trainer, 0) for trainer in trainers]
    assert sorted(map(len, shares)) == [0, 1, 1]


def test_one_process_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with join_ranks("cpu") as ranks, ranks.main_first():
        ranks.wait()
        tensor = torch.ones(2)
        ranks.sum_([tensor])
        assert (ranks.is_main, ranks.largest(7), tensor.tolist()) == (True, 7, [1.0, 1.0])
