"""seq2seq-calibrate: how far a model's translations can be trusted, measured and kept with it."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    beam_size_option,
    command,
    device_option,
    given,
    heading,
    precision_option,
    prepare_torch,
    shortlist_option,
    target_language_option,
    threads_option,
)
from seq2seq.cli.steering import sampling_options, search_options
from seq2seq.errors import Seq2SeqError
from seq2seq.files import whole_file


@command
@click.argument("model")
@heading("Measuring")
@click.option("--source", type=click.Path(), required=True, help="Text, plain, .gz or .zst, that the model was not "
              "trained on.")  # fmt: skip
@click.option("--reference", type=click.Path(), required=True, help="Its translation, line by line.")
@click.option("--check", is_flag=True, help="Measure the calibration that the model has; change nothing.")
@click.option("--report", type=click.Path(), help="HTML file for the reliability diagram.")
@target_language_option
@heading("Search")
@beam_size_option
@search_options
@shortlist_option
@sampling_options
@heading("Computing")
@batch_tokens_option
@precision_option
@device_option
@threads_option
def main(
    model: str,
    source: str,
    reference: str,
    check: bool,
    report: str | None,
    device: str,
    threads: int | None,
    **options: Any,
) -> None:
    """Measures how good the translations of MODEL are (chrF) by how probable they are, and keeps that with it.

    From then on `seq2seq-translate --format jsonl` tells a confidence for each line: the chrF / 100, from 0 to 1, that
    is expected of its translation. It holds for text like --source, and for one way of searching, the one given here;
    options not given are those of the recipe's decode section. With others seq2seq-translate tells no confidence. A
    calibration that is there is replaced; the model itself stays as it is.

    \b
    seq2seq-calibrate runs/demo --source valid.en --reference valid.de
    seq2seq-calibrate runs/demo --source test.en --reference test.de --check --report reliability.html
    """  # noqa: D301 (click reads the control character)
    if report is not None and not Path(report).absolute().parent.is_dir():
        raise Seq2SeqError(f"{report}: its folder does not exist")
    prepare_torch(threads)
    from seq2seq.evaluate.calibrate import calibrate, calibration_page

    measured = calibrate(Path(model), Path(source), Path(reference), device, given(options), check)
    for name, value in measured.facts.items():
        click.echo(f"{name}: {value}")
    if report is not None:
        page = calibration_page(measured, model, shlex.join(["seq2seq-calibrate", *sys.argv[1:]]))
        with whole_file(Path(report)) as file:
            file.write(page.encode("utf-8", "replace"))
