"""What the reports of all commands have in common: medians and ratios, the machine, tables."""

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import seq2seq

PACKAGES = ("torch", "transformers", "ctranslate2", "numpy")  # whose versions are told


@dataclass(frozen=True)
class Here:
    """One thread of this machine's processor, as a `Where`."""

    device: str = "cpu"
    threads: int | None = 1


class Where(Protocol):
    """Where a plan is carried out."""

    @property
    def device(self) -> str:
        """Name of the device: cpu, cuda, cuda:1 ..."""

    @property
    def threads(self) -> int | None:
        """Threads of the CPU; None: as many as torch takes."""


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns the median and the ends of some values."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def map_rounds(dividends: Sequence[float], divisors: Sequence[float]) -> list[float]:
    """Returns the quotient of each round."""
    return [a / b for a, b in zip(dividends, divisors, strict=True)]


def ratios(seconds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, dict[str, float]]]:
    """Returns for each of ours how many times as fast it is as each other system: median, min and max of the rounds.

    Args:
        seconds: of each round, by the name of the system.
    """
    return {
        name: {other: spread(map_rounds(seconds[other], seconds[name])) for other in seconds if other != name}
        for name in seconds
        if name.startswith("ours-")
    }


def machine_facts(plan: Where) -> dict[str, Any]:
    """Returns what the numbers depend on beside the code."""
    import torch

    versions = {"seq2seq": seq2seq.__version__}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    gpu = torch.cuda.get_device_name(plan.device) if plan.device.startswith("cuda") else None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": plan.threads or torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": gpu,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def cpu_model() -> str:
    """Returns the name of the CPU."""
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1] if found else platform.processor()


def align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Returns rows of cells as lines with straight columns."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines
