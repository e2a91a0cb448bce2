"""Writing text, by a translation model or a language model: what is timed, and what comes of it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.report import align, ratios, spread


class Answer(NamedTuple):
    """What a system has written to a line: its text, and how many tokens it has computed for it, eos included."""

    text: str
    tokens: int


class Decoding(ABC):
    """A system that is given lines of text, turn by turn, and writes text.

    Args:
        lines: given in a turn; no two are alike.
        batch_size: lines that are worked on at once. With 1 each line is a call of its own, as of somebody who waits
            for it; else all lines are given in one call, which makes its own batches.
    """

    def __init__(self, lines: Sequence[str], batch_size: int) -> None:
        self.batch_size = batch_size
        self.calls = [[line] for line in lines] if batch_size == 1 else [list(lines)]
        self.seconds: list[list[float]] = []  # of each call of each turn
        self.answers: list[Answer] = []  # of the last turn

    @abstractmethod
    def answer(self, lines: Sequence[str]) -> list[Answer]:
        """Returns what is written to each line."""

    def turn(self) -> float:
        """Gives all lines once and returns the seconds that it took, from text to text.

        One batch comes first, which is not timed: it takes the memory that others had meanwhile.
        """
        self.answer(self.calls[0][: self.batch_size])
        self.answers, taken = [], []
        for lines in self.calls:
            started = time.perf_counter()
            self.answers += self.answer(lines)
            taken.append(time.perf_counter() - started)
        self.seconds.append(taken)
        return sum(taken)

    def facts(self) -> dict[str, Any]:
        """Returns texts and tokens of the last turn, and the seconds of each call of all turns but the first."""
        return {
            "texts": [answer.text for answer in self.answers],
            "tokens": [answer.tokens for answer in self.answers],
            "calls": self.seconds[1:],
        }


def batches(rows: Sequence[Sequence[int]], batch_size: int) -> list[list[int]]:
    """Returns the numbers of rows of like length that a peer's user gives to it together, the longest first."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def summarize(seconds: Mapping[str, Sequence[float]], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns speeds, latencies, memory and ratios.

    Args:
        seconds: of each round, by the name of the system.
        facts: what the systems say of themselves.

    Returns:
        `systems`: for each its `tokens` and `lines` of a round, `tokens_per_second` and `lines_per_second`, its peak
        memory, and, where each line was a call of its own, milliseconds in `latency` (of a line) and `token_latency`
        (of a line, divided by its tokens); `ratios`: for each of ours how many times as fast as each other system it
        has done the same lines, whatever the number of tokens.
    """
    systems = {}
    for name, taken in seconds.items():
        values = dict(facts[name])
        tokens, calls = values.pop("tokens"), values.pop("calls")
        n_lines = len(values.pop("texts"))
        systems[name] = {
            "seconds": list(taken),
            "tokens": sum(tokens),
            "lines": n_lines,
            "tokens_per_second": spread([sum(tokens) / t for t in taken]),
            "lines_per_second": spread([n_lines / t for t in taken]),
            **values,
        }
        if len(calls[0]) == n_lines:
            milliseconds = 1000 * np.array(calls)  # [rounds, lines]
            systems[name]["latency"] = _percentiles(milliseconds)
            systems[name]["token_latency"] = _percentiles(milliseconds / np.array(tokens))
    return {"systems": systems, "ratios": ratios(seconds)}


def _percentiles(values: Any) -> dict[str, float]:
    """Returns the medians over the rounds of percentiles of the calls; values: [rounds, calls]."""
    return {f"p{p}": median(np.percentile(values, p, axis=1).tolist()) for p in (50, 95)}


def rows_of(summary: Mapping[str, Any], unit: str, latency: str) -> list[list[str]]:
    """Returns a summary as rows of cells, the head first.

    Args:
        summary: see `summarize`.
        unit: what a line is called: sentences, texts.
        latency: which latency is told: `latency` or `token_latency`.
    """
    systems, compared = summary["systems"], summary["ratios"]
    single = any(latency in system for system in systems.values())
    scored = any("bleu" in system for system in systems.values())
    on_gpu = any("peak_device_bytes" in system for system in systems.values())
    per = "ms/token" if latency == "token_latency" else "ms"
    head = ["", "tokens/s", "min", "max", f"{unit}/s", *[f"{per}, p50", f"{per}, p95"] * single, *["BLEU"] * scored]
    rows = [[*head, *[f"{name} is x times" for name in compared], "peak memory", *["on the GPU"] * on_gpu]]
    for name, system in systems.items():
        cells = [f"{system['tokens_per_second'][key]:,.0f}" for key in ("median", "min", "max")]
        cells += [f"{system['lines_per_second']['median']:,.2f}"]
        cells += [f"{value:,.2f}" for value in system.get(latency, {}).values()]
        cells += [f"{system['bleu']:.2f}"] if scored else []
        cells += [f"{compared[one][name]['median']:.2f}" if name != one else "" for one in compared]
        cells += [f"{system['peak_resident_bytes'] / 2**20:,.0f} MiB"]
        if on_gpu:
            cells += [f"{system['peak_device_bytes'] / 2**20:,.0f} MiB" if "peak_device_bytes" in system else ""]
        rows.append([name, *cells])
    return rows


def table(result: Mapping[str, Any], about: str, unit: str, latency: str) -> str:
    """Returns the result of a command as text.

    Args:
        result: of the command: `tables` holds a summary for each combination of settings, and what to call it.
        about: what was done.
        unit: see `rows_of`.
        latency: see `rows_of`.
    """
    machine = result["machine"]
    place = f"{machine['gpu'] or machine['cpu']}, {machine['threads']} threads"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{about}, {result['settings']['rounds']} rounds", f"{place}, {versions}"]
    for found in result["tables"]:
        lines += ["", found["name"], *align(rows_of(found["summary"], unit, latency))]
    return "\n".join(lines)


def picture(result: Mapping[str, Any], path: Path) -> None:
    """Draws the speeds of each combination of settings; see `pictures.drawing`."""
    from bench.pictures import bars, drawing

    tables = result["tables"]
    with drawing(result, path, [len(found["summary"]["systems"]) for found in tables]) as every:
        for axes, found in zip(every, tables, strict=True):
            speeds = {name: system["tokens_per_second"] for name, system in found["summary"]["systems"].items()}
            bars(axes, speeds, max(speed["max"] for speed in speeds.values()))
            axes.set_title(f"{found['name']}: tokens per second", fontsize=12, loc="left")
