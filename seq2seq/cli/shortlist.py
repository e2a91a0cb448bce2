"""seq2seq-shortlist: which words may translate which, learnt for a finished model."""

import click

from seq2seq.cli.common import command
from seq2seq.errors import Seq2SeqError


@command
@click.argument("model")
@click.option(
    "--source", "sources", type=click.Path(), multiple=True, required=True,
    help="Text file, plain, .gz or .zst, best that of the training; may be repeated.",
)  # fmt: skip
@click.option(
    "--target", "targets", type=click.Path(), multiple=True, required=True,
    help="Its translation, line by line; as often as --source.",
)  # fmt: skip
@click.option(
    "--target-language", "languages", metavar="CODE", multiple=True,
    help="Language of --target, of a model of several; as often as --target.",
)  # fmt: skip
def main(sources: tuple[str, ...], targets: tuple[str, ...], languages: tuple[str, ...], model: str) -> None:
    """Learns a shortlist from parallel text and keeps it with MODEL, a run folder (its best model) or a model folder.

    The shortlist says which target tokens may stand in the translation of each source token. With it
    `seq2seq-translate --shortlist` looks at a small part of the vocabulary for each sentence. A shortlist that is there
    is replaced; the model itself stays as it is.

    \b
    seq2seq-shortlist runs/demo --source train.en --target train.de
    seq2seq-translate runs/demo --shortlist --input test.en
    """  # noqa: D301 (click reads the control character)
    if len(sources) != len(targets) or len(languages) not in (0, len(targets)):
        given = f"--source {len(sources)}, --target {len(targets)}, --target-language {len(languages)} times"
        raise Seq2SeqError(f"each --source needs a --target, and all or none of them a --target-language; got {given}")
    from pathlib import Path

    from seq2seq.train.monitor import logging_to
    from seq2seq.train.shortlist import add_shortlist

    all_languages = languages or (None,) * len(targets)
    with logging_to(None, speak=True):
        add_shortlist(Path(model), list(zip(map(Path, sources), map(Path, targets), all_languages, strict=True)))
