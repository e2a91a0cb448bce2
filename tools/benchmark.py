"""Measure the speed of training, translating and generating: ours against others, in one run.

    python tools/benchmark.py train [--size tiny|base|big|gpt-124m] [--source FILE --target FILE]
    python tools/benchmark.py translate [MODEL --source FILE [--reference FILE]] [--beam-size 1,5] [--batch-size 1,64]
    python tools/benchmark.py generate [--size gpt-124m] [--batch-size 1,32]

Each system is alone in a process; they take turns, A B C, then C B A, each doing the same work once, so that whatever
else the machine does meets all of them. What is told is the median of the rounds, ratios round by round.

The peers need the extra `bench`: pip install -e '.[bench]'. Other programs should rest meanwhile.
"""

import argparse
import sys
from collections.abc import Sequence

from bench import generate, train, translate
from seq2seq.errors import explain_error

COMMANDS = {"train": train, "translate": translate, "generate": generate}


def main() -> int:
    """Measures what the command line asks for; returns the exit status."""
    options = parse()
    try:
        COMMANDS[options.command].run(options)
    except (Exception, KeyboardInterrupt) as error:
        explained = explain_error(error)
        if explained is None:
            raise
        print(f"error: {explained[0]}", file=sys.stderr)
        return explained[1]
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Measure the speed of this program and of its peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    parsers = {}
    for name, module in COMMANDS.items():
        about = str(module.__doc__)
        parsers[name] = commands.add_parser(
            name,
            help=about.partition("\n")[0],
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_options(parsers[name])
    options = parser.parse_args(arguments)
    COMMANDS[options.command].check_options(parsers[options.command], options)
    return options


if __name__ == "__main__":
    sys.exit(main())
