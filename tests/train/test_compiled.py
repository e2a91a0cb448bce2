"""The loss compiled by torch: the same numbers, the same names, and a refusal where nothing can be compiled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import text_recipe
from safetensors.torch import load_file

from seq2seq.config import Settings, load_recipe, settings_from_dict
from seq2seq.data.pools import Position
from seq2seq.errors import Seq2SeqError
from seq2seq.train.compiled import compiled
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import Trainer

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) is installed")


@pytest.mark.parametrize("kind", ["pairs", "text"])
def test_what_is_written_for_a_compiler_gives_the_same(
    kind: str, recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ways taken only while compiling, which here are taken uncompiled."""
    if kind == "pairs":
        settings: Settings = load_recipe(recipe_file(model={"dropout": 0.0})).settings
    else:
        settings = settings_from_dict(text_recipe(corpus, model={"dropout": 0.0, "positions": "rotary"}))
    trainer = Trainer(settings, CPU, None)
    step = next(trainer.data.steps(Position()))
    expected = float(trainer.updater._differentiate(step, 1))
    gradients = [p.grad for p in trainer.updater.trained]
    trainer.updater.optimizer.zero_grad()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert float(trainer.updater._differentiate(step, 1)) == pytest.approx(expected, rel=1e-6)
    for found, gradient in zip((p.grad for p in trainer.updater.trained), gradients, strict=True):
        torch.testing.assert_close(found, gradient, atol=1e-4, rtol=1e-4)


@needs_compiler
@pytest.mark.slow
def test_compiled_equals_eager(recipe_file: Write, corpus: Path) -> None:
    path, trainers = recipe_file(model={"dropout": 0.0}), []
    for compile in ("false", "true"):
        settings = load_recipe(path, [f"train.compile={compile}", f"output={corpus / compile}"]).settings
        trainers.append(Trainer(settings, CPU, None))
    steps = trainers[0].data.steps(Position())
    for number in (1, 2):
        step = next(steps)
        assert len({step.batch(i).tgt_in.shape for i in range(len(step.micro_batches))}) > 1  # type: ignore[union-attr]
        losses = [trainer.updater._differentiate(step, number) for trainer in trainers]
        torch.testing.assert_close(losses[1], losses[0])
        gradients = [[p.grad for p in trainer.updater.trained] for trainer in trainers]
        norm = torch.nn.utils.get_total_norm(gradients[0])
        difference = torch.nn.utils.get_total_norm([a - b for a, b in zip(*gradients, strict=True)])
        assert 0 <= difference / norm < 1e-5
    for trainer in trainers:
        trainer.updater.take(step, 3)
        trainer.progress.step = 3
        trainer._save(must=True)
    saved = [load_file(corpus / name / "checkpoints/step-00000003/model.safetensors") for name in ("false", "true")]
    assert saved[0].keys() == saved[1].keys()


@needs_compiler
@pytest.mark.slow
def test_compiled_dropout_follows_the_step(corpus: Path) -> None:
    model = {"dropout": 0.2, "attention_dropout": 0.2}
    settings = settings_from_dict(text_recipe(corpus, model=model, train={"compile": True, "precision": "bf16"}))
    trainer = Trainer(settings, CPU, None)
    step = next(trainer.data.steps(Position()))
    first, again, other = (float(trainer.updater._differentiate(step, number)) for number in (1, 1, 2))
    assert first == again != other
    trainer.model.eval()
    with torch.no_grad():
        plain = sum(float(trainer.task.loss(step.batch(i))) for i in range(len(step.micro_batches)))
    assert first == pytest.approx(plain, rel=0.05)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            "cpu",
            r"train.compile: cannot compile for cpu: no compiler\nInstall a C\+\+ compiler \(g\+\+, .* CXX .*leave",
        ),
        ("cuda", r"train.compile: cannot compile for cuda: .*\nInstall triton, .*, or leave train.compile out"),
    ],
)
def test_missing_compiler_is_named(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: object, **__: object) -> object:
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(Seq2SeqError, match=message) as error:
        compiled(lambda batch: torch.ones(()), torch.device(device))
    assert error.value.exit_code == 2


@pytest.mark.slow
def test_command_says_what_is_missing(recipe_file: Write) -> None:
    command = [sys.executable, "-m", "seq2seq.cli.train", str(recipe_file()), "train.compile=true", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CXX": "no-such-compiler"})
    assert done.returncode == 2
    assert "error: train.compile: cannot compile for cpu: " in done.stderr and "no-such-compiler" in done.stderr
