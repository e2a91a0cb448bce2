"""seq2seq-evaluate: how good translations are."""

import json

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    beam_size_option,
    command,
    device_option,
    given,
    precision_option,
    prepare_torch,
    threads_option,
)


@command
@click.argument("model", required=False)
@click.option("--source", type=click.Path(), help="Text that MODEL translates.")
@click.option("--hypothesis", type=click.Path(), help="Translations to score, instead of MODEL and --source.")
@click.option("--reference", type=click.Path(), required=True, help="Correct translations, one for each line.")
@click.option("--output", type=click.Path(), help="Where MODEL's translations go, if they are to be kept.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@beam_size_option
@batch_tokens_option
@precision_option
@device_option
@threads_option
def main(
    model: str | None,
    source: str | None,
    hypothesis: str | None,
    reference: str,
    output: str | None,
    as_json: bool,
    beam_size: int | None,
    batch_tokens: int | None,
    precision: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Scores the translations of MODEL, or those in a file, against references: BLEU, chrF and TER by sacrebleu.

    \b
    seq2seq-evaluate runs/demo --source test.en --reference test.de
    seq2seq-evaluate --hypothesis output.de --reference test.de
    """  # noqa: D301 (click reads the control character)
    from pathlib import Path

    from seq2seq.errors import DataError, Seq2SeqError
    from seq2seq.evaluate.metrics import score
    from seq2seq.files import whole_file
    from seq2seq.text.lines import read_lines

    if (model is None) == (hypothesis is None) or (model is None) != (source is None):
        raise Seq2SeqError("give either MODEL and --source, or --hypothesis")
    if hypothesis is not None and (beam_size or batch_tokens or precision or output):
        raise Seq2SeqError("--beam-size, --batch-tokens, --precision and --output go with MODEL, not with --hypothesis")
    if output and not Path(output).absolute().parent.is_dir():
        raise Seq2SeqError(f"{output}: its folder does not exist")
    given_lines = str(hypothesis if model is None else source)
    lines, references = list(read_lines(Path(given_lines))), list(read_lines(Path(reference)))
    if len(lines) != len(references):
        raise DataError(f"{given_lines} has {len(lines):,} lines and {reference} has {len(references):,}")
    if model is None:
        hypotheses = lines
    else:
        prepare_torch(threads)
        from seq2seq.decode.translator import Translator

        decode = given({"beam_size": beam_size, "batch_tokens": batch_tokens, "precision": precision})
        hypotheses = Translator.load(model, device, **decode).translate(lines)
    if output:
        with whole_file(Path(output)) as file:
            file.writelines(line.encode() + b"\n" for line in hypotheses)
    scores = score(hypotheses, references)
    click.echo(json.dumps(scores.record(), indent=2) if as_json else scores.text())
