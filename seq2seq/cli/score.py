"""seq2seq-score: how probable given translations are."""

import json
import math
from typing import Any

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    command,
    device_option,
    given,
    open_output,
    precision_option,
    prepare_torch,
    target_language_option,
    threads_option,
)


@command
@click.argument("model")
@click.option("--source", type=click.Path(), required=True, help="Text file, plain or .gz.")
@click.option("--target", type=click.Path(), required=True, help="Its translation, line by line.")
@click.option("--output", type=click.Path(), help="Where the scores go.  [default: stdout]")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
              help="text: the log-probability of each line; jsonl: that of each token too.")  # fmt: skip
@batch_tokens_option
@target_language_option
@precision_option
@device_option
@threads_option
def main(
    model: str,
    source: str,
    target: str,
    output: str | None,
    form: str,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Gives the log-probability (nats, end of sentence included) of each line of --target as translation of --source.

    The perplexity per token over all lines goes to stderr.
    """
    prepare_torch(threads)
    from pathlib import Path

    from seq2seq.decode.scorer import Scorer
    from seq2seq.text.corpora import aligned_lines

    scorer = Scorer.load(model, device, **given(decode))
    pairs = aligned_lines(Path(source), Path(target))
    total, n_tokens, n_lines = 0.0, 0, 0
    with open_output(output) as out:
        for line in scorer.score_stream(pairs):
            text = json.dumps(line.record(), ensure_ascii=False) if form == "jsonl" else f"{line.log_prob:.6f}"
            out.write(text.encode() + b"\n")
            total, n_tokens, n_lines = total + line.log_prob, n_tokens + len(line.tokens), n_lines + 1
        out.flush()
    if n_tokens:
        click.echo(f"{n_lines:,} lines, {n_tokens:,} tokens, perplexity {math.exp(-total / n_tokens):.4f}", err=True)
