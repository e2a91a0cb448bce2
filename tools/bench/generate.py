"""How fast a GPT continues texts, also by transformers' GPT-2 with the same weights.

Weights are random, prompts too, each of as many tokens; every text gets --new-tokens more, as none may end. Each token
is a character of a made-up alphabet, so that next to no time goes into text, of either. Timed is the way from text to
text: of ours `Generator.generate`, of transformers `generate`, both with a cache. With a batch of 1 each text is a call
of its own, and the milliseconds for each of its tokens are told, the reading of the prompt included.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.generate_plan import PACKAGES, SYSTEMS, GeneratePlan
from bench.options import add_common, check_common, check_picture, count, counts, installed, keep, say
from bench.plan import SIZES
from bench.workers import take_turns, workers
from seq2seq.errors import Seq2SeqError

TEXTS = 8  # in a round, at least, so that single ones have percentiles


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add = parser.add_argument
    sizes = [name for name, size in SIZES.items() if size.context]
    add("--size", choices=sizes, default="gpt-124m", help="of the model (default: %(default)s)")
    add("--vocab-size", type=count, metavar="N", help="another vocabulary than the size has")
    add("--batch-size", type=counts, default=[1], metavar="N,...", help="texts at once, one or several (default: 1)")
    add("--prompt-tokens", type=count, default=32, metavar="N", help="of each text (default: %(default)s)")
    add("--new-tokens", type=count, default=64, metavar="N", help="of each text (default: %(default)s)")
    add("--texts", type=count, metavar="N", help=f"in a round (default: as many as at once, {TEXTS} or more)")
    add("--temperature", type=float, default=0.0, metavar="X", help="0: greedy; else drawn from all (default: 0)")
    add_common(parser, SYSTEMS, rounds=5)


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuses, as argparse does, options that do not go together."""
    check_common(parser, options, SYSTEMS)
    context = SIZES[options.size].context
    if options.prompt_tokens + options.new_tokens > context:
        parser.error(f"--prompt-tokens and --new-tokens must fit into the window of {context} tokens")


def run(options: argparse.Namespace) -> None:
    """Measures generating and reports what was found."""
    check_picture(options)
    names = installed(options.systems or SYSTEMS, PACKAGES)
    if not names:
        raise Seq2SeqError("no system is left to measure")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        from bench.generate_data import prepare_plan

        say("preparing the models")
        plan = prepare_plan(Path(folder), options, names)
        tables = []
        for batch_size in options.batch_size:
            n_texts = options.texts or max(batch_size, TEXTS)
            called = f"batches of {batch_size}" if batch_size > 1 else "single texts"
            say(called)
            one = replace(plan, batch_size=batch_size, n_texts=n_texts)
            summary = measure(one, names, options.rounds)
            tables.append({"name": called, "batch_size": batch_size, "texts": n_texts, "summary": summary})
    from bench.decoding import picture, table
    from bench.report import machine_facts

    settings = {**asdict(plan), "folder": None, "rounds": options.rounds}
    result = {"settings": settings, "machine": machine_facts(plan), "tables": tables}
    drawn = f"drawn at temperature {plan.temperature:g}" if plan.temperature else "greedily"
    about = f"generation, {plan.name}: {plan.new_tokens} tokens behind {plan.prompt_tokens}, {drawn}"
    print(table(result, about, "texts", "token_latency"))
    keep(result, options, picture)


def measure(plan: GeneratePlan, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Lets all systems take turns and returns what was found; see `decoding.summarize`.

    Args:
        plan: what is measured.
        names: of the systems.
        rounds: turns of each, after one that warms it up.
    """
    from bench.decoding import summarize

    tokens = plan.n_texts * plan.new_tokens
    with workers(names, plan) as all_workers:
        seconds = take_turns(all_workers, rounds, lambda taken: f"{tokens / taken:,.1f} tokens/s")
        return summarize(seconds, {worker.name: worker.facts() for worker in all_workers})
