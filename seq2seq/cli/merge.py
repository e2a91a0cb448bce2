"""seq2seq-merge: joins the translated parts of a large file."""

import click

from seq2seq.cli.common import command


@command
@click.argument("output", type=click.Path())
@click.argument("parts", metavar="PART...", nargs=-1, required=True, type=click.Path())
def main(output: str, parts: tuple[str, ...]) -> None:
    """Joins PARTs, outputs of seq2seq-translate --shard, into OUTPUT, in the order of their numbers.

    Nothing is written unless all parts are there, unchanged, and of the same input, model and options.

    \b
    for i in 1 2 3; do seq2seq-translate runs/demo --input big.en --output part.$i --shard $i/3; done
    seq2seq-merge big.de part.*
    """  # noqa: D301 (click reads the control character)
    from pathlib import Path

    from seq2seq.decode.shards import manifest_of, merge

    paths = [Path(part) for part in parts]
    manifests = {manifest_of(path) for path in paths}  # which a pattern such as part.* names too
    paths = [path for path in paths if path not in manifests]
    lines = merge(Path(output), paths)
    click.echo(f"{lines:,} lines of {len(paths)} parts in {output}", err=True)
