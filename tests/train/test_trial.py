"""How much fits on a GPU: the search with a stand-in for its memory, the trial itself on the CPU."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Stop, crash_at, text_recipe
from torch import Tensor

from seq2seq.config import load_recipe, settings_from_dict
from seq2seq.data.batch import AnyBatch, Batch, TokenBatch
from seq2seq.errors import Seq2SeqError
from seq2seq.model.device import AUTO_DEVICE_TOKENS
from seq2seq.train import loop, trial
from seq2seq.train.checkpoint import Progress
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import Trainer, train
from seq2seq.train.trial import FINENESS, SPARE, largest_that_fits, run_batches, settle_device_tokens, tokens_that_fit

CPU, CUDA = Ranks(torch.device("cpu")), Ranks(torch.device("cuda"))
Write = Callable[..., Path]


def memory_for(most: int, tried: list[int]) -> Callable[[int], None]:
    def probe(tokens: int) -> None:
        tried.append(tokens)
        if tokens > most:
            raise torch.OutOfMemoryError

    return probe


@pytest.mark.parametrize("first", [1, 1000, 10**6])
@pytest.mark.parametrize("most", [1, 2, 17, 999, 1000, 1001, 54_321, 99_999])
def test_search_finds_what_fits(first: int, most: int) -> None:
    tried: list[int] = []
    found = largest_that_fits(memory_for(most, tried), first, limit=100_000)
    assert most - max(1, most // FINENESS) <= found <= most
    assert found in tried and max(tried) <= 100_000
    assert len(tried) == len(set(tried)) <= 25


def test_search_ends_at_what_can_be_used() -> None:
    for most in (10**9, 17_000):
        tried: list[int] = []
        assert largest_that_fits(memory_for(most, tried), first=16_384, limit=17_000) == 17_000
        assert tried == [16_384, 17_000]
    assert largest_that_fits(memory_for(0, []), first=16_384, limit=17_000) == 0


def trainer_of(kind: str, recipe_file: Write, folder: Path) -> Trainer:
    train = {"device_tokens": "auto", "batch_tokens": 3000}
    if kind == "text":
        return Trainer(settings_from_dict(text_recipe(folder, train=train)), CPU, None)
    return Trainer(
        load_recipe(recipe_file(train={**train, "r_drop": 1.0 if kind == "r_drop" else 0.0})).settings, CPU, None
    )


@pytest.mark.parametrize("kind", ["pairs", "r_drop", "text"])
def test_trial_leaves_nothing_behind(kind: str, recipe_file: Write, corpus: Path) -> None:
    trainer = trainer_of(kind, recipe_file, corpus)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    seen: list[float] = []
    real = trainer.updater.loss
    trainer.updater.loss = lambda batch: seen.append(1.0) or real(batch)  # type: ignore[func-returns-value]
    random = torch.get_rng_state()
    run_batches(trainer.updater, trainer.task.trial_batches(200))
    assert len(seen) == (1 if kind == "text" else 2)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in trainer.model.parameters())
    assert all(torch.equal(before[name], p) for name, p in trainer.model.named_parameters())
    assert not trainer.updater.optimizer.state


def test_trial_is_as_large_as_training_may_be(recipe_file: Write, corpus: Path) -> None:
    pairs = trainer_of("pairs", recipe_file, corpus)
    (store,) = pairs.task.prepared.stores  # type: ignore[attr-defined]
    longest = int(max(store.source_lengths.max(), store.target_lengths.max()))
    long, short = pairs.task.trial_batches(1000)
    assert isinstance(long, Batch) and isinstance(short, Batch)
    assert long.src.shape == long.tgt_in.shape == (1000 // longest, longest)
    assert short.src.shape == short.tgt_out.shape == (1000 // 16, 16) and longest > 16
    assert [len(batch.src) for batch in pairs.task.trial_batches(1)] == [1, 1]  # a longer pair comes alone
    twice = trainer_of("r_drop", recipe_file, corpus).task.trial_batches(1000)[0]
    assert isinstance(twice, Batch) and len(twice.src) == 500 // longest
    (windows,) = trainer_of("text", recipe_file, corpus).task.trial_batches(1000)
    assert isinstance(windows, TokenBatch) and windows.tokens.shape == (1000 // 16, 16)
    assert windows.n_tokens == windows.tokens.numel()


def short_of_memory(trainer: Trainer, most: int) -> None:
    """Lets a trainer find memory for so many padded tokens."""
    real = trainer.updater.loss

    def loss(batch: AnyBatch) -> Tensor:
        assert isinstance(batch, TokenBatch)
        if batch.tokens.numel() > most:
            raise torch.OutOfMemoryError
        return real(batch)

    trainer.updater.loss = loss


def test_trial_finds_what_fits(recipe_file: Write, corpus: Path) -> None:
    trainer = trainer_of("text", recipe_file, corpus)
    short_of_memory(trainer, 2000)
    assert 0.9 * 2000 <= SPARE * tokens_that_fit(trainer.task, trainer.updater) <= 2000 + 16
    short_of_memory(trainer, 15)
    with pytest.raises(
        Seq2SeqError, match="not even one of the longest examples fits on cpu; make them shorter"
    ) as error:
        tokens_that_fit(trainer.task, trainer.updater)
    assert error.value.exit_code == 2


class Smaller(Ranks):
    """One of two ranks, of which the other holds 900 tokens."""

    def largest(self, flag: int) -> int:
        return max(flag, -900)


def test_number_is_tried_once_and_is_the_smallest_of_all_ranks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = iter([1000, 1000, 800])
    monkeypatch.setattr(trial, "tokens_that_fit", lambda *_: next(found))

    def settle(ranks: Ranks, asked: int | str, progress: Progress) -> int:
        updater: Any = SimpleNamespace(
            ranks=ranks, settings=SimpleNamespace(train=SimpleNamespace(device_tokens=asked))
        )
        return settle_device_tokens(None, updater, progress)  # type: ignore[arg-type]

    progress, device = Progress(), torch.device("cuda")
    assert settle(CPU, "auto", progress) == AUTO_DEVICE_TOKENS["cpu"]
    assert settle(CUDA, 123, progress) == 123
    assert progress.device_tokens is None
    with caplog.at_level("INFO"):
        assert [settle(CUDA, "auto", progress) for _ in range(2)] == [1000, 1000]
    assert caplog.messages == ["device_tokens: 1,000 found by trial"]
    assert progress.device_tokens == 1000
    assert [settle(Smaller(device), "auto", Progress()) for _ in range(2)] == [900, 800]


def test_resumed_run_takes_the_number_that_was_found(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_recipe(recipe_file(train={"device_tokens": "auto"})).settings

    def settle(task: object, updater: object, progress: Progress) -> int:
        progress.device_tokens = 77
        return 77

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(loop, "settle_device_tokens", settle)
        crash_at(patch, 13)
        train(settings, CPU)
    assert Trainer(settings, CPU, None).device_tokens == AUTO_DEVICE_TOKENS["cpu"]
    checkpoint = loop.newest_checkpoint(corpus / "run")
    assert checkpoint is not None
    resumed = Trainer(settings, CPU, checkpoint)
    assert resumed.device_tokens == resumed.data.device_tokens == 77  # type: ignore[attr-defined]
