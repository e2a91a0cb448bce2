"""Give the parsers of the program mutated files: recipes, model folders, checkpoints, text, journals.

    python tools/fuzz_parsers.py [--files N] [--seed S] [--only NAME ...] [--json FILE]
    python tools/fuzz_parsers.py --only weights --seed 7 --file 123 --keep wrong.safetensors

Each file follows from the seed, the parser's name and a number. Parsers run in child processes: each file has to be
read or refused with a message for its user, within 10 seconds and within memory of twice its size plus 64 MiB. Ends
with 1 if there was a crash, a hang, too much memory or an error that is a bug.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"

import torch

from bench.options import say
from bench.report import Here, machine_facts
from fuzz.targets import TARGETS
from fuzz.workers import Outcome, outcomes
from seq2seq.files import write_json

SHOWN = 5  # faults of a parser that are told one by one
MEMORY_FOLDER = Path("/dev/shm")  # where there is one, nothing waits for a disk


@dataclass
class Result:
    """What came of the files of one parser."""

    name: str
    files: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: int = 0
    seconds: float = 0.0
    faults: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Counts a file."""
        self.files += 1
        self.counts[outcome.kind] += 1
        self.slowest, self.memory = max(self.slowest, outcome.seconds), max(self.memory, outcome.memory)
        if outcome.is_fault:
            self.faults.append(outcome)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzzes; returns the exit code."""
    given = _parser().parse_args(arguments)
    names = given.only or list(TARGETS)
    with tempfile.TemporaryDirectory(dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None) as name:
        if given.file is not None:
            return _one_file(Path(name), names[0], given)
        total = sum(TARGETS[each].share for each in names)
        counts = {each: max(1, round(given.files * TARGETS[each].share / total)) for each in names}
        # Each forks, which a process with several threads must not.
        with ProcessPoolExecutor(given.workers, get_context("spawn")) as processes:
            jobs = [processes.submit(_fuzz, each, Path(name) / each, given.seed, counts[each]) for each in names]
            results = [job.result() for job in jobs]
    print(_table(results))
    told = _faults(results, given.seed)
    if told:
        print("\n" + told)
    if given.json:
        rows = [{**vars(one), "faults": [vars(fault) for fault in one.faults]} for one in results]
        given.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(given.json, {"seed": given.seed, "machine": machine_facts(Here()), "parsers": rows})
    return int(bool(told))


def _fuzz(name: str, folder: Path, seed: int, files: int) -> Result:
    """Gives one parser so many files."""
    torch.set_num_threads(1)
    result, started = Result(name), time.monotonic()
    target = TARGETS[name](folder)
    for outcome in outcomes(target, seed, range(files)):
        result.add(outcome)
        if outcome.is_fault and len(result.faults) <= SHOWN:
            say(f"{name}, file {outcome.number}: {outcome.kind}: {outcome.seen}")
    result.seconds = time.monotonic() - started
    say(f"{name}: {result.files:,} files, {len(result.faults)} faults, {result.seconds:.0f} s")
    return result


def _one_file(folder: Path, name: str, given: argparse.Namespace) -> int:
    """Gives a parser one file again, and keeps it if that is asked for."""
    torch.set_num_threads(1)
    target = TARGETS[name](folder / name)
    if given.keep:
        given.keep.write_bytes(target.content(given.seed, given.file))
    (outcome,) = outcomes(target, given.seed, range(given.file, given.file + 1))
    print(f"{outcome.kind}: {outcome.seen} ({outcome.seconds:.2f} s, {outcome.memory:,} bytes)")
    return int(outcome.is_fault)


def _table(results: Sequence[Result]) -> str:
    rows = ["| parser | files | read | refused | faults | slowest, s | memory, MiB |", "|---|--:|--:|--:|--:|--:|--:|"]
    total = Result("all")
    for one in results:
        total.files += one.files
        total.counts += one.counts
        total.faults += one.faults
        total.slowest, total.memory = max(total.slowest, one.slowest), max(total.memory, one.memory)
    for one in [*results, total]:
        rows.append(
            f"| {one.name} | {one.files:,} | {one.counts['read']:,} | {one.counts['refused']:,} | {len(one.faults)} "
            f"| {one.slowest:.2f} | {one.memory / 2**20:.0f} |"
        )
    return "\n".join(rows)


def _faults(results: Sequence[Result], seed: int) -> str:
    """Returns what must not be, and how to see it again; empty if there is nothing."""
    lines = []
    for one in results:
        for fault in one.faults[:SHOWN]:
            lines.append(f"- {one.name}, file {fault.number}: {fault.kind}: {fault.seen}")
            lines.append(f"  python tools/fuzz_parsers.py --only {one.name} --seed {seed} --file {fault.number}")
        if len(one.faults) > SHOWN:
            lines.append(f"- {one.name}: {len(one.faults) - SHOWN:,} more")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--files", type=int, default=100_000, help="over all parsers (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(TARGETS), metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="parsers fuzzed at once")
    parser.add_argument("--file", type=int, metavar="NUMBER", help="give --only this one file again")
    parser.add_argument("--keep", type=Path, metavar="PATH", help="where to keep that file")
    parser.add_argument("--json", type=Path, metavar="PATH")
    return parser


if __name__ == "__main__":
    sys.exit(main())
