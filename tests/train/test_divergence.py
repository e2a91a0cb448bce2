"""Steps that are not finite or do not fit into memory: nothing is lost, and the user learns where it began."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import text_recipe
from safetensors.torch import load_file
from torch import Tensor

from seq2seq.config import Settings, load_recipe
from seq2seq.data.batch import AnyBatch, Batch
from seq2seq.data.pools import Position
from seq2seq.errors import DivergedError, TooLargeError
from seq2seq.train.checkpoint import newest_checkpoint
from seq2seq.train.distributed import Ranks
from seq2seq.train.divergence import batch_rows, find_culprit
from seq2seq.train.loop import Trainer, train
from seq2seq.train.monitor import read_status
from seq2seq.train.update import Updater

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]


def load(path: Path, *overrides: str) -> Settings:
    return load_recipe(path, overrides).settings


def spoil(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Makes one number of a gradient in some steps not a number."""
    real = Updater.backward

    def backward(self: Updater, step: Any, i: int, number: int) -> Tensor:
        loss = real(self, step, i, number)
        if number in steps and i == 1:
            weight = dict(self.model.named_parameters())["encoder.0.feed_forward.inner.weight"]
            assert weight.grad is not None
            weight.grad[0, 0] = float("nan")
        return loss

    monkeypatch.setattr(Updater, "backward", backward)


def test_a_bad_step_changes_nothing(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(load(recipe_file(train={"ema_decay": 0.9})), CPU, None)
    steps = trainer.data.steps(Position())
    assert trainer.updater.take(next(steps), 1).is_finite
    spoil(monkeypatch, 2)

    def state() -> list[Tensor]:
        tensors = [x.clone() for of in trainer.updater.tensors().values() for x in of.values()]
        return [*(p.detach().clone() for p in trainer.model.parameters()), *tensors]

    before = state()
    step = next(steps)
    assert not trainer.updater.take(step, 2).is_finite
    assert all(torch.equal(old, new) for old, new in zip(before, state(), strict=True))
    assert trainer.updater.take(step, 3).is_finite
    assert not all(torch.equal(old, new) for old, new in zip(before, state(), strict=True))


def test_bad_steps_are_counted_and_survived(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, 5, 6, 8, 10)
    train(load(recipe_file()), CPU)
    log = (corpus / "run/train.log").read_text()
    assert log.count("changes nothing") == 4
    assert "rank 0: step 6 changes nothing" in log
    assert "first not finite: micro-batch 1, gradient of encoder.0.feed_forward.inner.weight" in log
    events = [json.loads(line) for line in (corpus / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["train/skipped_steps"] for row in events if "train/skipped_steps" in row][-1] == 4
    assert read_status(corpus / "run")["state"] == "finished"
    # Where the last step was bad, weights may be the reason: they are not saved, but at the end.
    assert [p.name for p in sorted((corpus / "run/checkpoints").glob("step-*"))] == ["step-00000020"]


def test_too_many_in_a_row_end_the_run(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(recipe_file(), "train.checkpoint_every=5")
    spoil(monkeypatch, 9, 10, 11)
    with pytest.raises(DivergedError, match="step 11: 3 steps in a row") as error:
        train(settings, CPU)
    assert error.value.exit_code == 5
    checkpoint = newest_checkpoint(corpus / "run")
    assert checkpoint and checkpoint.progress.step == 5
    status = read_status(corpus / "run")
    assert (status["state"], status["step"], status["exit_code"]) == ("failed", 11, 5)
    (path,) = (corpus / "run").glob("bad-step-*.json")
    content = json.loads(path.read_text())
    assert (content["step"], content["rank"]) == (11, 0)
    assert content["where"] == "gradient of encoder.0.feed_forward.inner.weight"
    assert {row["micro_batch"] for row in content["rows"]} == {1}
    trainer = Trainer(settings, CPU, None)
    steps = trainer.data.steps(Position())
    batch = [next(steps) for _ in range(11)][-1].batch(1)
    assert isinstance(batch, Batch)
    for row, src, tgt in zip(content["rows"], batch.src.tolist(), batch.tgt_out.tolist(), strict=True):
        assert row["source"]["ids"] == [i for i in src if i]
        assert row["target"]["ids"] == [i for i in tgt if i]
        assert len(row["target"]["pieces"]) == len(row["target"]["ids"])
        assert "".join(row["target"]["pieces"][:-1]).isupper()


def test_what_cannot_be_seen_again_is_written_all_the_same(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Updater.take

    def take(self: Updater, step: Any, number: int) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Updater, "add_gradient", lambda self, batch: torch.tensor(float("nan")))
            return real(self, step, number)

    monkeypatch.setattr(Updater, "take", take)
    with pytest.raises(DivergedError):
        train(load(recipe_file(), "train.max_bad_steps=2"), CPU)
    (path,) = (corpus / "run").glob("bad-step-00000002-rank-0.json")
    rows = json.loads(path.read_text())["rows"]
    assert len({row["micro_batch"] for row in rows}) > 1 and rows[0]["source"]["ids"]
    assert str(path) in (corpus / "run/train.log").read_text()


def test_the_first_place_is_found(recipe_file: Write) -> None:
    trainer = Trainer(load(recipe_file()), CPU, None)
    updater, step = trainer.updater, next(trainer.data.steps(Position()))
    assert find_culprit(updater, step, 1) is None
    weight = dict(trainer.model.named_parameters())["decoder.0.feed_forward.inner.weight"]
    kept = weight.detach().clone()
    for value, where in (
        (1e38, "output of decoder.0.feed_forward"),
        (float("inf"), "weight decoder.0.feed_forward.inner"),
    ):
        with torch.no_grad():
            weight.fill_(value)
        found = find_culprit(updater, step, 1)
        assert found and found.where.startswith(where), found
        with torch.no_grad():
            weight.copy_(kept)
    assert all(p.grad is None for p in trainer.model.parameters())
    padded, tokenizer = step.batch(0), trainer.trained.tokenizer
    assert batch_rows(padded.packed(), 0, tokenizer) == batch_rows(padded, 0, tokenizer)  # as on a GPU


def test_a_batch_of_running_text_is_written(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(text_recipe(tmp_path)))
    trainer = Trainer(load(tmp_path / "recipe.yaml"), CPU, None)
    step = next(trainer.data.steps(Position()))
    rows = batch_rows(step.batch(0), 0, trainer.trained.tokenizer)
    blocks = [step.blocks[i] for i in step.micro_batches[0]]
    assert all(np.array_equal(row["text"]["ids"], ids) for row, ids in zip(rows, blocks, strict=True))


def lacking(monkeypatch: pytest.MonkeyPatch, tokens: int, since: int = 1) -> None:
    """Lets batches of more padded tokens find no memory, from some number of calls on."""
    real, calls = Updater.add_gradient, [0]

    def add_gradient(self: Updater, batch: AnyBatch) -> Tensor:
        calls[0] += 1
        assert isinstance(batch, Batch)
        if calls[0] >= since and max(batch.src.numel(), batch.tgt_out.numel()) > tokens:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried")
        return real(self, batch)

    monkeypatch.setattr(Updater, "add_gradient", add_gradient)


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "checkpoints/step-00000020/model.safetensors")


def test_a_step_that_finds_no_memory_is_cut_smaller(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file()
    train(load(path, f"output={corpus / 'small'}", "train.device_tokens=128"), CPU)
    with monkeypatch.context() as patch:
        lacking(patch, 128)
        train(load(path, f"output={corpus / 'halved'}"), CPU)
    assert "too little memory for step 1: 128 device_tokens" in (corpus / "halved/train.log").read_text()
    small, halved = weights(corpus / "small"), weights(corpus / "halved")
    assert all(torch.equal(small[name], halved[name]) for name in small)


def test_what_fits_is_remembered(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe_file()
    for name, stop in (("whole", 20), ("broken", 12)):
        with monkeypatch.context() as patch:
            lacking(patch, 128, since=15)
            train(load(path, f"output={corpus / name}", f"train.max_steps={stop}", "train.average_last=0"), CPU)
    more = load(path, f"output={corpus / 'broken'}", "train.average_last=0")
    train(more, CPU, frozenset({"train.max_steps"}))
    whole, broken = weights(corpus / "whole"), weights(corpus / "broken")
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    overruled = load(path, f"output={corpus / 'broken'}", "train.device_tokens=64", "train.average_last=0")
    trainer = Trainer(overruled, CPU, newest_checkpoint(corpus / "broken"))
    assert trainer.device_tokens == 64


def test_what_never_fits_is_an_error(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, 0)
    with pytest.raises(TooLargeError, match="out of memory; lower") as error:
        train(load(recipe_file()), CPU)
    assert error.value.exit_code == 2
