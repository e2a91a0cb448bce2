"""How fast text is translated, also by transformers and CTranslate2 with the same weights.

Without MODEL the weights are random, the text is made up, and each translation has as many tokens as --forced says.
With MODEL, a trained model, lengths are real, and --reference adds BLEU.

Timed is the way from text to text, the same SentencePiece included: of ours `Translator.translate_all`, of
transformers `generate` on batches of like length, of CTranslate2 `translate_batch`, which makes such batches itself.
All search alike: the same beams, scores divided by the length to the power of --length-penalty, and an end at the
latest when as many hypotheses have ended as there are beams. Tokens are those that a system has computed for its own
translations, by our ids, the end of the sentence included; ratios compare the time for the same sentences. With a
batch of 1 each sentence is a call of its own, and its latency is told. `time to first translation` is that of a fresh
process from its start to one translated sentence: our command, for the others the shortest script.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from bench.options import add_common, check_common, check_picture, count, counts, installed, keep, leave_out, say
from bench.plan import SIZES
from bench.translate_plan import PACKAGES, SYSTEMS, TranslatePlan
from bench.workers import take_turns, workers
from seq2seq.errors import Seq2SeqError

FORCED = 16  # tokens of each translation by random weights


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add = parser.add_argument
    sizes = [name for name, size in SIZES.items() if not size.context]
    add("model", type=Path, nargs="?", metavar="MODEL", help="run folder or model folder; default: random weights")
    add("--source", type=Path, metavar="FILE", help="lines that MODEL translates")
    add("--reference", type=Path, metavar="FILE", help="their translations, for BLEU")
    add("--size", choices=sizes, help="of the model with random weights (default: base)")
    add("--vocab-size", type=count, metavar="N", help="another vocabulary than the size has")
    add("--forced", type=count, metavar="N", help=f"tokens of each translation (random weights: {FORCED})")
    add("--beam-size", type=counts, default=[5], metavar="K,...", help="one or several (default: 5)")
    add("--batch-size", type=counts, default=[64], metavar="N,...", help="sentences at once (default: 64)")
    add("--length-penalty", type=float, default=1.0, metavar="X", help="power of the length (default: %(default)s)")
    add("--sentences", type=count, default=256, metavar="N", help="in a round (default: %(default)s)")
    add("--first", type=int, default=3, metavar="N", help="times that the first translation is timed; 0: not at all")
    add_common(parser, SYSTEMS, rounds=3)


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuses, as argparse does, options that do not go together."""
    check_common(parser, options, SYSTEMS)
    if (options.model is None) != (options.source is None):
        parser.error("MODEL and --source belong together: a trained model translates real text")
    if options.model and (options.size or options.vocab_size):
        parser.error("--size and --vocab-size are those of random weights: leave out MODEL")
    if options.reference and not options.source:
        parser.error("--reference needs --source")


def run(options: argparse.Namespace) -> None:
    """Measures translating and reports what was found."""
    check_picture(options)
    names = installed(options.systems or SYSTEMS, PACKAGES)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        from bench.first import first_table, first_translations
        from bench.translate_data import prepare_plan, prepare_system

        say("preparing the models")
        plan, references = prepare_plan(Path(name), options)
        for system in list(names):
            try:
                prepare_system(plan, system)
            except Seq2SeqError as error:
                leave_out(system, error)
                names.remove(system)
        if not names:
            raise Seq2SeqError("no system is left to measure")
        tables = []
        for beam_size, batch_size in product(options.beam_size, options.batch_size):
            one = replace(plan, beam_size=beam_size, batch_size=batch_size)
            called = f"beam {beam_size}, " + (f"batches of {batch_size}" if batch_size > 1 else "single sentences")
            say(called)
            summary = measure(one, names, options.rounds, references)
            tables.append({"name": called, "beam_size": beam_size, "batch_size": batch_size, "summary": summary})
        first = first_translations(replace(plan, beam_size=options.beam_size[-1]), names, options.first)
    from bench.decoding import picture, table
    from bench.report import machine_facts

    settings = {**asdict(plan), "rounds": options.rounds, "references": len(references), "sentences": plan.n_lines}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    result = {"settings": settings, "machine": machine_facts(plan), "tables": tables, "first": first}
    lengths = f"{plan.forced} tokens forced" if plan.forced else "real lengths"
    print(table(result, f"translation, {plan.name}: {plan.n_lines:,} sentences, {lengths}", "sentences", "latency"))
    if first:
        print(f"\n{first_table(first, options.beam_size[-1])}")
    keep(result, options, picture)


def measure(plan: TranslatePlan, names: Sequence[str], rounds: int, references: Sequence[str]) -> dict[str, Any]:
    """Lets all systems take turns and returns what was found; see `decoding.summarize`.

    Args:
        plan: what is measured.
        names: of the systems.
        rounds: turns of each, after one that warms it up.
        references: a translation of each line, by which BLEU is computed; empty: none.
    """
    from bench.decoding import summarize
    from seq2seq.evaluate.metrics import Metrics

    with workers(names, plan) as all_workers:
        seconds = take_turns(all_workers, rounds, lambda taken: f"{plan.n_lines / taken:,.2f} sentences/s")
        facts = {worker.name: worker.facts() for worker in all_workers}
    summary = summarize(seconds, facts)
    if references:
        metrics = Metrics([references], ["BLEU"], plan.language)
        for name in names:
            summary["systems"][name]["bleu"] = metrics.score(facts[name]["texts"])["BLEU"]
    return summary
