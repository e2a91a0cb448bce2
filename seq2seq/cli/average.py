"""seq2seq-average: the mean of several checkpoints as one model."""

import click

from seq2seq.cli.common import command


@command
@click.argument("run")
@click.option(
    "--last", type=click.IntRange(1), default=5, show_default=True, help="How many checkpoints, the newest ones."
)
@click.option("--output", type=click.Path(), required=True, help="The model folder to write.")
def main(run: str, last: int, output: str) -> None:
    """Averages the weights of the last checkpoints of RUN, a run folder, into a model folder.

    \b
    seq2seq-average runs/demo --last 5 --output runs/demo_average
    """  # noqa: D301 (click reads the control character)
    from pathlib import Path

    from seq2seq.train.checkpoint import average_checkpoints

    steps = average_checkpoints(Path(run), last, Path(output))
    click.echo(f"average of the checkpoints of steps {', '.join(map(str, steps))}: {output}", err=True)
