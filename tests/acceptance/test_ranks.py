"""Several ranks through the command, started by torchrun: they train as one, end together and fail together."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import text_recipe
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
Write = Callable[..., Path]

# What every rank runs: one of them, or all, may find a part of the program changed.
PROGRAM = """\
import os, signal, time
from seq2seq.cli.train import main
from seq2seq.config import load_recipe
from seq2seq.errors import DataError
from seq2seq.train import distributed, loop, saving
from seq2seq.train.update import Updater
from seq2seq.train.validate import TranslationValidator

RANK = int(os.environ["RANK"])
run = main


def fails(error):
    def fail(*arguments, **options):
        raise error
    return fail


def at_step(wanted, act, take=Updater.take):
    def taken(self, step, number):
        if number == wanted:
            act()
        return take(self, step, number)
    Updater.take = taken


{change}
run()
"""


def torchrun(
    folder: Path, *arguments: object, ranks: int = 2, change: str = "", restarts: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs the command on several ranks; one that hangs is a failure."""
    program = folder / "program.py"
    program.write_text(PROGRAM.format(change=change), encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    launcher += ["--max-restarts", str(restarts)]
    return subprocess.run(
        [*launcher, str(program), *map(str, arguments), "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def status(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "status.json").read_text())
    return found


def losses(run: Path) -> list[float]:
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [event["train/loss"] for event in events if "train/loss" in event]


def names(run: Path) -> set[str]:
    """The files of a run; those of TensorBoard are named after time and process."""
    paths = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    return {path.partition(".")[0] if path.startswith("tensorboard/") else path for path in paths}


def assert_same_training(one: Path, two: Path, step: int) -> None:
    """Checks that two runs logged the same losses and ended with the same weights, bit for bit."""
    assert losses(two) == losses(one)
    weights = [load_file(run / f"checkpoints/step-{step:08d}/model.safetensors") for run in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), name


def train_demo(folder: Path, *more: str) -> tuple[Path, Path]:
    """Trains on the demo corpus for 100 steps, on one rank and on two; returns the run folders."""
    places = [f"data.root={ROOT / 'recipes/demo'}", f"data.cache={folder / 'cache'}", "data.test=null"]
    train = ["train.max_steps=100", "train.log_every=1", "train.validate_every=100", "train.checkpoint_every=100"]
    # Several micro-batches a step.
    rest = ["train.device_tokens=1024", "train.average_last=1", "model.dropout=0", "decode.beam_size=1"]
    runs = [folder / "one", folder / "two"]
    for ranks, run in enumerate(runs, 1):
        recipe = [ROOT / "recipes/demo.yaml", *places, *train, *rest, *more, f"output={run}"]
        done = torchrun(folder, *recipe, ranks=ranks)
        assert done.returncode == 0, done.stderr
        assert f"{ranks} rank(s)" in done.stderr
    return runs[0], runs[1]


def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    one, two = train_demo(tmp_path, "model.d_model=32", "model.layers=1", "model.heads=2", "model.d_feedforward=64")
    assert len(losses(one)) == 100
    assert_same_training(one, two, 100)
    assert names(one) == names(two)
    log = (two / "train.log").read_text().splitlines()
    assert len([line for line in log if "  step " in line]) == 100
    assert len({line[20:] for line in log}) == len(log)  # behind the time: nothing is said twice


def test_two_ranks_train_a_language_model_as_one(tmp_path: Path) -> None:
    import yaml

    recipe = text_recipe(tmp_path, train={"log_every": 1, "device_tokens": 32})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    runs = [tmp_path / "one", tmp_path / "two"]
    for ranks, run in enumerate(runs, 1):
        done = torchrun(tmp_path, tmp_path / "recipe.yaml", f"output={run}", ranks=ranks)
        assert done.returncode == 0, done.stderr
    assert_same_training(runs[0], runs[1], 20)
    assert names(runs[0]) == names(runs[1])


@pytest.mark.slow
def test_two_ranks_train_the_whole_demo_as_one(tmp_path: Path) -> None:
    """Exactly, though at this size and rate training amplifies what is rounded differently a hundredfold and more.

    Measured over the 100 steps: one rank that cuts its steps into other micro-batches differs from itself by 1e-3 in
    the loss and 1e-2 in a weight. Two ranks share the micro-batches of one and sum their gradients in float64.
    """
    one, two = train_demo(tmp_path)
    assert len(losses(one)) == 100
    assert_same_training(one, two, 100)


def test_uneven_ends(recipe_file: Write, corpus: Path) -> None:
    """Three ranks with clocks of their own, and fewer pairs than ranks: all leave at the same step, for any reason."""
    fast = ["train.validate_every=1000", "train.checkpoint_every=1000", "train.max_steps=1000", "train.log_every=1000"]
    runs = {
        "max_epochs": ["train.max_epochs=3", "data.train=[{source: train.en, target: train.de, weight: 0.005}]"],
        "max_minutes": ["train.max_minutes=0.01"],
        "patience": ["train.patience=2", "train.validate_every=1", "train.learning_rate=1e-9"],
    }
    change = f"""
real = time.monotonic
time.monotonic = lambda: (1 + 5 * RANK) * real()

def run():
    with distributed.join_ranks("cpu") as ranks:
        for name, more in {runs!r}.items():
            settings = load_recipe({str(recipe_file())!r}, [f"output={corpus}/{{name}}", *{fast!r}, *more]).settings
            loop.train(settings, ranks)
"""
    done = torchrun(corpus, ranks=3, change=change)
    assert done.returncode == 0, done.stderr
    for name in runs:
        assert status(corpus / name)["state"] == "finished"
        assert f"(train.{name})" in (corpus / name / "train.log").read_text()
    assert status(corpus / "max_epochs")["step"] == 3
    assert status(corpus / "patience")["step"] == 3


def test_a_signal_to_one_rank_stops_all(recipe_file: Write, corpus: Path) -> None:
    change = "if RANK == 1: at_step(7, lambda: signal.raise_signal(signal.SIGTERM))"
    done = torchrun(corpus, recipe_file(), change=change)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stopped by SIGTERM; state saved") == 1
    assert (status(corpus / "run")["state"], status(corpus / "run")["step"]) == ("interrupted", 7)
    assert (corpus / "run/checkpoints/step-00000007/MANIFEST.json").exists()


def test_a_signal_to_a_rank_that_waits_ends_the_validation_of_another(recipe_file: Write, corpus: Path) -> None:
    later = "at_step(10, lambda: threading.Timer(1, os.kill, (os.getpid(), signal.SIGUSR1)).start())"
    change = f"""
import threading
if RANK == 0: TranslationValidator.translate = lambda self: time.sleep(100)
if RANK == 1: {later}
"""
    started = time.monotonic()
    done = torchrun(corpus, recipe_file(), change=change)
    assert time.monotonic() - started < 60
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stopped by SIGUSR1; state saved") == 1
    assert (status(corpus / "run")["state"], status(corpus / "run")["step"]) == ("interrupted", 10)


@pytest.mark.slow
def test_a_rank_that_hangs_ends_all(recipe_file: Write, corpus: Path) -> None:
    for rank in (0, 1):
        change = f"if RANK == {rank}: at_step(5, lambda: os.kill(os.getpid(), signal.SIGSTOP))"
        started = time.monotonic()
        done = torchrun(corpus, recipe_file(), f"output={corpus / str(rank)}", "--rank-timeout", 5, change=change)
        assert time.monotonic() - started < 5 + 40 + 20  # torchrun waits 30 s for a process that is stopped
        assert done.returncode == 1
        message = f"rank {rank}: no sign of life for 5 s; is it stopped, or its machine gone?"
        assert done.stderr.count(f"error: {message}") == 1
        assert status(corpus / str(rank))["error"] == message


@pytest.mark.slow
def test_a_killed_rank_is_started_again(recipe_file: Write, corpus: Path) -> None:
    """By torchrun, three times; the end is that of a run that nobody has disturbed."""
    path = recipe_file(train={"device_tokens": 64, "checkpoint_every": 5})
    change = """
restart = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
if restart < 3 and RANK == restart % 2: at_step(4 + 5 * restart, lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    for name, more in (("whole", ""), ("killed", change)):
        done = torchrun(corpus, path, f"output={corpus / name}", change=more, restarts=3)
        assert done.returncode == 0, done.stderr
    assert_same_training(corpus / "whole", corpus / "killed", 20)


@pytest.mark.slow
def test_another_number_of_ranks_goes_on(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file(train={"device_tokens": 64, "log_every": 1})
    stopping = {n: f"at_step({n}, lambda: signal.raise_signal(signal.SIGTERM))" for n in (6, 11)}
    assert torchrun(corpus, path, f"output={corpus / 'whole'}", ranks=1).returncode == 0
    for ranks, change in ((2, stopping[6]), (1, stopping[11]), (3, "")):
        done = torchrun(corpus, path, f"output={corpus / 'moved'}", ranks=ranks, change=change)
        assert done.returncode == 0, done.stderr
        assert status(corpus / "moved")["state"] == ("interrupted" if change else "finished")
    for one, other in zip(losses(corpus / "whole"), losses(corpus / "moved"), strict=True):
        assert other == pytest.approx(one, rel=1e-5)


@pytest.mark.slow
def test_a_signal_at_the_end_to_the_rank_that_is_waited_for(recipe_file: Write, corpus: Path) -> None:
    stop = "loop.Trainer._finish = lambda self: signal.raise_signal(signal.SIGTERM)"
    done = torchrun(corpus, recipe_file(), change=f"if RANK == 0: {stop}")
    assert done.returncode == 0, done.stderr
    assert (status(corpus / "run")["state"], status(corpus / "run")["step"]) == ("interrupted", 20)


GONE = "loop.open_task = fails(DataError('train.en: gone'))"
FULL = "saving.write_checkpoint = fails(OSError(28, 'No space left on device', 'step-00000010'))"
FAILURES = {
    "data": (f"if RANK == 1: {GONE}", "rank 1: train.en: gone"),
    "data, on rank 0": (f"if RANK == 0: {GONE}", "rank 0: train.en: gone"),
    "data, on all ranks": (GONE, "rank 0: train.en: gone"),
    "a step": ("if RANK == 1: at_step(5, fails(ValueError('oh')))", "rank 1 failed: ValueError: oh"),
    "a step, far from the others": (
        "at_step(5, fails(DataError('damaged')) if RANK else lambda: time.sleep(200))",
        "rank 1: damaged",
    ),
    "a step, on all ranks": ("at_step(5, fails(DataError('damaged')))", "rank 0: damaged"),
    "validation": (
        "if RANK == 0: TranslationValidator.measure = fails(MemoryError('no'))",
        "rank 0: out of memory; lower train.device_tokens, or --batch-tokens where no model is trained",
    ),
    "a save": (f"if RANK == 0: {FULL}", "rank 0: step-00000010: No space left on device"),
    "killed": (
        "if RANK == 1: at_step(5, lambda: os.kill(os.getpid(), signal.SIGKILL))",
        "rank 1: ended without a message; was it killed, or out of memory?",
    ),
}
QUICK = {"data", "a step", "validation", "a save"}


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[] if what in QUICK else pytest.mark.slow) for what in FAILURES]
)
def test_one_failure_ends_all_with_its_message(recipe_file: Write, corpus: Path, what: str) -> None:
    change, message = FAILURES[what]
    done = torchrun(corpus, recipe_file(), change=change)
    assert done.returncode == 1  # torchrun's own, whatever those of the ranks
    ours = done.stderr.partition("torch/distributed/elastic/")[0]  # behind it, torchrun reports of its own
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [f"error: {message}"]
    assert "gloo" not in done.stderr.lower()
    assert ours.count("Traceback") == ("failed: ValueError" in message)
    assert f"traceback : {message}" in done.stderr or what == "killed"
    found = status(corpus / "run")
    assert found["state"] == "failed"
    assert found["error"] == message or message.startswith("rank 0")  # which writes what a single process would


def test_a_faulty_recipe_is_reported_once(recipe_file: Write, corpus: Path) -> None:
    done = torchrun(corpus, recipe_file(), "train.max_step=3")
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: rank 0: command line: train.max_step=3: unknown key; did you mean train.max_steps?"
    ]
    assert not (corpus / "run").exists()
