"""seq2seq-translate: raw text in, raw text out."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from seq2seq.cli.common import (
    batch_tokens_option,
    beam_size_option,
    command,
    device_option,
    ended_by_sigterm,
    given,
    heading,
    open_output,
    precision_option,
    prepare_torch,
    shortlist_option,
    target_language_option,
    threads_option,
    visible,
)
from seq2seq.cli.steering import check_drawing, read_steering, sampling_options, search_options, steering_options
from seq2seq.errors import RunError, Seq2SeqError

if TYPE_CHECKING:
    from pathlib import Path

    from seq2seq.cli.progress import Progress
    from seq2seq.decode.alignment import Kind, OutputAligner
    from seq2seq.decode.bulk import Align, BulkTranslation
    from seq2seq.decode.shards import Shard
    from seq2seq.decode.tally import Tally
    from seq2seq.decode.translator import Translator


def _read_shard(ctx: click.Context, param: click.Parameter, value: str | None) -> "Shard | None":
    """Reads I/N, the I-th of N parts."""
    if value is None:
        return None
    from seq2seq.decode.shards import Shard

    found = re.fullmatch(r"(\d+)/(\d+)", value)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"{value!r} is not I/N with I from 1 to N, such as 3/8")
    return Shard(int(found[1]), int(found[2]))


@command
@click.argument("model")
@heading("Input and output")
@click.option("--input", "source", type=click.Path(), help="Text file, plain, .gz or .zst.  [default: stdin]")
@click.option("--output", type=click.Path(), help="Where the translations go, compressed if it is named .gz or .zst. "
              " [default: stdout]")  # fmt: skip
@target_language_option
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True,
              help="jsonl: one object for each line, with scores and flags.")  # fmt: skip
@click.option(
    "--n-best", type=click.IntRange(1), default=1, show_default=True, help="Translations for each line (jsonl)."
)
@click.option("--token-scores", is_flag=True, help="Add the log-probability of each token and word (jsonl).")
@click.option("--alignment", type=click.Choice(["hard", "soft"]), help="Add which words come from which: links of "
              "words, or (jsonl) the weight of each source word in each word.")  # fmt: skip
@click.option("--alignment-output", type=click.Path(), help="Where hard alignments go, a line \"0-0 1-2 ...\" for each "
              "line; with jsonl they are in the objects.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where the same command was stopped or killed; needs --output.")
@click.option("--shard", metavar="I/N", callback=_read_shard, help="Translate the I-th of N parts of --input, for "
              "seq2seq-merge to join; a finished part is left as it is.")  # fmt: skip
@heading("Search")
@beam_size_option
@search_options
@click.option("--with", "others", multiple=True, metavar="MODEL", help="Another model with the same tokenizer, whose "
              "probabilities are averaged with MODEL's; may be repeated.")  # fmt: skip
@shortlist_option
@sampling_options
@steering_options
@heading("Checks")
@click.option("--guard", is_flag=True, help="Try translations that seem wrong (loops, copies, lengths, lost numbers) "
              "once more, and flag those that still do.")  # fmt: skip
@click.option("--strict", is_flag=True, help="End with exit code 2 if a line could not be translated or its "
              "translation was cut off.")  # fmt: skip
@heading("Computing")
@batch_tokens_option
@click.option("--batch-size", type=click.IntRange(1), help="Sentences translated at once, at the most.")
@precision_option
@device_option
@threads_option
def main(
    model: str,
    source: str | None,
    output: str | None,
    resume: bool,
    shard: "Shard | None",
    strict: bool,
    form: str,
    alignment: "Kind | None",
    alignment_output: str | None,
    token_scores: bool,
    n_best: int,
    others: tuple[str, ...],
    seed: int | None,
    glossary: str | None,
    forbidden: str | None,
    prefixes: str | None,
    keep: tuple[str, ...],
    guard: bool,
    batch_size: int | None,
    device: str,
    threads: int | None,
    **decode: Any,
) -> None:
    """Translates text with MODEL, a run folder or a model folder: one line out for each line in.

    Options not given are those of the recipe's decode section. Blank lines stay blank; a line longer than any the
    model was trained on is split at sentence ends, translated and joined; a line that cannot be translated becomes an
    empty one and is reported on stderr. Until --output is whole it is called OUTPUT.part.

    \b
    echo "The dog sees a cat." | seq2seq-translate runs/demo
    seq2seq-translate runs/demo --input new.en --output new.de --glossary terms.tsv --keep number --guard
    seq2seq-translate runs/demo --input new.en --n-best 3 --format jsonl > new.jsonl
    seq2seq-translate runs/demo --input big.en.gz --output big.de.gz --resume
    seq2seq-translate runs/demo --input big.en --output big.de.3 --shard 3/8
    """  # noqa: D301 (click reads the control character)
    _check_files(source, output, resume, shard, prefixes)
    _check_alignment(form, alignment, alignment_output, resume or shard is not None)
    if form == "text" and (n_best > 1 or token_scores):
        raise Seq2SeqError(f"{'--n-best' if n_best > 1 else '--token-scores'} needs --format jsonl")
    prepare_torch(threads)
    from pathlib import Path

    from seq2seq.decode.bulk import describe_job
    from seq2seq.decode.translator import Translator
    from seq2seq.model.folder import find_model, model_hash

    folder = find_model(Path(model))
    steering = read_steering(glossary, forbidden, keep)
    options = {"others": others, "steering": steering, "guard": guard, "seed": seed, **given(decode)}
    translator = Translator.load(folder, device, batch_size, **options)
    if n_best > translator.most:
        decoding = translator.decode
        found = "--beam-size" if decoding.mbr == "none" else "the smaller of --beam-size and --candidates"
        what = "the samples, --candidates" if decoding.search == "sampling" else found
        raise Seq2SeqError(f"--n-best {n_best} is more than {what}, {translator.most}")
    check_drawing(translator.decode, decode)
    if translator.doubt and form == "jsonl":
        click.echo(visible(f"no confidence: {translator.doubt}"), err=True)
    hashes = [model_hash(each) for each in (folder, *(find_model(Path(other)) for other in others))]
    job = describe_job(translator, hashes, n_best, form == "jsonl", token_scores)
    with ended_by_sigterm(), _aligning(translator, job, alignment, alignment_output) as align:
        tally = _translate(translator, job, source, output, resume, shard, align, prefixes)
    _sum_up(tally)
    if strict and (tally.failed or tally.truncated):
        sys.exit(2)


def _check_files(
    source: str | None, output: str | None, resume: bool, shard: "Shard | None", prefixes: str | None
) -> None:
    """Checks that the options about files go together.

    Raises:
        Seq2SeqError: they do not.
    """
    from pathlib import Path

    from seq2seq.files import is_plain

    if (source is None and sys.stdin is None) or (output is None and sys.stdout is None):
        raise Seq2SeqError("stdin or stdout is closed: give --input and --output")
    if (resume or shard) and (output is None or not is_plain(Path(output))):
        raise Seq2SeqError(f"{'--resume' if resume else '--shard'} needs --output, a file")
    if shard and source is None:
        raise Seq2SeqError("--shard needs --input: nobody knows where the parts of stdin end")
    if prefixes and (resume or shard):
        raise Seq2SeqError("--prefixes are for a whole input: they go with neither --resume nor --shard")


def _check_alignment(form: str, alignment: "Kind | None", alignment_output: str | None, in_pieces: bool) -> None:
    """Checks that the options about alignments go together.

    Raises:
        Seq2SeqError: they do not.
    """
    if alignment_output is not None and (alignment != "hard" or form != "text"):
        raise Seq2SeqError(
            "--alignment-output is for --alignment hard with text; with --format jsonl the objects hold them"
        )
    if alignment == "soft" and form != "jsonl":
        raise Seq2SeqError("--alignment soft needs --format jsonl")
    if alignment == "hard" and form == "text" and alignment_output is None:
        raise Seq2SeqError("--alignment needs --alignment-output FILE, or --format jsonl")
    if alignment_output is not None and in_pieces:
        raise Seq2SeqError("--resume and --shard go on with one file: with them use --format jsonl for alignments")


@contextmanager
def _aligning(
    translator: "Translator", job: dict[str, Any], alignment: "Kind | None", alignment_output: str | None
) -> "Iterator[OutputAligner | None]":
    """Yields what aligns the lines, if it is asked for; what decides about the output is added to the job."""
    if alignment is None:
        yield None
        return
    from seq2seq.decode.alignment import Aligner, OutputAligner

    aligner = Aligner(translator.trained, translator.language)
    if alignment_output is None:
        job["alignment"] = alignment
        yield OutputAligner(aligner, alignment)
        return
    with open_output(alignment_output) as out:
        yield OutputAligner(aligner, alignment, out)


def _translate(
    translator: "Translator",
    job: dict[str, Any],
    source: str | None,
    output: str | None,
    resume: bool,
    shard: "Shard | None",
    align: "Align | None",
    prefixes: str | None,
) -> "Tally":
    """Translates the input into the output; returns what has become of the lines."""
    from pathlib import Path

    from seq2seq.cli.progress import Progress
    from seq2seq.decode.bulk import BulkTranslation
    from seq2seq.decode.shards import finished_shard, manifest_of, shard_of
    from seq2seq.decode.tally import State
    from seq2seq.decode.token_scores import TokenScorer
    from seq2seq.decode.translator import STREAM_LINES
    from seq2seq.files import is_plain
    from seq2seq.text.inputs import open_text
    from seq2seq.text.lines import read_lines

    span = manifest = None
    if shard and source and output:
        span, identity = shard_of(Path(source), shard)
        job, manifest = job | identity, manifest_of(Path(output))
        if finished := finished_shard(Path(output), job, resume):
            click.echo(f"{output}: shard {shard} is finished already", err=True)
            return State.of(finished).tally
    typed = source is None and sys.stdin.isatty()
    quiet = typed or (output is None and sys.stdout.isatty())
    path, context = Path(source) if source else None, translator.context
    with open_text(path, span, context) as text, Progress(quiet) as progress:
        # Who types wants an answer to each line; everybody else wants many lines at once.
        at_once = 1 if typed else STREAM_LINES
        jsonl, begins = job["format"] == "jsonl", read_lines(Path(prefixes)) if prefixes else None
        score = TokenScorer(translator.searcher.models) if "token_scores" in job else None
        bulk = BulkTranslation(translator, text, job["n_best"], jsonl, at_once, align, begins, score)
        if output and is_plain(Path(output)):
            _into_file(bulk, progress, Path(output), job, resume, manifest)
        else:
            with open_output(output) as out:

                def write(block: bytes, state: object) -> None:
                    out.write(block)
                    out.flush()

                bulk.run(write, progress)
        progress.sum_up(bulk.tally)
    return bulk.tally


def _into_file(
    bulk: "BulkTranslation",
    progress: "Progress",
    output: "Path",
    job: dict[str, Any],
    resume: bool,
    manifest: "Path | None",
) -> None:
    """Translates into a file that can be gone on with.

    Raises:
        RunError: the input does not begin with what has been translated already.
    """
    from seq2seq.decode.partial import PartialFile

    with PartialFile(output, job, resume, manifest) as file:
        if file.replaces:
            click.echo(f"{file.part} is started over; --resume would have gone on with it", err=True)
        if file.state:
            if not bulk.go_on(file.state):
                raise RunError(
                    f"{file.part}: the input does not begin with the text that has been translated so far\n"
                    "Go on with the same input, or start over without --resume"
                )
            click.echo(f"going on behind line {bulk.tally.lines:,}", err=True)
            progress.begin_at(bulk.tally)
        if not file.finished:
            bulk.run(file.write, progress)


def _sum_up(tally: "Tally") -> None:
    """Says which lines were out of the ordinary."""
    for n, what in (
        (tally.split, "lines were longer than the model's training data and were split"),
        (tally.truncated, "translations were ended at their longest length"),
        (tally.failed, "lines could not be translated and are empty"),
        (tally.retried, "translations seemed wrong and were tried once more"),
    ):
        if n:
            click.echo(f"{n:,} of {tally.lines:,} {what}", err=True)
    if tally.flags:
        kinds = ", ".join(f"{kind.replace('_', ' ')} {n:,}" for kind, n in sorted(tally.flags.items()))
        click.echo(f"still flagged: {kinds}", err=True)
