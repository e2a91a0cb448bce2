"""seq2seq-train: a recipe in, a model out."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seq2seq.cli.common import command, device_option, prepare_torch, threads_option

if TYPE_CHECKING:
    from seq2seq.config import Recipe

CONDITIONS = ("data", "device", "precision", "threads")  # what may change between two starts beside the recipe


@command
@click.argument("recipe", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--dry-run", is_flag=True, help="Print settings, sizes and estimates, prepare the data, and stop.")
@click.option("--list-dropped", metavar="FILE", help="Write the pairs that are not trained on, and why, and stop.")
@click.option("--explain", metavar="KEY", help="Say what a key of a recipe means, and stop.")
@click.option(
    "--accept", multiple=True, metavar="KEY", help="Go on with a run although KEY has changed; may be repeated."
)
@click.option(
    "--rank-timeout", type=click.FloatRange(min=1), default=120.0, show_default=True, metavar="SECONDS",
    help="Under torchrun: end all processes when one gives no sign of life for so long.",
)  # fmt: skip
@device_option
@threads_option
def main(
    recipe: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    list_dropped: str | None,
    explain: str | None,
    accept: tuple[str, ...],
    rank_timeout: float,
    device: str,
    threads: int | None,
) -> None:
    """Trains the model that RECIPE describes; run again, it goes on where it stopped.

    KEY=VALUE replaces a key of the recipe. Several processes train together when started with torchrun.

    \b
    seq2seq-train recipes/demo.yaml
    seq2seq-train recipes/demo.yaml output=runs/short train.max_steps=300 --dry-run
    seq2seq-train --explain train
    torchrun --nproc-per-node 2 --no-python seq2seq-train recipes/demo.yaml
    """  # noqa: D301 (click reads the control character)
    import seq2seq.config as config

    if explain is not None:
        click.echo(config.explain(explain))
        return
    if recipe is None:
        raise click.UsageError("Missing argument 'RECIPE'; for example recipes/demo.yaml.")
    if list_dropped is not None:
        _list_dropped(_load(recipe, overrides, accept), Path(list_dropped))
        return
    if dry_run:
        from seq2seq.train.estimate import estimate

        loaded = _load(recipe, overrides, accept)
        prepare_torch(threads)
        click.echo(config.describe(loaded))
        click.echo(estimate(loaded.settings, device))
        return
    # Several ranks join first, so that all end, with one message, when one of them cannot read the recipe. One alone
    # reads first: a mistyped key is shown at once, before torch is imported.
    early = None if int(os.environ.get("WORLD_SIZE", 1)) > 1 else _load(recipe, overrides, accept)
    from seq2seq.train.distributed import join_ranks
    from seq2seq.train.interruption import Interrupted
    from seq2seq.train.loop import train

    prepare_torch(threads)
    interruption = None
    with join_ranks(device, rank_timeout) as ranks:
        with ranks.main_first():
            loaded = early or _load(recipe, overrides, accept)
        try:
            train(loaded.settings, ranks, frozenset(accept))
        except Interrupted as stopped:
            interruption = stopped
    if interruption:
        if ranks.is_main:
            click.echo(str(interruption), err=True)
        sys.stderr.flush()
        # At once, not waiting for threads that may wait for text. torchrun counts any other exit code of a worker as a
        # failure; status.json says what happened.
        os._exit(0 if "TORCHELASTIC_RUN_ID" in os.environ else 128 + interruption.signum)


def _list_dropped(recipe: "Recipe", path: Path) -> None:
    """Writes the pairs that are left out of the training into a file.

    Raises:
        Seq2SeqError: the recipe trains a language model.
    """
    from seq2seq.config import TranslationSettings
    from seq2seq.errors import Seq2SeqError
    from seq2seq.train.dropped import write_dropped

    if not isinstance(recipe.settings, TranslationSettings):
        raise Seq2SeqError("--list-dropped: a language model is trained on all of its text; leave the option out")
    n = write_dropped(recipe.settings, path)
    click.echo(f"{n:,} pairs in {path}", err=True)


def _load(recipe: str, overrides: tuple[str, ...], accept: tuple[str, ...]) -> "Recipe":
    """Reads the recipe, warns of what is senseless in it, and checks which changes are accepted."""
    import seq2seq.config as config
    from seq2seq.errors import RecipeError

    loaded = config.load_recipe(recipe, overrides)
    if int(os.environ.get("RANK", 0)) == 0:
        for warning in loaded.warnings:
            click.echo(f"warning: {warning}", err=True)
    for key in accept:
        if key in CONDITIONS or config.is_key(key, loaded.settings.task):
            continue
        raise RecipeError(f"--accept {key}: unknown key; a refused run names the keys that it can be told to accept")
    return loaded


if __name__ == "__main__":
    main()
