"""Inject faults into training runs and check what comes of them: kills, damaged files, full disks, signals, lost ranks.

    python tools/faults.py [--minutes M] [--seed S] [--only NAME ...] [--json FILE] [--list]
    python tools/faults.py --only kill-save-points --seed 7 --trial 123

Each check does a number of trials, all of them unless --minutes gives less time than they take. What is random is drawn
from the seed, so that a trial that failed can be done again; moments of real time are as exact as a machine keeps them.
Ends with 1 if a trial failed.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is promised bit for bit is promised on the CPU
os.environ["OMP_NUM_THREADS"] = "1"

from bench.report import Here, machine_facts
from inject.check import Check, Result, run_check
from inject.damage import BitFlips, Truncation
from inject.full_disk import DiskFull
from inject.hung_rank import HungRank
from inject.kill_runs import KillRank, KillRun
from inject.kill_saves import KillSavePoints, KillSaveRandom, TornSave
from inject.memory import Memory
from inject.not_finite import NotFinite
from inject.report import facts, failures, table
from inject.signals import SigTerm, SigTermRanks
from seq2seq.errors import Seq2SeqError
from seq2seq.files import write_json

CHECKS: dict[str, type[Check]] = {
    kind.name: kind
    for kind in (
        KillSavePoints,
        TornSave,
        KillSaveRandom,
        BitFlips,
        Truncation,
        DiskFull,
        KillRun,
        SigTerm,
        SigTermRanks,
        KillRank,
        HungRank,
        NotFinite,
        Memory,
    )
}


def main() -> int:
    """Does the checks that the command line asks for; returns the exit status."""
    options = parse()
    if options.list:
        for name, kind in CHECKS.items():
            print(f"{name:18}{kind.expected}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended too
    try:
        results = run(options)
    except Seq2SeqError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    machine = machine_facts(Here())
    torch = machine["versions"]["torch"]
    print(f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, torch {torch}, seed {options.seed}\n")
    print(table(results))
    found = failures(results, options.seed)
    if found:
        print(f"\n{found}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.json, facts(results, options.seed, machine))
    return 1 if found else 0


def run(options: argparse.Namespace) -> list[Result]:
    """Does the checks one after another, each with an equal share of the time that is left."""
    end = time.monotonic() + 60 * options.minutes if options.minutes else None
    names = options.only or list(CHECKS)
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    results = []
    for i, name in enumerate(names):
        folder = Path(tempfile.mkdtemp(prefix=f"faults-{name}-", dir=options.folder))
        try:
            share = (end - time.monotonic()) / (len(names) - i) if end else None
            numbers = [] if options.trial is None else [options.trial]
            results.append(run_check(CHECKS[name], folder, options.seed, share, numbers))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return results


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--minutes", type=float, metavar="M", help="of all checks together (default: as long as all trials take)")
    add("--seed", type=int, default=1, metavar="S", help="of all that is random (default: %(default)s)")
    add("--only", nargs="+", choices=CHECKS, metavar="NAME", help="checks (default: all; --list names them)")
    add("--trial", type=int, metavar="N", help="do this trial alone, of the one check that --only names")
    add("--json", type=Path, metavar="FILE", help="write all that was found here too")
    add("--folder", type=Path, metavar="DIR", help="where runs are made (default: in memory if there is /dev/shm)")
    add("--list", action="store_true", help="name the checks and stop")
    options = parser.parse_args(arguments)
    if options.trial is not None and len(options.only or ()) != 1:
        parser.error("--trial needs --only with one check")
    if options.folder is None and os.access("/dev/shm", os.W_OK):
        options.folder = Path("/dev/shm")
    return options


if __name__ == "__main__":
    sys.exit(main())
