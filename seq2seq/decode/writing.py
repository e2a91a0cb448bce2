"""A text while a language model writes it, and when it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seq2seq.decode.sampling import End
from seq2seq.text.ids import EOS
from seq2seq.text.stream import StopStrings, TextStream
from seq2seq.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Continuation:
    """What a model has written behind a prompt.

    Attributes:
        prompt: the prompt.
        text: what follows it, up to the stop string if there was one.
        ids: ids of the tokens drawn; eos is one of them, and what a stop string is made of.
        tokens: the pieces they stand for.
        token_log_probs: log-probability of each of them under the model, whatever settings it was drawn with, in nats.
        end: why it ends: the model ended it, a stop string was complete, or there was no room for more.
    """

    prompt: str
    text: str
    ids: list[int] = field(repr=False)
    tokens: list[str] = field(repr=False)
    token_log_probs: list[float] = field(repr=False)
    end: End

    @property
    def log_prob(self) -> float:
        """Summed log-probability of the tokens, in nats."""
        return sum(self.token_log_probs)

    def record(self) -> dict[str, Any]:
        """Returns what one line of `--format jsonl` holds."""
        return {
            "prompt": self.prompt,
            "text": self.text,
            "end": self.end,
            "log_prob": self.log_prob,
            "tokens": self.tokens,
            "token_log_probs": self.token_log_probs,
        }


@dataclass(frozen=True)
class Prompt:
    """A text to continue: what was given, and the ids that the model reads.

    They are those of the text; eos, which stands between documents, is in front of them where the text begins one and
    in their place where there are none.
    """

    text: str
    ids: list[int]


class Writing:
    """A continuation while it is written.

    Attributes:
        prompt: what it continues.
        key: what decides about its random numbers.
        pieces: the text so far, in pieces as they became certain.

    Args:
        tokenizer: makes text of tokens.
        stop: strings in front of which it ends.
        at_once: whether each token becomes text as it comes; else all do at the end, unless there are stop strings.
    """

    def __init__(
        self, prompt: Prompt, tokenizer: Tokenizer, key: tuple[int, ...], stop: Sequence[str], at_once: bool = False
    ) -> None:
        self.prompt, self.key = prompt, key
        self.pieces: list[str] = []
        self._tokenizer = tokenizer
        self._at_once = at_once or bool(stop)
        self._stream = TextStream(tokenizer.decode_text, [token for token in prompt.ids if token != EOS])
        self._stops = StopStrings(stop)
        self._ids: list[int] = []
        self._log_probs: list[float] = []
        self._end: End = "length"

    def show(self, token: int) -> bool:
        """Takes the text of a new token and says whether it was the last."""
        if self._at_once:
            self.pieces.append(self._stops.push(self._stream.push(token)))
        return self._stops.stopped

    def add(self, token: int, log_prob: float, end: End | None) -> None:
        """Takes a token, after its text."""
        self._ids.append(token)
        self._log_probs.append(log_prob)
        if end in ("eos", "length"):
            if not self._at_once:
                self.pieces.append(self._stream.push(*(id for id in self._ids if id != EOS)))
            self.pieces += self._stops.push(self._stream.close()), self._stops.close()
        if end is not None:
            self._end = end

    def finished(self) -> Continuation:
        """Returns it as what it is now."""
        (pieces,) = self._tokenizer.target_pieces([np.array(self._ids)])
        return Continuation(self.prompt.text, "".join(self.pieces), self._ids, pieces, self._log_probs, self._end)
