"""Two ranks train as one process does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from seq2seq.config import load_recipe
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

Write = Callable[..., Path]


def torchrun(path: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["-m", "seq2seq.cli.train", str(path), f"output={output}", "--threads", "1"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_two_ranks_train_as_one(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file(model={"dropout": 0.0}, train={"max_steps": 10})
    train(load_recipe(path, [f"output={corpus / 'one'}"]).settings, Ranks(torch.device("cpu")))
    done = torchrun(path, corpus / "two")
    assert done.returncode == 0, done.stderr
    weights = [load_file(corpus / name / "checkpoints/step-00000010/model.safetensors") for name in ("one", "two")]
    for name, value in weights[0].items():
        # A key bias has no gradient in exact arithmetic: Adam makes steps of its rounding noise.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(weights[1][name], value, atol=1e-5, rtol=1e-5)
    assert (corpus / "two/train.log").read_text().count("valid at step 10") == 1
