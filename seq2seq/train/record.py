"""What it takes to repeat a run: run.json, with an entry for each start."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import seq2seq
from seq2seq.config import AnyDataset, Settings, settings_hash
from seq2seq.files import parse_json, sha256, write_json
from seq2seq.train.distributed import Ranks

PACKAGES = ("seq2seq", "torch", "numpy", "sentencepiece", "safetensors", "datasets", "sacrebleu", "pydantic")
FILES = ("source", "target", "tsv", "jsonl", "text")  # keys of a corpus that name files
RECORD = "run.json"


def add_start(folder: Path, settings: Settings, conditions: dict[str, Any], ranks: Ranks, step: int) -> None:
    """Adds to a run's record from which step it starts, on what, with which code, versions, settings and text.

    With `recipe.yaml` beside it, the same code and the same text, this suffices to repeat the run. Where the code is a
    git checkout with changes of its own, they are written beside it as `code-N.diff`, but for files new to git.
    """
    path = folder / RECORD
    try:
        starts = list(parse_json(path.read_text(encoding="utf-8"))["starts"])
    except (OSError, ValueError, KeyError, TypeError):
        starts = []
    start = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "step": step,
        "command": sys.argv,
        "seed": settings.seed,
        "settings_hash": settings_hash(settings),
        "conditions": conditions,
        "ranks": ranks.world_size,
        "device": device_name(ranks.device),
        "host": platform.node(),
        "platform": platform.platform(),
        "versions": {"python": platform.python_version(), **dict(_versions())},
        "git": git_state(Path(seq2seq.__file__).parent, folder / f"code-{len(starts) + 1}.diff"),
        "data": _data(settings),
    }
    write_json(path, {"starts": [*starts, start]})


def device_name(device: torch.device) -> str:
    """Returns what a device calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            # torch's metadata lack what it was built for.
            yield name, torch.__version__ if name == "torch" else metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def git_state(root: Path, diff: Path) -> dict[str, Any] | None:
    """Returns the commit of a package's code and which files differ from it; None if it is not in git.

    Args:
        root: the package's folder.
        diff: where the differences are written, if there are any.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # the code itself, not a folder that it was installed into
        commit = git("rev-parse", "HEAD").strip()
        changed = [line[3:] for line in git("status", "--porcelain", "--", ".").splitlines()]
        differences = git("diff", "HEAD", "--", ".")
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    if differences:
        diff.write_text(differences, encoding="utf-8")
    return {"commit": commit, "changed": changed}


def _data(settings: Settings) -> list[dict[str, Any]]:
    """Returns size and SHA-256 of each file of text, and of datasets what was asked for."""
    data = settings.data
    found: dict[str, dict[str, Any]] = {}
    for corpus in [*data.train, *data.valid_corpora, *data.test_corpora]:
        if isinstance(corpus, AnyDataset):
            asked = corpus.model_dump(mode="json", include={"dataset", "config", "split", "revision"})
            found[json.dumps(asked)] = asked
            continue
        for name in filter(None, (getattr(corpus, key, None) for key in FILES)):
            path = Path(data.root) / name
            found[str(path)] = {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}
    return list(found.values())
