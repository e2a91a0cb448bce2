"""A signal saves and ends a run wherever it is, and the run that goes on is the one that never stopped."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.config import Settings, load_recipe
from seq2seq.train import loop, saving
from seq2seq.train.distributed import Ranks
from seq2seq.train.interruption import Interrupted
from seq2seq.train.loop import train
from seq2seq.train.monitor import read_status
from seq2seq.train.validate import TranslationValidator

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]


def events(run: Path, *names: str) -> list[dict[str, float]]:
    """Events with one of some numbers, without times."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in row.items() if "second" not in name}
        for row in rows
        if any(name in row for name in names)
    ]


def assert_same_end(one: Path, two: Path) -> None:
    names = [f"checkpoints/step-00000020/{name}.safetensors" for name in ("model", "optimizer")]
    for name in (*names, "best/model.safetensors"):
        expected, found = load_file(one / name), load_file(two / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    for name in ("train/loss", "valid/bleu", "average/bleu"):
        assert events(one, name) == events(two, name)


@pytest.fixture
def runs(recipe_file: Write, corpus: Path) -> tuple[Settings, Settings]:
    """The settings of a run that has ended undisturbed, and of the same one elsewhere."""
    path = recipe_file()
    whole, broken = (load_recipe(path, [f"output={corpus / name}"]).settings for name in ("whole", "broken"))
    train(whole, CPU)
    return whole, broken


def assert_goes_on(whole: Settings, broken: Settings, step: int) -> None:
    """Checks that a run has been stopped at a step, and that it ends as the other one."""
    status = read_status(Path(broken.output))
    assert (status["state"], status["step"]) == ("interrupted", step)
    train(broken, CPU)
    assert read_status(Path(broken.output))["state"] == "finished"
    assert_same_end(Path(whole.output), Path(broken.output))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_in_a_validation(
    runs: tuple[Settings, Settings], monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    whole, broken = runs
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=signum.name):
        done = []

        def translate(self: TranslationValidator) -> Any:
            signal.raise_signal(signum)
            done.append(True)

        patch.setattr(TranslationValidator, "translate", translate)
        train(broken, CPU)
    assert not done
    assert not events(Path(broken.output), "valid/bleu")
    assert_goes_on(whole, broken, 10)


def test_in_a_validation_that_comes_again_and_is_killed(
    runs: tuple[Settings, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time the validation is done, but no checkpoint knows of it: the third start does it again, once."""
    whole, broken = runs
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(TranslationValidator, "translate", lambda _: signal.raise_signal(signal.SIGTERM))
        train(broken, CPU)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(saving, "write_checkpoint", stop)
        train(broken, CPU)
    assert len(events(Path(broken.output), "valid/bleu")) == 1
    train(broken, CPU)
    assert_same_end(Path(whole.output), Path(broken.output))


def test_while_text_is_waited_for(runs: tuple[Settings, Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = runs
    real = loop.ready_steps

    def stuck(steps: Iterator[Any], *arguments: Any) -> Any:
        def some() -> Iterator[Any]:
            for number, step in enumerate(steps):
                if number == 7:
                    time.sleep(120)
                yield step

        return real(some(), *arguments)  # type: ignore[arg-type]

    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        signal.setitimer(signal.ITIMER_REAL, 2.0)
        started = time.monotonic()
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(loop, "ready_steps", stuck)
            train(broken, CPU)
        assert time.monotonic() - started < 15
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert_goes_on(whole, broken, 7)


@pytest.mark.parametrize("times", [1, 3])
def test_in_a_save(runs: tuple[Settings, Settings], monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Also when the signal is sent again, as by torchrun to workers that had it from elsewhere."""
    whole, broken = runs
    real, saves = saving.write_checkpoint, []

    def write(*arguments: Any) -> None:
        if not saves:
            for _ in range(times):
                signal.raise_signal(signal.SIGTERM)
        saves.append(arguments)
        real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(saving, "write_checkpoint", write)
        train(broken, CPU)
    assert len(saves) == 1  # which was not cut off, and not done twice
    assert_goes_on(whole, broken, 10)


def test_before_training_begins(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_recipe(recipe_file()).settings
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(loop, "open_task", lambda *_: signal.raise_signal(signal.SIGTERM))
        train(settings, CPU)
    assert read_status(corpus / "run")["state"] == "interrupted"
    assert not (corpus / "run/checkpoints").exists()
    assert signal.getsignal(signal.SIGTERM) == before
