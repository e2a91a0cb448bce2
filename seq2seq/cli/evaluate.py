"""seq2seq-evaluate: how good translations are, and which system is better."""

import json
import os
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
    heading,
    precision_option,
    prepare_torch,
    shortlist_option,
    target_language_option,
    threads_option,
)
from seq2seq.cli.systems import read_files, read_model, read_test_set, unique
from seq2seq.errors import Seq2SeqError
from seq2seq.files import whole_file

if TYPE_CHECKING:
    from seq2seq.evaluate.comet import Comet
    from seq2seq.evaluate.evaluation import Evaluation, System
    from seq2seq.evaluate.testset import TestSet, TextFile


@command
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@heading("What is scored")
@click.option("--source", type=click.Path(), help="Text that MODELs translate, plain, .gz or .zst.")
@click.option(
    "--reference", "references", multiple=True, type=click.Path(),
    help="Correct translations, one for each line; may be repeated, once for each reference.",
)  # fmt: skip
@click.option(
    "--hypothesis", "hypotheses", metavar="[NAME=]FILE[,...]", multiple=True,
    help="Translations of one system to score, a file for each test set; may be repeated.",
)  # fmt: skip
@click.option(
    "--testset", "testsets", metavar="NAME", multiple=True, help="Instead of --source and --reference: "
    "NAME=SOURCE,REFERENCE[,REFERENCE...], or what sacrebleu calls it, such as wmt14/full; may be repeated.",
)  # fmt: skip
@click.option(
    "--langpair", metavar="PAIR", help="Language pair, such as en-de: of --testset, and for BLEU's tokenizer."
)
@heading("More measures")
@click.option(
    "--train", multiple=True, type=click.Path(), help="Training text of either language: warns of test lines "
    "that stand in it; --report and --json say how well rare words are translated. May be repeated."
)  # fmt: skip
@click.option("--comet", metavar="[MODEL]", is_flag=False, flag_value="", default=None, help="Score with COMET too, "
              "by its usual model or the one given; needs the extra seq2seq[comet].")  # fmt: skip
@heading("Results")
@click.option("--output", type=click.Path(), help="Where the translations of a single MODEL are kept.")
@click.option("--report", type=click.Path(), help="HTML file to read and to send: what is better, where, and all "
              "sentences side by side.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "markdown", "latex", "json"]), default="text",
              show_default=True, help="Format of what is printed.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@heading("How MODELs translate")
@target_language_option
@beam_size_option
@shortlist_option
@heading("Computing")
@batch_tokens_option
@precision_option
@device_option
@threads_option
def main(
    models: tuple[str, ...],
    source: str | None,
    references: tuple[str, ...],
    testsets: tuple[str, ...],
    langpair: str | None,
    hypotheses: tuple[str, ...],
    train: tuple[str, ...],
    comet: str | None,
    output: str | None,
    report: str | None,
    form: str,
    as_json: bool,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Scores the translations of MODELs, or those in files, and tells which is better and whether that is chance.

    BLEU, chrF, chrF++ and TER are sacrebleu's, with their signatures, 95 % intervals and paired tests of differences:
    of each system with the first one, and with the best. A MODEL is [NAME=]FOLDER[,KEY=VALUE...], a run folder or a
    model folder with settings of the recipe's decode section.

    What makes scores misleading, such as tokenised or lower-cased translations, is told on stderr.

    \b
    seq2seq-evaluate runs/demo --source test.en --reference test.de
    seq2seq-evaluate --hypothesis output.de --reference test.de
    seq2seq-evaluate greedy=runs/a,beam_size=1 beam=runs/a --source test.en --reference test.de --report report.html
    seq2seq-evaluate runs/a --testset wmt14/full --langpair en-de --train train.en --train train.de
    seq2seq-evaluate runs/a runs/b --testset news=n.en,n.de --testset talks=t.en,t.1.de,t.2.de --format latex
    """  # noqa: D301 (click reads the control character)
    _check_sides(models, hypotheses, source, references, testsets, langpair)
    _check_options(models, bool(given(decode)), output, report, len(testsets))
    named = [read_model(model) for model in models]
    files = [read_files(each, len(testsets) or 1) for each in hypotheses]
    unique([*(name for name, *_ in named), *(name for name, _ in files)])
    from seq2seq.evaluate.metrics import Metrics
    from seq2seq.evaluate.significance import seed
    from seq2seq.evaluate.testset import local_test_set, read_text

    seed()  # a wrong one is told before models translate
    language = (langpair or "").partition("-")[2] or decode["target_language"] or ""
    if testsets:
        tests = [read_test_set(name, langpair, language) for name in testsets]
    else:
        tests = [local_test_set(source, references, language)]
    texts = {name: [read_text(path) for path in paths] for name, paths in files}
    _check_lines(tests, texts, "MODEL to translate" if models else "COMET to read" if comet is not None else "")
    _check_training(train, len(tests))
    for test in tests:  # a tokenizer that is not installed is told before models translate
        Metrics([["text"]], ("BLEU",), test.target_language)
    if models:
        prepare_torch(threads)
    scorer = None
    if comet is not None:  # what it lacks is told before models translate
        from seq2seq.evaluate.comet import MODEL, Comet

        scorer = Comet(comet or MODEL, device)
    systems = _translated(named, tests, device, given(decode), report is not None)
    if output:
        with whole_file(Path(output)) as file:
            file.writelines(line.encode() + b"\n" for line in systems[0][0].hypotheses)
    evaluations = [
        _evaluate(test, [*(each[i] for each in systems), *_read(texts, i)], train, scorer, threads)
        for i, test in enumerate(tests)
    ]
    _print(evaluations, "json" if as_json else form)
    if report:
        from seq2seq.evaluate.report import make_report, render

        page = render(make_report(evaluations, shlex.join(["seq2seq-evaluate", *sys.argv[1:]])))
        with whole_file(Path(report)) as file:
            file.write(page.encode("utf-8", "replace"))


def _check_sides(
    models: Sequence[str],
    hypotheses: Sequence[str],
    source: str | None,
    references: Sequence[str],
    testsets: Sequence[str],
    langpair: str | None,
) -> None:
    """Checks that what is scored, and against what, is given once."""
    if testsets and (source or references):
        raise Seq2SeqError("--testset stands for --source and --reference: give the one or the others")
    if langpair and not all(langpair.partition("-")):
        raise Seq2SeqError(f"--langpair {langpair}: must be two languages, such as en-de")
    if not (models or hypotheses):
        raise Seq2SeqError("nothing to score: give MODEL with --source, or --hypothesis FILE")
    for model in models:
        if Path(model).is_file():
            raise Seq2SeqError(f"{model} is a file and no model: translations are given by --hypothesis {model}")
    if models and not (source or testsets):
        raise Seq2SeqError("MODEL needs a text to translate: give --source, or --testset, which has one")
    if not (references or testsets):
        raise Seq2SeqError("give --reference, or --testset")


def _check_options(
    models: Sequence[str], has_decode: bool, output: str | None, report: str | None, n_sets: int
) -> None:
    """Checks the options that go with models, and that results can be written before anything is computed."""
    if not models and (has_decode or output):
        options = "--target-language, --beam-size, --batch-tokens, --shortlist, --precision and --output"
        raise Seq2SeqError(f"{options} go with MODEL, not with --hypothesis")
    if output and (len(models) > 1 or n_sets > 1):
        raise Seq2SeqError(
            f"--output takes the translations of one MODEL and test set, not of {max(len(models), n_sets)}"
        )
    for path in filter(None, (output, report)):
        if not Path(path).absolute().parent.is_dir():
            raise Seq2SeqError(f"{path}: its folder does not exist")


def _check_lines(tests: Sequence["TestSet"], texts: dict[str, list["TextFile"]], needed: str) -> None:
    """Checks that files have as many lines as the references that they are scored against, and that there is a source.

    Args:
        tests: the test sets.
        texts: translations of each test set by the names of systems.
        needed: what the source is for; empty: none is needed.

    Raises:
        DataError: some have not; all of a test set are named.
        Seq2SeqError: a test set has none.
    """
    from seq2seq.evaluate.testset import check_aligned

    for i, test in enumerate(tests):
        first, *others = test.references
        check_aligned(first, [*filter(None, [test.source]), *others, *(files[i] for files in texts.values())])
        if needed and not test.source:
            raise Seq2SeqError(
                f"test set {test.title} has no source for {needed}: give --source, or --testset with one"
            )


def _check_training(paths: Sequence[str], n_sets: int) -> None:
    """Checks that training text can be read for each test set, before models translate."""
    from seq2seq.text.lines import read_lines

    for path in map(Path, paths):
        if path.is_file() or not path.exists():
            next(read_lines(path), None)
        elif n_sets > 1:
            raise Seq2SeqError(f"--train {path}: can be read only once, and there are {n_sets} test sets: give a file")


def _translated(
    named: Sequence[tuple[str, str, dict[str, str]]],
    tests: Sequence["TestSet"],
    device: str,
    decode: dict[str, Any],
    align: bool,
) -> list[list["System"]]:
    """Returns each model with its translations of each test set; all are looked for before the first one translates."""
    if not named:
        return []
    from seq2seq.evaluate.models import translate_with
    from seq2seq.model.folder import find_model

    for _, path, _ in named:
        find_model(Path(path))
    return [translate_with(name, path, tests, device, decode | own, align) for name, path, own in named]


def _read(texts: dict[str, list["TextFile"]], i: int) -> list["System"]:
    """Returns the systems whose translations of a test set were read from files."""
    from seq2seq.evaluate.evaluation import System

    return [System(name, files[i].lines, files[i]) for name, files in texts.items()]


def _evaluate(
    test: "TestSet", systems: list["System"], train: Sequence[str], comet: "Comet | None", threads: int | None
) -> "Evaluation":
    """Evaluates systems on a test set; what misleads is told on stderr."""
    from seq2seq.evaluate.evaluation import evaluate
    from seq2seq.evaluate.frequency import read_training

    found = read_training(train, test, [system.hypotheses for system in systems]) if train else ([], None)
    evaluation = evaluate(test, systems, *found, comet, threads or os.cpu_count() or 1)
    for warning in evaluation.warnings:
        click.echo(f"warning: {warning}", err=True)
    return evaluation


def _print(evaluations: Sequence["Evaluation"], form: str) -> None:
    """Prints evaluations, one for each test set."""
    if form == "json":
        records = [evaluation.record() for evaluation in evaluations]
        click.echo(json.dumps(records[0] if len(records) == 1 else {"testsets": records}, indent=2))
        return
    from seq2seq.evaluate.tables import FORMATS

    tables = [FORMATS[form](evaluation) for evaluation in evaluations]
    if form == "text" and len(tables) > 1:
        titles = [f"{evaluation.test.title}, {evaluation.scores[0].lines:,} lines" for evaluation in evaluations]
        tables = [f"{title}\n\n{table}" for title, table in zip(titles, tables, strict=True)]
    click.echo("\n\n".join(tables))
