"""Options that say how is searched (also of seq2seq-calibrate) and what is asked of translations."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from seq2seq.decode.protected import Kind
    from seq2seq.decode.steering import Steering

KINDS = ["number", "url", "email", "placeholder", "tag"]

_SEARCH = [
    click.option("--length-penalty", type=click.FloatRange(0), help="Exponent of the length penalty."),
    click.option("--length-norm", type=click.Choice(["gnmt", "length", "none"]), help="Kind of length penalty."),
    click.option("--min-length", type=click.IntRange(0), help="Shortest translation in tokens."),
    click.option("--max-length-ratio", type=float, help="Longest translation: this times the source's tokens, plus "
                 "10."),
    click.option("--search", type=click.Choice(["beam", "sampling"]), help="Search, or draw from the model's "
                 "distribution: as many as --n-best asks for, or --mbr chooses among."),
    click.option("--temperature", type=click.FloatRange(0), help="In sampling, what logits are divided by."),
    click.option("--top-k", type=click.IntRange(0), help="In sampling, the most probable tokens that are drawn from."),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="In sampling, the share of the "
                 "probability that is drawn from."),
    click.option("--seed", type=click.IntRange(0), help="Of samples.  [default: the recipe's]"),
    click.option("--mbr", type=click.Choice(["none", "chrf", "bleu"]), help="Minimum Bayes risk: of several "
                 "translations take the one most like all others."),
    click.option("--candidates", type=click.IntRange(2, 1000), help="Translations among which --mbr chooses."),
    click.option("--patience", type=click.FloatRange(0, min_open=True), help="Times the beam size, how many hypotheses "
                 "end before a search does."),
    click.option("--no-repeat-ngram", type=click.IntRange(0), help="Tokens of sequences that must not come twice."),
    click.option("--coverage-penalty", type=click.FloatRange(0), help="How much source words without attention count."),
    click.option("--beam-groups", type=click.IntRange(1), help="Groups of beams that avoid each other's tokens."),
    click.option("--diversity", type=click.FloatRange(0), help="How much they do."),
]  # fmt: skip

_STEERING = [
    click.option("--with", "others", multiple=True, metavar="MODEL", help="Another model with the same tokenizer, "
                 "whose probabilities are averaged with MODEL's; may be repeated."),
    click.option("--glossary", type=click.Path(), help="File with a source term, a tab and a target term on each line: "
                 "wherever the one stands, the other will."),
    click.option("--forbidden", type=click.Path(), help="File with a word or phrase on each line that no translation "
                 "holds."),
    click.option("--prefixes", type=click.Path(), help="File with the beginning of each line's translation; empty "
                 "lines ask for nothing."),
    click.option("--keep", multiple=True, type=click.Choice([*KINDS, "all"]), help="What comes through unchanged; may "
                 "be repeated."),
    click.option("--guard", is_flag=True, help="Flag translations that seem wrong (loops, copies, lengths, lost "
                 "numbers), having tried them once more."),
]  # fmt: skip


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options about search."""
    return _added(_SEARCH, function)


def steering_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options about what is asked of translations, and of which models."""
    return _added(_STEERING, function)


def _added(options: list[Callable[..., Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        function = option(function)
    return function


def read_steering(glossary: str | None, forbidden: str | None, keep: tuple[str, ...]) -> "Steering":
    """Reads what is asked of translations.

    Raises:
        DataError: a file cannot be read, or is not what it should be.
    """
    from pathlib import Path

    from seq2seq.decode.steering import Glossary, Steering
    from seq2seq.text.lines import is_blank, read_lines

    kinds = KINDS if "all" in keep else keep
    words = [line for line in read_lines(Path(forbidden)) if not is_blank(line)] if forbidden else []
    return Steering(
        Glossary.read(Path(glossary)) if glossary else None,
        tuple(words),
        frozenset(cast("Iterable[Kind]", kinds)),
    )
