"""seq2seq-score: how probable given translations or texts are."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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
from seq2seq.errors import Seq2SeqError

if TYPE_CHECKING:
    from seq2seq.decode.scorer import LineScore
    from seq2seq.model.folder import TrainedGPT, TrainedModel


@command
@click.argument("model")
@click.option("--source", type=click.Path(), help="Text file, plain, .gz or .zst; not for a language model.")
@click.option("--target", type=click.Path(), required=True, help="Its translation, line by line; for a language "
              "model: the text.")  # fmt: skip
@click.option("--output", type=click.Path(), help="Where the scores go.  [default: stdout]")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
              help="text: the log-probability of each line, for a language model with its perplexity; jsonl: that of "
              "each token too.")  # fmt: skip
@batch_tokens_option
@target_language_option
@precision_option
@device_option
@threads_option
def main(
    model: str,
    source: str | None,
    target: str,
    output: str | None,
    form: str,
    target_language: str | None,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Gives the log-probability (nats, end of sentence included) of each line of --target as translation of --source.

    A language model gives that of each line of --target by itself, from the beginning of a text, its end not included;
    in text form the perplexity per token stands behind it, after a tab. Lines longer than its window are read as it
    writes: whenever the window is full its older half is dropped.

    The perplexity per token over all lines goes to stderr.

    \b
    seq2seq-score runs/demo --source test.en --target test.de
    seq2seq-score runs/shakespeare --target test.txt --format jsonl
    """  # noqa: D301 (click reads the control character)
    prepare_torch(threads)
    from pathlib import Path

    from seq2seq.model.device import choose_device
    from seq2seq.model.folder import TrainedModel, find_model, load_any
    from seq2seq.text.lines import json_line

    trained = load_any(find_model(Path(model)), choose_device(device), given(decode))
    scores = _scores(trained, source, target, target_language)
    total, n_tokens, n_lines = 0.0, 0, 0
    with open_output(output) as out:
        for line in scores:
            if form == "jsonl":
                text = json_line(line.record())
            elif isinstance(trained, TrainedModel):
                text = f"{line.log_prob:.6f}"
            else:
                text = f"{line.log_prob:.6f}\t{math.nan if line.perplexity is None else line.perplexity:.4f}"
            out.write(text.encode() + b"\n")
            total, n_tokens, n_lines = total + line.log_prob, n_tokens + len(line.tokens), n_lines + 1
        out.flush()
    if n_tokens:
        click.echo(f"{n_lines:,} lines, {n_tokens:,} tokens, perplexity {math.exp(-total / n_tokens):.4f}", err=True)


def _scores(
    trained: "TrainedModel | TrainedGPT", source: str | None, target: str, target_language: str | None
) -> "Iterator[LineScore]":
    """Returns the scores of the lines of a file, or of a pair of files.

    Raises:
        Seq2SeqError: there is a source for a model that needs none, or the other way round.
    """
    from pathlib import Path

    from seq2seq.decode.scorer import Scorer, TextScorer
    from seq2seq.model.folder import TrainedModel
    from seq2seq.text.corpora import aligned_lines
    from seq2seq.text.lines import read_lines

    trained.prepare()
    if isinstance(trained, TrainedModel):
        if source is None:
            raise Seq2SeqError("the model translates: give --source, the text that --target is a translation of")
        return Scorer(trained, target_language).score_stream(aligned_lines(Path(source), Path(target)))
    if source is not None or target_language is not None:
        wrong = "--source" if source is not None else "--target-language"
        raise Seq2SeqError(f"the model is a language model and scores --target by itself: leave out {wrong}")
    return TextScorer(trained).score_stream(read_lines(Path(target)))
