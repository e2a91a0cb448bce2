"""How many target tokens per second are trained on, also by transformers and torch.nn.Transformer.

All systems train the same architecture on the same batches, cut from the text as our training cuts it. The `ceiling` is
the step's own matrix products at the speed at which they run alone, their work counted on real tokens: see
`bench/ceiling.py`.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.options import add_common, check_common, check_picture, count, installed, keep, say
from bench.plan import SIZES, Plan
from bench.workers import take_turns, workers
from seq2seq.errors import Seq2SeqError

PACKAGES = {"transformers": "transformers"}
PRECISIONS = ("bf16", "fp32")
SYSTEMS = [
    f"{family}-{precision}"
    for precision in PRECISIONS
    for family in ("ours", "transformers", "torch", "transformers-eager")
]
PROFILED = 4  # steps


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add = parser.add_argument
    add("--size", choices=SIZES, default="base", help="of the model (default: %(default)s)")
    add("--vocab-size", type=count, metavar="N", help="another vocabulary than the size has, for small texts")
    add("--source", type=Path, metavar="FILE", help="lines to translate from; default: made-up text")
    add("--target", type=Path, metavar="FILE", help="their translations")
    add("--device-tokens", type=count, default=4096, metavar="N", help="padded tokens in a batch (%(default)s)")
    add("--batches", type=count, default=10, metavar="N", help="batches in a round (default: %(default)s)")
    add("--profile", action="store_true", help="say where the time of our steps goes")
    add_common(parser, SYSTEMS, rounds=5)


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuses, as argparse does, options that do not go together."""
    check_common(parser, options, SYSTEMS)
    if (options.source is None) != (options.target is None):
        parser.error("--source and --target belong together")


def choose_systems(asked: Sequence[str] | None, language_model: bool) -> list[str]:
    """Returns the names of the systems to measure; says on stderr which are left out and why.

    Args:
        asked: on the command line; None: all but those with another setting of a peer than its default.
        language_model: whether it is a GPT that is trained, which `torch` has none of.
    """
    names = asked or [name for name in SYSTEMS if not name.startswith("transformers-eager")]
    if language_model:
        names = [name for name in names if not name.startswith("torch-")]
    return installed(names, PACKAGES)


def run(options: argparse.Namespace) -> None:
    """Measures training and reports what was found."""
    check_picture(options)
    sizes = SIZES[options.size]
    if options.vocab_size:
        sizes = replace(sizes, vocab_size=options.vocab_size)
    names = choose_systems(options.systems, bool(sizes.context))
    if not names:
        raise Seq2SeqError("no system is left to measure")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        from bench.data import prepare_plan
        from seq2seq.model.device import choose_device

        say("preparing the batches")
        device = str(choose_device(options.device))
        plan = Plan(sizes, Path(folder), device, options.threads, options.device_tokens, options.batches)
        plan = prepare_plan(plan, (options.source, options.target) if options.source else None)
        result = measure(plan, names, options.rounds, options.profile)
    from bench.report import machine_facts
    from bench.train_report import picture, plan_facts, profile_table, table

    source = {"source": str(options.source), "target": str(options.target)} if options.source else {}
    result["settings"] = {**plan_facts(plan, options.size), **source, "rounds": options.rounds, **result["settings"]}
    result["machine"] = machine_facts(plan)
    print(table(result))
    for name, found in result["profiles"].items():
        print(f"\n{profile_table(name, found)}")
    keep(result, options, picture)


def measure(plan: Plan, names: Sequence[str], rounds: int, profiled: bool = False) -> dict[str, Any]:
    """Lets all systems take turns and returns what was found.

    Args:
        plan: what is measured.
        names: of the systems.
        rounds: turns of each, after one that warms it up.
        profiled: whether to say where the time of our steps goes.
    """
    from bench.data import count_tokens
    from bench.train_report import add_facts, summarize

    counts = count_tokens(plan)
    tokens = counts["target_tokens"]
    ceilings = [name.replace("ours", "ceiling") for name in names if name.startswith("ours-")]
    profiles = {}
    with workers([*names, *ceilings], plan) as all_workers:
        seconds = take_turns(all_workers, rounds, lambda taken: f"{tokens / taken:,.0f} tokens/s")
        facts = {worker.name: worker.facts() for worker in all_workers}
        if profiled:
            profiles = {w.name: w.profile(PROFILED) for w in all_workers if w.name.startswith("ours-")}
    summary = summarize(seconds, tokens)
    add_facts(summary, facts, tokens)
    return {"settings": counts, "summary": summary, "profiles": profiles}
