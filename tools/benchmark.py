"""Measure the speed of training: ours against transformers and torch.nn.Transformer, and against the hardware.

    python tools/benchmark.py train [--size tiny|base|big|gpt-124m] [--source FILE --target FILE]

All systems train the same architecture on the same batches, cut from the text as our training cuts it. Each is alone
in a process; they take turns, A B C, then C B A, each going over all batches once, so that whatever else the machine
does meets all of them. What is told is the median of the rounds, ratios round by round. The `ceiling` is the step's own
matrix products at the speed at which they run alone, their work counted on real tokens: see `bench/ceiling.py`.

The peers need the extra `bench`: pip install -e '.[bench]'. Other programs should rest meanwhile.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.plan import SIZES, Plan
from bench.workers import Worker, workers
from seq2seq.errors import Seq2SeqError, explain_error

INSTALL = "pip install -e '.[bench]'"
FAMILIES = {"ours": "", "transformers": "transformers", "torch": ""}  # and the package that each needs
PRECISIONS = ("bf16", "fp32")
PROFILED = 4  # steps


def main() -> int:
    """Measures what the command line asks for; returns the exit status."""
    options = parse()
    try:
        train(options)
    except (Exception, KeyboardInterrupt) as error:
        explained = explain_error(error)
        if explained is None:
            raise
        print(f"error: {explained[0]}", file=sys.stderr)
        return explained[1]
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Measure the speed of this program and of its peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="how many target tokens per second are trained on")
    add = train.add_argument
    add("--size", choices=SIZES, default="base", help="of the model (default: %(default)s)")
    add("--vocab-size", type=_count, metavar="N", help="another vocabulary than the size has, for small texts")
    add("--source", type=Path, metavar="FILE", help="lines to translate from; default: made-up text")
    add("--target", type=Path, metavar="FILE", help="their translations")
    add("--device-tokens", type=_count, default=4096, metavar="N", help="padded tokens in a batch (%(default)s)")
    add("--batches", type=_count, default=10, metavar="N", help="batches in a round (default: %(default)s)")
    add("--rounds", type=_count, default=5, metavar="N", help="turns of each system (default: %(default)s)")
    add("--device", default="auto", help="cpu, cuda, cuda:1 ... or auto")
    add("--threads", type=_count, metavar="N", help="CPU threads (default: all cores)")
    add("--systems", type=lambda names: names.split(","), metavar="A,B,...", help=f"of {', '.join(_systems())}")
    add("--json", type=Path, metavar="FILE", help="write all that was found")
    add("--picture", type=Path, metavar="FILE.png", help="draw it")
    add("--profile", action="store_true", help="say where the time of our steps goes")
    options = parser.parse_args(arguments)
    if (options.source is None) != (options.target is None):
        train.error("--source and --target belong together")
    for name in options.systems or ():
        if name not in _systems():
            train.error(f"--systems: no {name!r}; there are {', '.join(_systems())}")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _systems() -> list[str]:
    """Returns the names of all systems."""
    families = [*FAMILIES, "transformers-eager"]
    return [f"{family}-{precision}" for precision in PRECISIONS for family in families]


def choose_systems(asked: Sequence[str] | None, language_model: bool) -> list[str]:
    """Returns the names of the systems to measure; says on stderr which are left out and why.

    Args:
        asked: on the command line; None: all but those with another setting of a peer than its default.
        language_model: whether it is a GPT that is trained, which `torch` has none of.
    """
    names = asked or [name for name in _systems() if not name.startswith("transformers-eager")]
    if language_model:
        names = [name for name in names if not name.startswith("torch-")]
    chosen = []
    for name in dict.fromkeys(names):
        package = FAMILIES[name.partition("-")[0]]
        if package and find_spec(package) is None:
            print(f"{name} is left out: {package} is not installed; {INSTALL}", file=sys.stderr)
        else:
            chosen.append(name)
    return chosen


def train(options: argparse.Namespace) -> None:
    """Measures training and reports what was found."""
    if options.picture and find_spec("matplotlib") is None:
        raise Seq2SeqError(f"--picture needs matplotlib; {INSTALL}")
    sizes = SIZES[options.size]
    if options.vocab_size:
        sizes = replace(sizes, vocab_size=options.vocab_size)
    names = choose_systems(options.systems, bool(sizes.context))
    if not names:
        raise Seq2SeqError("no system is left to measure")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        from bench.data import prepare_plan
        from seq2seq.model.device import choose_device

        print("preparing the batches", file=sys.stderr)
        device = str(choose_device(options.device))
        plan = Plan(sizes, Path(folder), device, options.threads, options.device_tokens, options.batches)
        plan = prepare_plan(plan, (options.source, options.target) if options.source else None)
        result = measure(plan, names, options.rounds, options.profile)
    from bench.report import machine_facts, picture, plan_facts, profile_table, table
    from seq2seq.files import write_json

    source = {"source": str(options.source), "target": str(options.target)} if options.source else {}
    result["settings"] = {**plan_facts(plan, options.size), **source, "rounds": options.rounds, **result["settings"]}
    result["machine"] = machine_facts(plan)
    print(table(result))
    for name, found in result["profiles"].items():
        print(f"\n{profile_table(name, found)}")
    for path in filter(None, (options.json, options.picture)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.json:
        write_json(options.json, result)
    if options.picture:
        picture(result, options.picture)


def measure(plan: Plan, names: Sequence[str], rounds: int, profiled: bool = False) -> dict[str, Any]:
    """Lets all systems take turns and returns what was found.

    Args:
        plan: what is measured.
        names: of the systems.
        rounds: turns of each, after one that warms it up.
        profiled: whether to say where the time of our steps goes.
    """
    from bench.data import count_tokens
    from bench.report import add_facts, summarize

    counts = count_tokens(plan)
    tokens = counts["target_tokens"]
    ceilings = [name.replace("ours", "ceiling") for name in names if name.startswith("ours-")]
    seconds: dict[str, list[float]] = {name: [] for name in [*names, *ceilings]}
    profiles = {}
    with workers(list(seconds), plan) as all_workers:
        for worker in all_workers:
            _turn(worker, "warming up", tokens)
        for i in range(rounds):
            for worker in all_workers if i % 2 == 0 else all_workers[::-1]:
                seconds[worker.name].append(_turn(worker, f"round {i + 1} of {rounds}", tokens))
        facts = {worker.name: worker.facts() for worker in all_workers}
        if profiled:
            profiles = {w.name: w.profile(PROFILED) for w in all_workers if w.name.startswith("ours-")}
    summary = summarize(seconds, tokens)
    add_facts(summary, facts, tokens)
    return {"settings": counts, "summary": summary, "profiles": profiles}


def _turn(worker: Worker, when: str, tokens: int) -> float:
    """Has a worker take its turn and says how fast it was."""
    seconds = worker.turn()
    print(f"{when}: {worker.name} {tokens / seconds:,.0f} tokens/s", file=sys.stderr)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
