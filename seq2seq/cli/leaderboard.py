"""seq2seq-leaderboard: all runs below a folder side by side."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seq2seq.cli.common import command, visible
from seq2seq.errors import Seq2SeqError
from seq2seq.files import whole_file

if TYPE_CHECKING:
    from seq2seq.evaluate.leaderboard import Table


@command
@click.argument("folder")
@click.option("--html", type=click.Path(), help="HTML file for the tables, with columns to sort by.")
@click.option("--sort", metavar="KEY", help="Column to sort by, such as chrf, test/bleu, time or model.layers.  "
              "[default: bleu; of language models loss]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(folder: str, html: str | None, sort: str | None, as_json: bool) -> None:
    """Prints a table of all runs below FOLDER: how they stand, what they reached, and where their settings differ.

    The best run stands first. Translation and language models have a table each. Test scores come with the test set,
    metric and signature that they belong to. Folders that cannot be read are reported on stderr.

    \b
    seq2seq-leaderboard runs
    seq2seq-leaderboard runs --sort test/bleu --html leaderboard.html
    """  # noqa: D301 (click reads the control character)
    if html and not Path(html).absolute().parent.is_dir():
        raise Seq2SeqError(f"{html}: its folder does not exist")
    from seq2seq.cli.table import terminal_width
    from seq2seq.evaluate.leaderboard import make_leaderboard

    board = make_leaderboard(Path(folder), sort)
    for line in board.told:
        click.echo(visible(line), err=True)
    if as_json:
        click.echo(json.dumps(board.record(), indent=2))
    else:
        width = terminal_width()
        click.echo("\n\n".join(_text(table, width) for table in board.tables))
    if html:
        page = board.html(Path(html), shlex.join(["seq2seq-leaderboard", *sys.argv[1:]]))
        with whole_file(Path(html)) as file:
            file.write(page.encode("utf-8", "replace"))


def _text(table: "Table", width: int | None) -> str:
    """Returns a table and what its scores belong to."""
    from seq2seq.cli.table import printable, table_text

    heads = [column.title for column in table.columns]
    left = [column.is_text for column in table.columns]
    text = table_text(heads, [[cell.text for cell in cells] for _, cells in table.rows], left, width)
    notes = [*table.notes, *(column.note for column in table.columns if column.note)]
    return "\n".join([printable(table.summary), "", text, "",
                      *map(printable, notes)])  # fmt: skip


if __name__ == "__main__":
    main()
