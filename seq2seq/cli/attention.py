"""seq2seq-attention: where every head of a model looks."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seq2seq.cli.common import (
    beam_size_option,
    command,
    device_option,
    given,
    precision_option,
    prepare_torch,
    target_language_option,
    threads_option,
    visible,
)
from seq2seq.errors import Seq2SeqError
from seq2seq.files import whole_file

if TYPE_CHECKING:
    from seq2seq.evaluate.heads import Attentions
    from seq2seq.model.folder import TrainedGPT, TrainedModel


@command
@click.argument("model")
@click.option("--source", metavar="TEXT", help="What a translation model reads.")
@click.option("--target", metavar="TEXT", help="Its translation.  [default: the model's own]")
@click.option("--before", metavar="TEXT", multiple=True, help="A sentence in front of --source, for a model with "
              "data.context; may be repeated.")  # fmt: skip
@click.option("--text", metavar="TEXT", help="What a language model reads.")
@click.option("--output", type=click.Path(), required=True, help="A file in .html, for a page to look around in, or "
              "in .png, for a picture of all heads.")  # fmt: skip
@beam_size_option
@target_language_option
@precision_option
@device_option
@threads_option
def main(
    model: str,
    source: str | None,
    target: str | None,
    before: tuple[str, ...],
    text: str | None,
    output: str,
    target_language: str | None,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Draws where every head of every layer of MODEL looks while it reads a sentence.

    Of a translation model: encoder, decoder and cross-attention, for --source and its translation. Of a language
    model: self-attention, for --text. No side may have more than 200 tokens. The page needs nothing but a browser.

    \b
    seq2seq-attention runs/demo --source "The dog sees a cat." --output attention.html
    seq2seq-attention runs/shakespeare --text "To be, or not to be" --output attention.png
    """  # noqa: D301 (click reads the control character)
    kind = Path(output).suffix.lower()
    if kind not in (".html", ".png"):
        raise Seq2SeqError(f"--output {output}: must end in .html or .png")
    if not Path(output).absolute().parent.is_dir():
        raise Seq2SeqError(f"{output}: its folder does not exist")
    prepare_torch(threads)
    from seq2seq.evaluate.heads import attention_page, attention_png
    from seq2seq.model.device import choose_device
    from seq2seq.model.folder import find_model, load_any

    trained = load_any(find_model(Path(model)), choose_device(device), given(decode))
    found = _look(trained, source, target, before, text, target_language)
    for name, read in found.texts.items():
        click.echo(visible(f"{name}: {read}"), err=True)
    if kind == ".png":
        content = attention_png(found)
    else:
        page = attention_page(found, model, shlex.join(["seq2seq-attention", *sys.argv[1:]]))
        content = page.encode("utf-8", "replace")
    with whole_file(Path(output)) as file:
        file.write(content)


def _look(
    trained: "TrainedModel | TrainedGPT",
    source: str | None,
    target: str | None,
    before: tuple[str, ...],
    text: str | None,
    target_language: str | None,
) -> "Attentions":
    """Returns the weights of what was given.

    Raises:
        Seq2SeqError: it is not what the model reads.
    """
    from seq2seq.evaluate.heads import look_at_pair, look_at_text
    from seq2seq.model.folder import TrainedModel

    trained.prepare()
    if isinstance(trained, TrainedModel):
        if source is None or text is not None:
            raise Seq2SeqError("the model translates: give --source, and --target if you like, but no --text")
        return look_at_pair(trained, source, target, target_language, before)
    of_pairs = {"--source": source, "--target": target, "--before": before, "--target-language": target_language}
    if text is None or any(of_pairs.values()):
        raise Seq2SeqError(f"the model is a language model: give --text, but no {', '.join(of_pairs)}")
    return look_at_text(trained, text)
