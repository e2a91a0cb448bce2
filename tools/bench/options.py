"""What the commands of the benchmark have in common on the command line and at its end."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seq2seq.errors import Seq2SeqError

INSTALL = "pip install -e '.[bench]'"


def count(text: str) -> int:
    """Reads a number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def counts(text: str) -> list[int]:
    """Reads one such number or several with commas between them."""
    return [count(part) for part in text.split(",")]


def add_common(parser: argparse.ArgumentParser, systems: Sequence[str], rounds: int) -> None:
    """Adds the options that all commands have.

    Args:
        parser: of a command.
        systems: names of all that can be measured.
        rounds: by default.
    """
    add = parser.add_argument
    add("--rounds", type=count, default=rounds, metavar="N", help="turns of each system (default: %(default)s)")
    add("--device", default="auto", help="cpu, cuda, cuda:1 ... or auto")
    add("--threads", type=count, metavar="N", help="CPU threads (default: all cores)")
    add("--systems", type=lambda names: names.split(","), metavar="A,B,...", help=f"of {', '.join(systems)}")
    add("--json", type=Path, metavar="FILE", help="write all that was found")
    add("--picture", type=Path, metavar="FILE.png", help="draw it")


def check_common(parser: argparse.ArgumentParser, options: argparse.Namespace, systems: Sequence[str]) -> None:
    """Refuses, as argparse does, systems that do not exist."""
    for name in options.systems or ():
        if name not in systems:
            parser.error(f"--systems: no {name!r}; there are {', '.join(systems)}")


def installed(names: Iterable[str], packages: Mapping[str, str]) -> list[str]:
    """Returns those of some systems whose package is installed, each once; says on stderr which are left out.

    Args:
        names: of systems, `family-precision`.
        packages: by the family that needs one.
    """
    chosen = []
    for name in dict.fromkeys(names):
        package = packages.get(name.partition("-")[0])
        if package and find_spec(package) is None:
            leave_out(name, f"{package} is not installed; {INSTALL}")
        else:
            chosen.append(name)
    return chosen


def leave_out(name: str, reason: object) -> None:
    """Says on stderr that a system is not measured, and why."""
    say(f"{name} is left out: {reason}")


def say(words: str) -> None:
    """Says on stderr what goes on."""
    print(words, file=sys.stderr)


def check_picture(options: argparse.Namespace) -> None:
    """Says before anything is measured that nothing could be drawn.

    Raises:
        Seq2SeqError: a picture is wanted and matplotlib is not installed.
    """
    if options.picture and find_spec("matplotlib") is None:
        raise Seq2SeqError(f"--picture needs matplotlib; {INSTALL}")


def keep(
    result: Mapping[str, Any], options: argparse.Namespace, picture: Callable[[Mapping[str, Any], Path], None]
) -> None:
    """Writes what was found where the command line says."""
    from seq2seq.files import write_json

    for path in filter(None, (options.json, options.picture)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.json:
        write_json(options.json, result)
    if options.picture:
        picture(result, options.picture)
