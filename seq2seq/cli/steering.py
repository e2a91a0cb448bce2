"""Options about how translations are found (also of seq2seq-calibrate) and what is asked of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from seq2seq.cli.common import heading
from seq2seq.errors import Seq2SeqError

if TYPE_CHECKING:
    from seq2seq.config import DecodeSettings
    from seq2seq.decode.protected import Kind
    from seq2seq.decode.steering import Steering

KINDS = ["number", "url", "email", "placeholder", "tag"]

_SEARCH = [
    click.option("--length-penalty", type=click.FloatRange(0), help="Exponent of the length penalty; a larger one "
                 "favours longer translations."),
    click.option("--length-norm", type=click.Choice(["gnmt", "length", "none"]), help="Kind of length penalty."),
    click.option("--min-length", type=click.IntRange(0), help="Shortest translation in tokens."),
    click.option("--max-length-ratio", type=float, help="Longest translation: this times the source's tokens, plus "
                 "10."),
    click.option("--patience", type=click.FloatRange(0, min_open=True), help="End a search when this times the beam "
                 "size hypotheses have ended."),
    click.option("--no-repeat-ngram", type=click.IntRange(0), help="Let no sequence of this many tokens come twice."),
    click.option("--coverage-penalty", type=click.FloatRange(0), help="How much source words without attention count "
                 "against a translation."),
    click.option("--beam-groups", type=click.IntRange(1), help="Groups of beams that avoid each other's tokens."),
    click.option("--diversity", type=click.FloatRange(0), help="How much groups of beams avoid each other's tokens."),
]  # fmt: skip

_SAMPLING = [
    heading("Sampling and minimum Bayes risk"),
    click.option("--search", type=click.Choice(["beam", "sampling"]), help="Beam search, or draw translations from the "
                 "model's distribution: as many as --n-best asks for, or --mbr chooses among."),
    click.option("--temperature", type=click.FloatRange(0), help="Of sampling: below 1 probable tokens are more so; 0 "
                 "is greedy."),
    click.option("--top-k", type=click.IntRange(0), help="Draw from this many most probable tokens; 0: from all."),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Draw from the most probable tokens that "
                 "hold this share."),
    click.option("--seed", type=click.IntRange(0), help="Another seed draws other translations.  [default: the "
                 "recipe's]"),
    click.option("--mbr", type=click.Choice(["none", "chrf", "bleu"]), help="Minimum Bayes risk: of several "
                 "translations take the one most like all others."),
    click.option("--candidates", type=click.IntRange(2, 1000), help="Number of translations among which --mbr "
                 "chooses."),
]  # fmt: skip

_STEERING = [
    heading("What translations must and must not hold"),
    click.option("--glossary", type=click.Path(), help="File with a source term, a tab and a target term on each line: "
                 "where the source has the one, the translation has the other."),
    click.option("--forbidden", type=click.Path(), help="File with a word or phrase on each line that no translation "
                 "holds."),
    click.option("--prefixes", type=click.Path(), help="File with the beginning of each line's translation; empty "
                 "lines ask for nothing."),
    click.option("--keep", multiple=True, type=click.Choice([*KINDS, "all"]), help="What comes through unchanged; may "
                 "be repeated."),
]  # fmt: skip


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options about beam search."""
    return _added(_SEARCH, function)


def sampling_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options about drawing and choosing translations, under a heading of their own."""
    return _added(_SAMPLING, function)


def steering_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options about what is asked of translations, under a heading of their own."""
    return _added(_STEERING, function)


def _added(options: list[Callable[..., Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        function = option(function)
    return function


def check_drawing(decode: "DecodeSettings", options: Mapping[str, Any]) -> None:
    """Checks that options about sampling are given only where something is drawn.

    Args:
        decode: how is searched.
        options: as given, by name.

    Raises:
        Seq2SeqError: nothing is drawn.
    """
    useless = [f"--{name.replace('_', '-')}" for name in ("temperature", "top_k", "top_p") if options[name] is not None]
    if useless and decode.search != "sampling":
        raise Seq2SeqError(f"{', '.join(useless)}: beam search draws nothing; give --search sampling too")


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
