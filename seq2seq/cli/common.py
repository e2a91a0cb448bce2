"""What all commands share: options that bear the same name everywhere, and errors as exit codes."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from seq2seq.errors import Seq2SeqError

P = ParamSpec("P")

device_option = click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ... or auto.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")


def prepare_torch(threads: int | None) -> None:
    """Sets up this process for computing: its memory and, if a number is given, its CPU threads."""
    import torch

    from seq2seq.model.device import keep_freed_memory

    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Turns the errors that a user can mend into one message on stderr and the exit code they carry."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Seq2SeqError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except OSError as error:
            click.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
            sys.exit(2)

    return run
