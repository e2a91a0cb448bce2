"""seq2seq-translate: raw text in, raw text out."""

import json
import sys
from contextlib import ExitStack
from typing import Any

import click

from seq2seq.cli.common import command, device_option, prepare_torch, threads_option


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.option("--input", "source", type=click.Path(), help="Text file, plain or .gz.  [default: stdin]")
@click.option("--output", type=click.Path(), help="Where the translations go.  [default: stdout]")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
              help="jsonl: one object for each line, with scores and flags.")  # fmt: skip
@click.option("--beam-size", type=click.IntRange(1, 1000), help="Hypotheses followed at once; 1 is greedy.")
@click.option(
    "--n-best", type=click.IntRange(1), default=1, show_default=True, help="Translations for each line (jsonl)."
)
@click.option("--length-penalty", type=click.FloatRange(0), help="Exponent of the length penalty.")
@click.option("--length-norm", type=click.Choice(["gnmt", "length", "none"]), help="Kind of length penalty.")
@click.option("--min-length", type=click.IntRange(0), help="Shortest translation in tokens.")
@click.option("--max-length-ratio", type=float, help="Longest translation: this times the source's tokens, plus 10.")
@click.option("--batch-tokens", type=click.IntRange(1), help="Source tokens translated at once.")
@click.option("--batch-size", type=click.IntRange(1), help="Sentences translated at once, at the most.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="Number format of the products.")
@device_option
@threads_option
@click.version_option(package_name="seq2seq")
@command
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

    from seq2seq.decode.translator import Translator
    from seq2seq.errors import Seq2SeqError
    from seq2seq.text.lines import forgiving_lines, open_binary

    chosen = {key: value for key, value in decode.items() if value is not None}
    translator = Translator.load(model, device, batch_size, **chosen)
    if n_best > translator.decode.beam_size:
        raise Seq2SeqError(f"--n-best {n_best} is more than the beam size, {translator.decode.beam_size}")
    if n_best > 1 and form == "text":
        raise Seq2SeqError("--n-best needs --format jsonl: text holds one translation for each line")
    with ExitStack() as stack:
        lines = stack.enter_context(open_binary(Path(source))) if source else sys.stdin.buffer
        out = stack.enter_context(open(output, "wb")) if output else sys.stdout.buffer
        written = split = truncated = 0
        for translation in translator.translate_stream(forgiving_lines(lines), n_best):
            record = translation.record(n_best) if form == "jsonl" else None
            text = json.dumps(record, ensure_ascii=False) if record else translation.text
            out.write(text.encode("utf-8", "replace") + b"\n")
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
