"""What a run of the checks is told as: a table in Markdown, and how to see a failure again."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from inject.check import Failure, Result

TOLD = 5  # failures of a check that are told one by one


def table(results: Sequence[Result]) -> str:
    """Returns the table of all checks, in Markdown."""
    rows = [["check", "trials", "passed", "seconds", "what has to come of it"], ["---", "--:", "--:", "--:", "---"]]
    for one in results:
        planned = "" if one.trials == one.planned else f" ({one.planned:,} planned)"
        expected = f"{one.expected} ({one.note})" if one.note else one.expected
        passed = f"{one.passed:,} of {one.trials:,}"
        rows.append([one.name, f"{one.trials:,}{planned}", passed, f"{one.seconds:,.0f}", expected])
    widths = [max(len(row[i]) for row in rows) for i in range(4)] + [0]
    rows[1] = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:4]), "---"]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def failures(results: Sequence[Result], seed: int) -> str:
    """Returns what was seen in trials that failed, and how to see it again; empty if none did."""
    lines = []
    for one in results:
        for failure in one.failures[:TOLD]:
            lines += [f"- {one.name}: {failure.seen}", f"  {again(one.name, failure, seed)}"]
        if len(one.failures) > TOLD:
            lines.append(f"- {one.name}: {len(one.failures) - TOLD:,} more")
    return "\n".join(lines)


def again(name: str, failure: Failure, seed: int) -> str:
    """Returns the command that does a failed trial again."""
    words = ["python", "tools/faults.py", "--only", name, "--seed", str(seed)]
    return shlex.join(words if failure.trial is None else [*words, "--trial", str(failure.trial)])


def facts(results: Sequence[Result], seed: int, machine: dict[str, Any]) -> dict[str, Any]:
    """Returns all that is known, for a JSON file."""
    checks = []
    for one in results:
        told = [{**asdict(failure), "again": again(one.name, failure, seed)} for failure in one.failures]
        checks.append({**asdict(one), "passed": one.passed, "failures": told})
    return {"seed": seed, "machine": machine, "checks": checks}
