"""What comes of a benchmark: medians and ratios, a table, a picture."""

import importlib
import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import seq2seq
from bench.plan import Plan

PRECISIONS = ("bf16", "fp32")
OURS, OTHERS, CEILING = "#1f6fb4", "#b8bec6", "#c4432b"  # colours of the picture


def summarize(seconds: Mapping[str, Sequence[float]], tokens: int) -> dict[str, Any]:
    """Returns speeds, ratios and shares of the ceiling.

    Args:
        seconds: of each round, by the name of the system; those of a ceiling are called `ceiling-fp32`, `ceiling-bf16`.
        tokens: target tokens of a round.

    Returns:
        `systems`: for each its `seconds` and `tokens_per_second`; `ratios`: for each of ours how many times as fast it
        is as each other; `ceiling`: for each precision `tokens_per_second`, and the `share` that each system reaches.
        Each as median, min and max of what the single rounds say.
    """
    systems = {name: list(times) for name, times in seconds.items() if not name.startswith("ceiling-")}
    ours = [name for name in systems if name.startswith("ours-")]
    ceiling = {}
    for precision in PRECISIONS:
        if times := seconds.get(f"ceiling-{precision}"):
            rivals = {name: taken for name, taken in systems.items() if name.endswith(f"-{precision}")}
            share = {name: spread(map_rounds(times, taken)) for name, taken in rivals.items()}
            ceiling[precision] = {"tokens_per_second": spread([tokens / t for t in times]), "share": share}
    return {
        "systems": {
            name: {"seconds": times, "tokens_per_second": spread([tokens / t for t in times])}
            for name, times in systems.items()
        },
        "ratios": {
            name: {other: spread(map_rounds(systems[other], systems[name])) for other in systems if other != name}
            for name in ours
        },
        "ceiling": ceiling,
    }


def map_rounds(dividends: Sequence[float], divisors: Sequence[float]) -> list[float]:
    """Returns the quotient of each round."""
    return [a / b for a, b in zip(dividends, divisors, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns the median and the ends of some values."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def add_facts(summary: dict[str, Any], facts: Mapping[str, Mapping[str, Any]], tokens: int) -> None:
    """Adds to a summary what the systems say of themselves, and rates in operations per second.

    `flops_per_second` counts operations that real tokens need; `utilisation` is their rate in relation to that of a
    large product in the same precision (model FLOPs utilisation).
    """
    for name, values in facts.items():
        family, _, precision = name.rpartition("-")
        if family != "ceiling":
            summary["systems"][name] |= values
            continue
        ceiling = summary["ceiling"][precision]
        ceiling |= {**values, "flops_per_token": values["flops"] / tokens}
        for other, system in summary["systems"].items():
            if other.endswith(f"-{precision}"):
                rate = system["tokens_per_second"]["median"] * ceiling["flops_per_token"]
                system["flops_per_second"] = rate
                system["utilisation"] = rate / values["large_product"]["flops_per_second"]


def machine_facts(plan: Plan) -> dict[str, Any]:
    """Returns what the numbers depend on beside the code."""
    import torch

    versions = {"seq2seq": seq2seq.__version__}
    for package in ("torch", "transformers", "numpy"):
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


def plan_facts(plan: Plan, size: str) -> dict[str, Any]:
    """Returns what was measured."""
    return {
        "size": size,
        **asdict(plan.sizes),
        "device": plan.device,
        "device_tokens": plan.device_tokens,
        "batches": plan.n_batches,
    }


def table(result: Mapping[str, Any]) -> str:
    """Returns the result of a benchmark as text."""
    settings, machine, summary = result["settings"], result["machine"], result["summary"]
    on_gpu = machine["gpu"] is not None
    lines = [
        f"training, {settings['size']}: {settings['batches']} batches of at most {settings['device_tokens']:,} padded "
        f"tokens, {settings['target_tokens']:,} real target tokens, {settings['rounds']} rounds",
        f"{machine['gpu'] or machine['cpu']}, {machine['threads']} threads, "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "",
    ]
    ours = list(summary["ratios"])
    head = ["", "tokens/s", "min", "max", "TFLOP/s", "of ceiling", *[f"{name} is x times" for name in ours]]
    rows = [[*head, "peak memory", *["on the GPU", "MFU"] * on_gpu]]
    for name, system in summary["systems"].items():
        speed = system["tokens_per_second"]
        share = summary["ceiling"].get(name.rpartition("-")[2], {}).get("share", {}).get(name)
        cells = [f"{speed[key]:,.0f}" for key in ("median", "min", "max")]
        cells += [f"{system['flops_per_second'] / 1e12:.3f}" if "flops_per_second" in system else ""]
        cells += [f"{share['median']:.1%}" if share else ""]
        cells += [f"{summary['ratios'][one][name]['median']:.2f}" if name != one else "" for one in ours]
        cells += [f"{system['peak_resident_bytes'] / 2**20:,.0f} MiB"]
        if on_gpu:
            utilisation = f"{system['utilisation']:.1%}" if "utilisation" in system else ""
            cells += [f"{system['peak_device_bytes'] / 2**20:,.0f} MiB", utilisation]
        rows.append([name, *cells])
    for precision, ceiling in summary["ceiling"].items():
        speed, per_token = ceiling["tokens_per_second"], ceiling["flops_per_token"]
        cells = [f"{speed[key]:,.0f}" for key in ("median", "min", "max")]
        rows.append([f"ceiling, {precision}", *cells, f"{speed['median'] * per_token / 1e12:.3f}"])
    lines += align(rows)
    for precision, ceiling in summary["ceiling"].items():
        large = ceiling["large_product"]
        lines.append(
            f"{precision}: {ceiling['flops_per_token'] / 1e6:,.0f} MFLOP per target token; a product of "
            f"{large['rows']:,} rows and columns runs at {large['flops_per_second'] / 1e12:.3f} TFLOP/s"
        )
    return "\n".join(lines)


def profile_table(name: str, found: Mapping[str, Any]) -> str:
    """Returns a profile as text."""
    rows = []
    for group, values in found["groups"].items():
        longest = ", ".join(f"{operator} {share:.1%}" for operator, share in values["operators"].items())
        rows.append([group, f"{values['share']:.1%}", longest])
    head = f"where the time of {name} goes: {found['steps']} steps of {found['seconds'] * 1000:,.0f} ms"
    return "\n".join([head, "", *align(rows, left=(0, 2))])


def align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Returns rows of cells as lines with straight columns."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def picture(result: Mapping[str, Any], path: Path) -> None:
    """Draws the speeds as bars, each with the ends of its rounds, and the ceilings as lines.

    The file is a PNG, readable at the width of a README.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    settings, machine, summary = result["settings"], result["machine"], result["summary"]
    by_precision = [[n for n in summary["systems"] if n.endswith(f"-{p}")] for p in PRECISIONS]
    names = [name for group in by_precision for name in group]
    figure, axes = pyplot.subplots(figsize=(8, 1.3 + 0.42 * len(names)), layout="constrained")
    tops = [ceiling["tokens_per_second"]["median"] for ceiling in summary["ceiling"].values()]
    speeds = [summary["systems"][name]["tokens_per_second"] for name in names]
    widest = max([*tops, *(speed["max"] for speed in speeds)])
    for row, (name, speed) in enumerate(zip(names, speeds, strict=True)):
        value, colour = speed["median"], OURS if name.startswith("ours-") else OTHERS
        ends = [[value - speed["min"]], [speed["max"] - value]]
        axes.barh(row, value, 0.72, color=colour, xerr=ends, ecolor="#555555")
        weight = "bold" if name.startswith("ours-") else "normal"
        axes.text(speed["max"] + 0.01 * widest, row, f"{value:,.0f}", va="center", fontsize=11, fontweight=weight)
    for precision, group in zip(PRECISIONS, by_precision, strict=True):
        if group and precision in summary["ceiling"]:
            top = summary["ceiling"][precision]["tokens_per_second"]["median"]
            first, last = names.index(group[0]), names.index(group[-1])
            axes.plot([top, top], [first - 0.5, last + 0.45], color=CEILING, linestyle="--", linewidth=1.5)
            aside = 1 if top < 0.6 * widest else -1  # where there is room for words
            note = f"matrix products alone: {top:,.0f}"
            where = {"ha": "left" if aside > 0 else "right", "va": "center"}
            axes.text(top + aside * 0.01 * widest, last, note, color=CEILING, fontsize=10, **where)
    axes.set_yticks(range(len(names)), [display_name(name) for name in names], fontsize=11)
    axes.set_ylim(len(names) - 0.2, -0.7)
    axes.set_xlim(0, 1.12 * widest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    model = settings["size"] if settings["context"] else f"Transformer {settings['size']}"
    axes.set_title(f"Training, {model}: target tokens per second", fontsize=12, loc="left")
    place = machine["gpu"] or f"{machine['threads']} threads on {machine['cpu']}"
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("torch", "transformers"))
    axes.set_xlabel(f"{place}; {versions}; medians of {settings['rounds']} rounds", fontsize=9, color="#555555")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=200)
    pyplot.close(figure)


def display_name(name: str) -> str:
    """Returns the name of a system for readers who do not know it."""
    family, _, precision = name.rpartition("-")
    called = {"ours": "seq2seq", "torch": "torch.nn.Transformer", "transformers-eager": "transformers, eager"}
    return f"{called.get(family, family)}  {precision}"
