"""seq2seq-evaluate: how good translations are."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    beam_size_option,
    command,
    device_option,
    given,
    precision_option,
    prepare_torch,
    shortlist_option,
    target_language_option,
    threads_option,
)
from seq2seq.errors import Seq2SeqError
from seq2seq.files import whole_file

if TYPE_CHECKING:
    from seq2seq.evaluate.evaluation import System
    from seq2seq.evaluate.testset import TestSet, TextFile


@command
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--source", type=click.Path(), help="Text that MODELs translate.")
@click.option(
    "--reference", "references", multiple=True, type=click.Path(),
    help="Correct translations, one for each line; again for each further reference.",
)  # fmt: skip
@click.option("--testset", metavar="NAME", help="Source and references of this name by sacrebleu, such as wmt14/full.")
@click.option(
    "--langpair", metavar="PAIR", help="Language pair, such as en-de: of --testset, and for BLEU's tokenizer."
)
@click.option(
    "--hypothesis", "hypotheses", multiple=True, type=click.Path(),
    help="Translations to score; again for each further system.",
)  # fmt: skip
@click.option(
    "--train", multiple=True, type=click.Path(), help="Training text of either language, searched for the test lines."
)
@click.option("--output", type=click.Path(), help="Where the translations of a single MODEL go, if they are kept.")
@click.option("--report", type=click.Path(), help="HTML file for scores, settings and examples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@beam_size_option
@batch_tokens_option
@target_language_option
@shortlist_option
@precision_option
@device_option
@threads_option
def main(
    models: tuple[str, ...],
    source: str | None,
    references: tuple[str, ...],
    testset: str | None,
    langpair: str | None,
    hypotheses: tuple[str, ...],
    train: tuple[str, ...],
    output: str | None,
    report: str | None,
    as_json: bool,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Scores the translations of MODELs, or those in files, against references: BLEU, chrF and TER by sacrebleu.

    What makes scores misleading, such as tokenised or lower-cased translations, is told on stderr.

    \b
    seq2seq-evaluate runs/demo --source test.en --reference test.de
    seq2seq-evaluate --hypothesis output.de --reference test.de
    seq2seq-evaluate runs/a runs/b --source test.en --reference test.de --report report.html
    seq2seq-evaluate runs/demo --testset wmt14/full --langpair en-de --train train.en --train train.de
    """  # noqa: D301 (click reads the control character)
    _check_sides(models, hypotheses, source, references, testset, langpair)
    _check_options(models, bool(given(decode)), output, report)
    from seq2seq.evaluate.evaluation import evaluate
    from seq2seq.evaluate.guards import count_overlap
    from seq2seq.evaluate.testset import check_aligned, local_test_set, named_test_set, read_text

    if testset:
        test = named_test_set(testset, str(langpair))
    else:
        test = local_test_set(source, references, (langpair or "").partition("-")[2])
    files = [read_text(path) for path in hypotheses]
    check_aligned(test.references[0], [*filter(None, [test.source]), *test.references[1:], *files])
    overlaps = [count_overlap(path, test.reference_lines, test.source_lines) for path in train]
    if models:
        prepare_torch(threads)
    systems = _systems(models, files, test, device, given(decode))
    if output:
        with whole_file(Path(output)) as file:
            file.writelines(line.encode() + b"\n" for line in systems[0].hypotheses)
    evaluation = evaluate(test, systems, overlaps)
    for warning in evaluation.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(json.dumps(evaluation.record(), indent=2) if as_json else evaluation.text())
    if report:
        from seq2seq.evaluate.report import make_report, render

        page = render(make_report(evaluation, shlex.join(["seq2seq-evaluate", *sys.argv[1:]])))
        with whole_file(Path(report)) as file:
            file.write(page.encode("utf-8", "replace"))


def _check_sides(
    models: Sequence[str],
    hypotheses: Sequence[str],
    source: str | None,
    references: Sequence[str],
    testset: str | None,
    langpair: str | None,
) -> None:
    """Checks that what is scored, and against what, is given once."""
    if testset and (source or references):
        raise Seq2SeqError("--testset stands for --source and --reference: give the one or the others")
    if testset and not langpair:
        raise Seq2SeqError("--testset needs --langpair, such as en-de")
    if langpair and not all(langpair.partition("-")):
        raise Seq2SeqError(f"--langpair {langpair}: must be two languages, such as en-de")
    if not (models or hypotheses) or (models and not (source or testset)):
        raise Seq2SeqError("give either MODEL and --source, or --hypothesis, or all; --testset has a source too")
    if not (references or testset):
        raise Seq2SeqError("give --reference, or --testset and --langpair")


def _check_options(models: Sequence[str], has_decode: bool, output: str | None, report: str | None) -> None:
    """Checks the options that go with models, and that results can be written before anything is computed."""
    if not models and (has_decode or output):
        options = "--target-language, --beam-size, --batch-tokens, --shortlist, --precision and --output"
        raise Seq2SeqError(f"{options} go with MODEL, not with --hypothesis")
    if output and len(models) > 1:
        raise Seq2SeqError(f"--output takes the translations of one MODEL, not of {len(models)}")
    for path in filter(None, (output, report)):
        if not Path(path).absolute().parent.is_dir():
            raise Seq2SeqError(f"{path}: its folder does not exist")


def _systems(
    models: Sequence[str], files: Sequence["TextFile"], test: "TestSet", device: str, decode: dict[str, Any]
) -> list["System"]:
    """Returns the systems, models first; every model is looked for before the first one translates."""
    from seq2seq.evaluate.evaluation import System

    systems = []
    if models:
        from seq2seq.evaluate.models import translate_with
        from seq2seq.model.folder import find_model

        for model in models:
            find_model(Path(model))
        systems = [
            translate_with(model, test.source_lines or [], device, decode, test.target_language) for model in models
        ]
    return [*systems, *(System(file.name, file.lines, file) for file in files)]
