"""seq2seq-translate: raw text in, raw text out."""

import json
import sys
from typing import Any

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    beam_size_option,
    command,
    device_option,
    given,
    open_output,
    precision_option,
    prepare_torch,
    shortlist_option,
    target_language_option,
    threads_option,
)


@command
@click.argument("model")
@click.option("--input", "source", type=click.Path(), help="Text file, plain or .gz.  [default: stdin]")
@click.option("--output", type=click.Path(), help="Where the translations go.  [default: stdout]")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
              help="jsonl: one object for each line, with scores and flags.")  # fmt: skip
@beam_size_option
@click.option(
    "--n-best", type=click.IntRange(1), default=1, show_default=True, help="Translations for each line (jsonl)."
)
@click.option("--length-penalty", type=click.FloatRange(0), help="Exponent of the length penalty.")
@click.option("--length-norm", type=click.Choice(["gnmt", "length", "none"]), help="Kind of length penalty.")
@click.option("--min-length", type=click.IntRange(0), help="Shortest translation in tokens.")
@click.option("--max-length-ratio", type=float, help="Longest translation: this times the source's tokens, plus 10.")
@batch_tokens_option
@click.option("--batch-size", type=click.IntRange(1), help="Sentences translated at once, at the most.")
@target_language_option
@shortlist_option
@precision_option
@device_option
@threads_option
def main(
    model: str,
    source: str | None,
    output: str | None,
    form: str,
    n_best: int,
    batch_size: int | None,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Translates text with MODEL, a run folder or a model folder: one line out for each line in.

    Options not given are those of the recipe's decode section. Blank lines stay blank; a line longer than any the
    model was trained on is split at sentence ends, translated and joined.
    """
    prepare_torch(threads)
    from pathlib import Path

    from seq2seq.decode.translator import STREAM_LINES, Translator
    from seq2seq.errors import Seq2SeqError
    from seq2seq.text.lines import forgiving_lines, read_raw

    translator = Translator.load(model, device, batch_size, **given(decode))
    if n_best > translator.decode.beam_size:
        raise Seq2SeqError(f"--n-best {n_best} is more than the beam size, {translator.decode.beam_size}")
    if n_best > 1 and form == "text":
        raise Seq2SeqError("--n-best needs --format jsonl: text holds one translation for each line")
    if (source is None and sys.stdin is None) or (output is None and sys.stdout is None):
        raise Seq2SeqError("stdin or stdout is closed: give --input and --output")
    lines = forgiving_lines(read_raw(Path(source)) if source else sys.stdin.buffer)
    # Who types wants an answer to each line; everybody else wants many lines at once.
    at_once = 1 if source is None and sys.stdin.isatty() else STREAM_LINES
    written = split = truncated = 0
    with open_output(output) as out:
        for translation in translator.translate_stream(lines, n_best, at_once):
            record = translation.record(n_best) if form == "jsonl" else None
            text = json.dumps(record, ensure_ascii=False) if record else translation.text
            out.write(text.encode("utf-8", "replace") + b"\n")
            if at_once == 1:
                out.flush()
            written += 1
            split += translation.parts > 1
            truncated += translation.truncated
        out.flush()
    if split:
        click.echo(
            f"{split:,} of {written:,} lines were longer than the model's training data and were split", err=True
        )
    if truncated:
        click.echo(f"{truncated:,} of {written:,} translations were ended at their longest length", err=True)
