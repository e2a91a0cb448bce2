"""What all commands share: options that bear the same name everywhere, and errors as exit codes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, ParamSpec

import click

from seq2seq.errors import Terminated, explain_error
from seq2seq.files import whole_file

P = ParamSpec("P")
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}

target_language_option = click.option(
    "--target-language", metavar="CODE", help="Language to translate into, of a model of several."
)
device_option = click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ... or auto.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores; 1 under torchrun]"
)
beam_size_option = click.option(
    "--beam-size", type=click.IntRange(1, 1000), help="Hypotheses followed at once; 1 is greedy."
)
batch_tokens_option = click.option(
    "--batch-tokens", type=click.IntRange(1), help="Tokens computed at once, padding included."
)
precision_option = click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16", "int8"]), help="Number format of the products."
)

shortlist_option = click.option(
    "--shortlist/--no-shortlist", default=None, help="Use only words that the model's shortlist has for each sentence."
)


def prepare_torch(threads: int | None) -> None:
    """Sets up this process for computing: its memory and, if a number is given, its CPU threads."""
    from seq2seq.memory import prepare_memory

    prepare_memory()
    if threads:
        import torch

        torch.set_num_threads(threads)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that were given: those left out keep what the recipe says."""
    return {key: value for key, value in options.items() if value is not None}


@contextmanager
def open_output(path: str | None) -> Iterator[BinaryIO]:
    """Yields the file that results go to, compressed if its name says so, or stdout; see `files.whole_file`."""
    if path is None:
        yield sys.stdout.buffer
        return
    from seq2seq.text.compression import compressing

    with whole_file(Path(path)) as file, compressing(file, Path(path)) as out:
        yield out


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the block as Ctrl-C does, with time to leave what can be resumed."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def visible(text: str) -> str:
    """Returns text that may quote a stranger's so that no terminal obeys it, and all of it can be written as UTF-8."""
    return text.translate(CONTROLS).encode("utf-8", "backslashreplace").decode()


def heading(title: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets --help list the options that follow, up to the next heading, under a title."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        # Decorators are applied from the last one up: what click noted last is the first option that follows.
        first = function.__dict__["__click_params__"][-1].name
        function.__dict__.setdefault("headings", {})[first] = title
        return function

    return add


class _Command(click.Command):
    """A command whose options stand under headings in --help, those that all commands have at the end."""

    headings: Mapping[str | None, str]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "extra argument" in error.message and any("--input" in option.opts for option in self.params):
                raise click.UsageError(f"{error.message}; a file to read is given by --input FILE", ctx) from error
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        title, sections, common = "Options", dict[str, list[tuple[str, str]]](), []
        for option in self.get_params(ctx):
            title = self.headings.get(option.name, title)
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record and option.expose_value:
                sections.setdefault(title, []).append(record)
            elif record:
                common.append(record)
        sections.setdefault("Other options" if self.headings else title, []).extend(common)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)


def command(function: Callable[P, None]) -> click.Command:
    """Makes a command of a function and its options; see `heading`.

    Errors that a user can mend become one message on stderr and the exit code they carry.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except (Exception, KeyboardInterrupt, Terminated) as error:
            explained = explain_error(error)
            if explained is None:
                raise
            message, code = explained
            click.echo(visible("\n".join([f"error: {message}", *getattr(error, "__notes__", [])])), err=True)
            sys.exit(code)

    versioned = click.version_option(package_name="seq2seq")(run)
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    made = click.command(cls=_Command, context_settings=settings)(versioned)
    made.headings = getattr(function, "headings", {})
    return made
