"""seq2seq-report: what became of a training, on one page."""

import shlex
import sys
from pathlib import Path

import click

from seq2seq.cli.common import command
from seq2seq.errors import Seq2SeqError
from seq2seq.files import whole_file


@command
@click.argument("run")
@click.option("--output", type=click.Path(), help="HTML file to write.  [default: RUN/report.html]")
def main(run: str, output: str | None) -> None:
    """Writes a report on the training in RUN, a run folder, as one HTML page that needs nothing but a browser.

    It tells what was trained, how it went and where it stands, with curves, samples over time, results, settings, and
    what it takes to get the same model again. The run may still be going on.

    \b
    seq2seq-report runs/demo
    seq2seq-report runs/demo --output demo.html
    """  # noqa: D301 (click reads the control character)
    path = Path(output) if output else Path(run) / "report.html"
    if output and not path.absolute().parent.is_dir():
        raise Seq2SeqError(f"{output}: its folder does not exist")
    from seq2seq.cli.table import printable
    from seq2seq.evaluate.runs import read_run
    from seq2seq.evaluate.training_report import make_training_report, render_training_report

    report = make_training_report(read_run(Path(run)))
    page = render_training_report(report, shlex.join(["seq2seq-report", *sys.argv[1:]]))
    with whole_file(path) as file:
        file.write(page.encode("utf-8", "replace"))
    click.echo(printable(f"{path}: {report.summary[-1]}"), err=True)


if __name__ == "__main__":
    main()
