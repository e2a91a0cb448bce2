"""What comes of measuring training: speeds and shares of the ceiling, a table, a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.pictures import bars, drawing
from bench.plan import Plan
from bench.report import align, map_rounds, ratios, spread

PRECISIONS = ("bf16", "fp32")
CEILING = "#c4432b"  # colour in the picture


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
        "ratios": ratios(systems),
        "ceiling": ceiling,
    }


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


def picture(result: Mapping[str, Any], path: Path) -> None:
    """Draws the speeds as bars, each with the ends of its rounds, and the ceilings as lines; see `pictures.drawing`."""
    settings, summary = result["settings"], result["summary"]
    by_precision = [[n for n in summary["systems"] if n.endswith(f"-{p}")] for p in PRECISIONS]
    names = [name for group in by_precision for name in group]
    tops = [ceiling["tokens_per_second"]["median"] for ceiling in summary["ceiling"].values()]
    speeds = {name: summary["systems"][name]["tokens_per_second"] for name in names}
    widest = max([*tops, *(speed["max"] for speed in speeds.values())])
    with drawing(result, path, [len(names)]) as (axes,):
        bars(axes, speeds, widest)
        for precision, group in zip(PRECISIONS, by_precision, strict=True):
            if group and precision in summary["ceiling"]:
                top = summary["ceiling"][precision]["tokens_per_second"]["median"]
                first, last = names.index(group[0]), names.index(group[-1])
                axes.plot([top, top], [first - 0.5, last + 0.45], color=CEILING, linestyle="--", linewidth=1.5)
                aside = 1 if top < 0.6 * widest else -1  # where there is room for words
                note = f"matrix products alone: {top:,.0f}"
                where = {"ha": "left" if aside > 0 else "right", "va": "center"}
                axes.text(top + aside * 0.01 * widest, last, note, color=CEILING, fontsize=10, **where)
        model = settings["size"] if settings["context"] else f"Transformer {settings['size']}"
        axes.set_title(f"Training, {model}: target tokens per second", fontsize=12, loc="left")
