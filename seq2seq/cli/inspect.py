"""seq2seq-inspect: what is wrong with corpora, and what a model folder holds."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seq2seq.cli.common import command, visible
from seq2seq.errors import DataError, ModelError, Seq2SeqError
from seq2seq.files import whole_file

if TYPE_CHECKING:
    from seq2seq.config import Settings
    from seq2seq.evaluate.doctor.examine import Part
    from seq2seq.evaluate.doctor.tokens import Cutter

STREAMED = 1_000_000  # rows of a stream that are read where no limit is given


@command
@click.argument("what", metavar="[RECIPE | MODEL]", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--source", type=click.Path(), help="Text file, plain, .gz or .zst, instead of a recipe.")
@click.option("--target", type=click.Path(), help="Its translation, line by line.")
@click.option("--test-source", type=click.Path(), help="Text to test with.")
@click.option("--test-target", type=click.Path(), help="Its translation.")
@click.option("--source-language", metavar="CODE", help="Language of the source.  [default: as the file's name ends]")
@click.option("--target-language", metavar="CODE", help="Language of the target.  [default: as the file's name ends]")
@click.option(
    "--tokenizer", metavar="MODEL", help="Run, model or tokenizer folder whose tokenizer is looked at.  "
    "[default: that of the recipe, if there is one already]",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1), help="Rows of each corpus to read.  [default: all; of streams 1,000,000]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=click.Path(), help="HTML file for the report, with drawings.")
def main(
    what: str | None,
    overrides: tuple[str, ...],
    source: str | None,
    target: str | None,
    test_source: str | None,
    test_target: str | None,
    source_language: str | None,
    target_language: str | None,
    tokenizer: str | None,
    limit: int | None,
    as_json: bool,
    html: str | None,
) -> None:
    """Inspects the corpora of RECIPE, or text files, or the model in a run folder or model folder MODEL.

    Of corpora it tells what harms a training: files out of step, broken encodings, wrong languages, duplicates, test
    lines seen in training, and more, with places to look at. Of a model it tells what it is and whether each byte is
    as it was written. Exit code 2: the corpora have errors; 4: the model is damaged.

    \b
    seq2seq-inspect recipes/demo.yaml
    seq2seq-inspect --source train.en --target train.de --test-source test.en --test-target test.de --html report.html
    seq2seq-inspect runs/demo
    """  # noqa: D301 (click reads the control character)
    files = (source, target, test_source, test_target)
    if (what is None) == (not any(files)):
        raise Seq2SeqError("give a recipe, a run or model folder, or --source and --target")
    if html and not Path(html).absolute().parent.is_dir():
        raise Seq2SeqError(f"{html}: its folder does not exist")
    called = shlex.join(["seq2seq-inspect", *sys.argv[1:]])
    if what is not None and Path(what).is_dir():
        _inspect_folder(Path(what), as_json, html, called)
        return
    from seq2seq.evaluate.doctor.examine import examine
    from seq2seq.evaluate.doctor.report import Inspection
    from seq2seq.evaluate.doctor.tokens import find_cutter
    from seq2seq.train.monitor import logging_to

    if what is None:
        parts = _parts_of_files(files, (source_language, target_language), limit)
        cutter, notes = (find_cutter(tokenizer) if tokenizer else None), []
    else:
        settings = _settings(what, overrides)
        parts = _parts_of_recipe(settings, limit)
        cutter = find_cutter(tokenizer) if tokenizer else _recipe_cutter(settings)
        notes = [] if cutter else ["No tokenizer was found: training makes it. --tokenizer MODEL names another one."]
    with logging_to(None, speak=sys.stderr.isatty()):
        inspection = Inspection(what or parts[0].rows.name, examine(parts, cutter), notes, called)
    click.echo(json.dumps(inspection.record(), indent=2, ensure_ascii=False) if as_json else inspection.text())
    if html:
        _write(html, inspection.html())
    if inspection.counts["error"]:
        sys.exit(2)


def _write(path: str, page: str) -> None:
    with whole_file(Path(path)) as file:
        file.write(page.encode("utf-8", "replace"))


def _inspect_folder(path: Path, as_json: bool, html: str | None, called: str) -> None:
    """Prints what a model folder holds; exits with the code of a ModelError if it is damaged."""
    from seq2seq.evaluate.doctor.folder import inspect_folder
    from seq2seq.evaluate.doctor.report import folder_html, folder_text

    folder = inspect_folder(path)
    click.echo(json.dumps(folder.record(), indent=2) if as_json else visible(folder_text(folder)))
    if html:
        _write(html, folder_html(folder, called))
    if folder.faults:
        sys.exit(ModelError.exit_code)


def _parts_of_files(files: Sequence[str | None], languages: Sequence[str | None], limit: int | None) -> list["Part"]:
    """Returns the corpora that files make: two of them, or one alone."""
    from seq2seq.evaluate.doctor.examine import TRAIN, Part
    from seq2seq.evaluate.doctor.function_words import language_of_file
    from seq2seq.evaluate.doctor.reading import FileRows

    parts = []
    for role, sides in ((TRAIN, files[:2]), ("test", files[2:])):
        given = [(Path(side), language) for side, language in zip(sides, languages, strict=True) if side]
        for path, _ in given:
            if not path.is_file():
                raise DataError(f"{path}: {'is no plain file' if path.exists() else 'no such file'}")
        if given:
            codes = tuple(language or language_of_file(path) for path, language in given)
            parts.append(Part(role, FileRows([path for path, _ in given], codes, limit)))
    return parts


def _settings(recipe: str, overrides: Sequence[str]) -> "Settings":
    """Reads a recipe and warns of what is senseless in it."""
    import seq2seq.config as config

    loaded = config.load_recipe(recipe, overrides)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return loaded.settings


def _parts_of_recipe(settings: "Settings", limit: int | None) -> list["Part"]:
    """Returns the corpora of a recipe.

    Raises:
        DataError: one of them is missing.
    """
    from seq2seq.config import TranslationSettings
    from seq2seq.evaluate.doctor.examine import TRAIN, Part
    from seq2seq.evaluate.doctor.reading import open_rows, open_text
    from seq2seq.text.corpora import open_corpus
    from seq2seq.text.documents import open_documents

    def most(streaming: bool) -> int | None:
        return limit or (STREAMED if streaming else None)

    if isinstance(settings, TranslationSettings):
        data = settings.data
        pairs = [(TRAIN, data.train), ("valid", data.valid_corpora), ("test", data.test_corpora)]
        return [
            Part(role, open_rows(open_corpus(corpus, data), most(role == TRAIN and data.streaming)))
            for role, corpora in pairs
            for corpus in corpora
        ]
    text = settings.data
    texts = [(TRAIN, text.train), ("valid", text.valid_corpora), ("test", text.test_corpora)]
    return [
        Part(role, open_text(open_documents(corpus, text), most(role == TRAIN and text.streaming)), running=True)
        for role, corpora in texts
        for corpus in corpora
    ]


def _recipe_cutter(settings: "Settings") -> "Cutter | None":
    """Returns the tokenizer that training by a recipe would use, if there is one already."""
    from seq2seq.config import TranslationSettings
    from seq2seq.evaluate.doctor.tokens import Cutter, find_cutter, usual_limits
    from seq2seq.text.corpora import open_corpus
    from seq2seq.train.prepare import find_tokenizer

    limits = settings.data if isinstance(settings, TranslationSettings) else usual_limits()
    if settings.train.init_from:
        return Cutter(settings.train.init_from, find_cutter(settings.train.init_from).tokenizer, limits)
    if isinstance(settings, TranslationSettings):
        corpora = [open_corpus(corpus, settings.data, settings.data.on_bad_utf8) for corpus in settings.data.train]
        if cached := find_tokenizer(corpora, settings.tokenizer, settings.data):
            return Cutter("of this recipe, from the cache", cached, limits)
    try:
        return Cutter(f"of {settings.output}", find_cutter(settings.output).tokenizer, limits)
    except ModelError:
        return None


if __name__ == "__main__":
    main()
