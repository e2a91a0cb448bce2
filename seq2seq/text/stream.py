"""Text as it is produced: what may be shown while more tokens are to come."""

from collections.abc import Callable, Sequence

CONTEXT = 16  # tokens in front of a new one with which it is decoded: whether a space is shown depends on them
REPLACEMENT, UNFINISHED = "\ufffd", 3  # what a byte without its character becomes; the most bytes of a begun one
ESCAPE = "\ue000"  # see `codecs.ESCAPES`: the character behind it says what it stands for


class TextStream:
    """Makes text of tokens that come one at a time; whole characters only.

    Tokens may end inside a character, whose bytes then decode to U+FFFD: up to three of them at the end wait for what
    follows.

    Args:
        decode: makes text of ids.
        context: ids of the text that the tokens continue.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], context: Sequence[int] = ()) -> None:
        self._decode = decode
        self._tokens = list(context[-4 * CONTEXT :])
        self._shown = len(decode(self._tokens))  # characters of the tokens' text that have been returned

    def push(self, *tokens: int) -> str:
        """Returns the text that is certain after some more tokens, without what has been returned before."""
        self._tokens += tokens
        text = self._decode(self._tokens)
        certain = text[: len(text) - _unfinished(text)]
        new = certain[self._shown :]
        self._shown = max(self._shown, len(certain))
        if len(certain) == len(text):
            self._forget()
        return new

    def close(self) -> str:
        """Returns the rest of the text: what is unfinished stays so."""
        return self._decode(self._tokens)[self._shown :]

    def _forget(self) -> None:
        """Drops tokens that no longer count for what is to come, so that decoding a long text takes no longer."""
        if len(self._tokens) >= 4 * CONTEXT:
            last = self._tokens[-CONTEXT:]
            text = self._decode(last)
            if text.strip():  # spaces alone would be taken for those in front of a text
                self._tokens, self._shown = last, len(text)


def _unfinished(text: str) -> int:
    """Returns how many characters at the end of a text may still become others."""
    begun = min(UNFINISHED, len(text) - len(text.rstrip(REPLACEMENT)))
    return begun + text[: len(text) - begun].endswith(ESCAPE)


class StopStrings:
    """Lets text through until one of some strings is complete; it and what follows stay back.

    Args:
        stops: the strings. Of several in the text the one that is complete first counts, of those the longest.

    Attributes:
        stopped: whether one has been found.

    Raises:
        ValueError: one of them is empty.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        if not all(stops):
            raise ValueError("a stop string must have a character")
        self.stops = tuple(stops)
        self.stopped = False
        self._held = ""

    def push(self, text: str) -> str:
        """Returns what may be shown after some more text: nothing that may be the beginning of a stop string."""
        held = self._held + text
        places = [(held.find(stop) + len(stop), held.find(stop)) for stop in self.stops if stop in held]
        if places:
            self.stopped, self._held = True, ""
            return held[: min(places)[1]]
        keep = max((_overlap(held, stop) for stop in self.stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def close(self) -> str:
        """Returns what was held back for nothing."""
        return self._held


def _overlap(text: str, stop: str) -> int:
    """Returns the length of the longest end of a text with which a stop string begins."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
