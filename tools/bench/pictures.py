"""Speeds as bars: what the pictures of all commands have in common."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OURS, OTHERS = "#1f6fb4", "#b8bec6"  # colours


@contextmanager
def drawing(result: Mapping[str, Any], path: Path, rows: Sequence[int]) -> Iterator[Sequence[Any]]:
    """Yields axes one below the other and writes them, when the block ends, as a PNG as wide as a README.

    Args:
        result: of a command: `settings` and `machine` are told at the bottom.
        path: of the picture.
        rows: bars that each of the axes will have.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    height = sum(0.9 + 0.42 * n for n in rows) + 0.4
    figure, axes = pyplot.subplots(
        len(rows), figsize=(8, height), height_ratios=[n + 1 for n in rows], squeeze=False, layout="constrained"
    )
    yield list(axes[:, 0])
    settings, machine = result["settings"], result["machine"]
    place = machine["gpu"] or f"{machine['threads']} threads on {machine['cpu']}"
    told = [f"{name} {version}" for name, version in machine["versions"].items() if name not in ("seq2seq", "numpy")]
    words = f"{place}; {', '.join(told)}; medians of {settings['rounds']} rounds"
    axes[-1, 0].set_xlabel(words, fontsize=9, color="#555555")
    figure.savefig(path, dpi=200)
    pyplot.close(figure)


def bars(axes: Any, speeds: Mapping[str, Mapping[str, float]], widest: float) -> None:
    """Draws a bar for each system, with the ends of its rounds.

    Args:
        axes: of matplotlib.
        speeds: median, min and max by the name of the system.
        widest: the largest number that the axis shows.
    """
    for row, (name, speed) in enumerate(speeds.items()):
        value, ours = speed["median"], name.startswith("ours-")
        ends = [[value - speed["min"]], [speed["max"] - value]]
        axes.barh(row, value, 0.72, color=OURS if ours else OTHERS, xerr=ends, ecolor="#555555")
        weight = "bold" if ours else "normal"
        axes.text(speed["max"] + 0.01 * widest, row, f"{value:,.0f}", va="center", fontsize=11, fontweight=weight)
    axes.set_yticks(range(len(speeds)), [display_name(name) for name in speeds], fontsize=11)
    axes.set_ylim(len(speeds) - 0.2, -0.7)
    axes.set_xlim(0, 1.12 * widest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def display_name(name: str) -> str:
    """Returns the name of a system for readers who do not know it."""
    family, _, precision = name.rpartition("-")
    called = {
        "ours": "seq2seq",
        "torch": "torch.nn.Transformer",
        "transformers-eager": "transformers, eager",
        "ctranslate2": "CTranslate2",
    }
    return f"{called.get(family, family)}  {precision}"
