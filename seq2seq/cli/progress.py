"""How far a long translation has come: a bar on a terminal, a line on stderr now and then elsewhere."""

import sys
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
from tqdm import tqdm

from seq2seq.decode.tally import Tally

FIRST, EVERY = 10.0, 60.0  # seconds until the first line, and between two others
REFRESH = 0.5  # seconds between two states of a bar
SHOWN_FAILURES = 10  # lines whose failure is told one by one


class Progress:
    """Tells how it goes, until the block ends of which it is the context manager; see `decode.bulk.Watcher`.

    Args:
        quiet: whether nothing but failures is told.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._before = Tally()
        self._tokens, self._token_speed = 0, 0.0  # known at the end of a chunk only
        self._first_share: float | None = None
        self._failures = 0
        self._begin = self._told = time.monotonic()
        self._on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Any = None
        self._wait = REFRESH if self._on_terminal else FIRST

    def begin_at(self, tally: Tally) -> None:
        """Takes what another process has done off the speeds."""
        self._before = replace(tally)
        self._tokens = tally.tokens

    def show(self, lines: float, tokens: int, share: float | None) -> None:
        """Is told, often, how many lines are done, with how many tokens, and which share of the input."""
        if self._first_share is None:
            self._first_share = share
        now = time.monotonic()
        if self._quiet or now - self._told < self._wait:
            return
        self._told = now
        if self._on_terminal:
            self._move_bar(lines, tokens, share)
            return
        self._wait = EVERY
        words = [self._speed(lines, tokens)]
        if share is not None:
            done = share - (self._first_share or 0.0)
            left = (now - self._begin) * (1 - share) / done if done > 0 else 0.0
            words += [f"{share:.1%} of the input", f"{timedelta(seconds=round(left))} left"]
        self._say(f"{time.strftime('%H:%M:%S')}  {', '.join(words)}")

    def failed(self, line: int, reason: str) -> None:
        """Is told of a line, counted from 1, that could not be translated."""
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            self._say(f"line {line:,} cannot be translated: {reason}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def sum_up(self, tally: Tally) -> None:
        """Sums up what has taken longer than a moment."""
        seconds = time.monotonic() - self._begin
        if not self._quiet and seconds >= FIRST:
            self._say(f"{self._speed(tally.lines, tally.tokens)} in {timedelta(seconds=round(seconds))}")

    def _speed(self, lines: float, tokens: int) -> str:
        seconds = max(time.monotonic() - self._begin, 1e-9)
        if tokens != self._tokens:
            self._tokens, self._token_speed = tokens, (tokens - self._before.tokens) / seconds
        speed = (lines - self._before.lines) / seconds
        return f"{int(lines):,} lines, {speed:,.1f} lines/s" + f", {self._token_speed:,.0f} tokens/s" * (tokens > 0)

    def _move_bar(self, lines: float, tokens: int, share: float | None) -> None:
        if self._bar is None:
            self._bar = self._new_bar(share is not None)
        self._bar.set_postfix_str(self._speed(lines, tokens), refresh=False)
        if share is not None:
            self._bar.n = 100.0 * share
        self._bar.refresh()

    def _new_bar(self, has_end: bool) -> Any:
        bar = tqdm(
            total=100.0 if has_end else None,
            initial=100.0 * (self._first_share or 0.0),
            bar_format="{percentage:5.1f}%|{bar}| {elapsed}<{remaining}{postfix}" if has_end else "{elapsed}{postfix}",
            smoothing=0,
            dynamic_ncols=True,
            leave=False,
        )
        bar.start_t -= time.monotonic() - self._begin  # it is shown only when something can be said
        return bar

    def _say(self, message: str) -> None:
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        else:
            click.echo(message, err=True)
