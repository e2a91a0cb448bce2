"""seq2seq-generate: a language model continues texts."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    beam_size_option,
    command,
    device_option,
    given,
    heading,
    open_output,
    precision_option,
    prepare_torch,
    threads_option,
)
from seq2seq.errors import Seq2SeqError

if TYPE_CHECKING:
    from seq2seq.decode.generator import Generator

SEPARATOR = "-----"  # a line between two texts
DRAWING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")  # what a search has no use for


@command
@click.argument("model")
@heading("Input and output")
@click.option("--prompt", help='Text to continue; "" begins a new one.')
@click.option("--input", "source", type=click.Path(), help="File with a prompt on each line, plain, .gz or .zst.  "
              "[default: stdin]")  # fmt: skip
@click.option("--output", type=click.Path(), help="Where the texts go.  [default: stdout]")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
              help="text: prompts with what follows them; jsonl: one object for each text, with log-probabilities."
              )  # fmt: skip
@heading("Texts")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Texts for each prompt.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Longest continuation in tokens.")
@click.option("--stop", multiple=True, help="A text ends in front of this; may be repeated. In most "
              "shells a line break is $'\\n'.")  # fmt: skip
@click.option("--begin", is_flag=True, help="Each prompt begins a text; else it may stand in the midst of one.")
@heading("Drawing and search")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed draws other texts.")
@click.option("--temperature", type=click.FloatRange(0), help="Below 1 probable tokens are more so; 0 is greedy.")
@click.option("--top-k", type=click.IntRange(0), help="Draw from this many most probable tokens; 0: from all.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Draw from the most probable tokens that "
              "hold this share.")  # fmt: skip
@click.option("--min-p", type=click.FloatRange(0, 1), help="Draw from tokens this times as probable as the best one.")
@click.option("--repetition-penalty", type=click.FloatRange(0, min_open=True), help="Makes tokens that have occurred "
              "less probable; 1: not at all.")  # fmt: skip
@beam_size_option
@heading("Computing")
@batch_tokens_option
@precision_option
@device_option
@threads_option
def main(
    model: str,
    prompt: str | None,
    source: str | None,
    output: str | None,
    form: str,
    samples: int,
    stop: tuple[str, ...],
    begin: bool,
    seed: int,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Continues texts with MODEL, a run folder or a model folder of a language model.

    Options not given are those of the recipe's decode section. Tokens are drawn, or with --beam-size the most probable
    text is searched for. On a terminal a text appears as it is written. The same seed gives the same texts, with
    --precision fp32 in whatever batch.

    \b
    seq2seq-generate runs/shakespeare --prompt "ROMEO:" --temperature 0.8 --stop "JULIET:"
    seq2seq-generate runs/shakespeare --input prompts.txt --samples 5 --format jsonl
    """  # noqa: D301 (click reads the control character)
    _check_options(prompt, source, output, decode)
    prepare_torch(threads)
    from pathlib import Path

    from seq2seq.decode.generator import STREAM_PROMPTS, Generator
    from seq2seq.text.lines import forgiving_lines, json_line, read_raw

    generator = Generator.load(model, device, **given(decode))
    prompts: Iterable[str]
    if prompt is not None:
        prompts = [prompt]
    else:
        prompts = forgiving_lines(read_raw(Path(source)) if source else sys.stdin.buffer, source or "stdin")
    options = {"seed": seed, "stop": stop, "begin": begin}
    if form == "text" and not output and sys.stdout.isatty() and not generator.decode.beam_size:
        _write_as_produced(generator, prompts, samples, options)
        return
    # Who types wants an answer to each line; everybody else wants many lines at once.
    typed = prompt is None and source is None and sys.stdin.isatty()
    found = generator.generate_stream(prompts, samples, 1 if typed else STREAM_PROMPTS, **options)
    with open_output(output) as out:
        for number, continuation in enumerate(continuation for row in found for continuation in row):
            if form == "jsonl":
                text = json_line(continuation.record())
            else:
                text = f"{SEPARATOR}\n" * (number > 0) + continuation.prompt + continuation.text
            out.write(text.encode("utf-8", "replace") + b"\n")
            if typed:
                out.flush()
        out.flush()


def _check_options(prompt: str | None, source: str | None, output: str | None, decode: dict[str, Any]) -> None:
    """Refuses options that contradict each other, and settles whether tokens are drawn.

    Raises:
        Seq2SeqError: there are such.
    """
    if prompt is not None and source is not None:
        raise Seq2SeqError("--prompt and --input both say what to continue: give one of them")
    drawing = [f"--{name.replace('_', '-')}" for name in DRAWING if decode[name] is not None]
    if decode["beam_size"] and drawing:
        raise Seq2SeqError(f"--beam-size searches and draws nothing: leave out {', '.join(drawing)}")
    if drawing:
        decode["beam_size"] = 0  # even if the recipe searches
    if (prompt is None and source is None and sys.stdin is None) or (output is None and sys.stdout is None):
        raise Seq2SeqError("stdin or stdout is closed: give --prompt or --input, and --output")


def _write_as_produced(generator: "Generator", prompts: Iterable[str], samples: int, options: dict[str, Any]) -> None:
    """Writes one text after another to the terminal, each as it is written."""
    for number, (prompt, sample) in enumerate((prompt, j) for prompt in prompts for j in range(samples)):
        if number:
            _show(f"{SEPARATOR}\n")
        _show(prompt)
        for piece in generator.stream(prompt, sample, **options):
            _show(piece)
        _show("\n")


def _show(text: str) -> None:
    """Writes text to the terminal at once."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
