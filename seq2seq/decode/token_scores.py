"""How probable each token and each word of translations is, by forced decoding of what search has found."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seq2seq.decode.scorer import pair_log_probs
from seq2seq.decode.translation import Searched, Translation
from seq2seq.model.folder import TrainedModel
from seq2seq.text.ids import EOS, Ids
from seq2seq.text.words import words_of_pieces

Scored = tuple[str, float]  # a piece or a word, and its log-probability in nats


@dataclass(frozen=True)
class TokenScores:
    """The tokens of a best translation; none of a blank line and of one that failed.

    Attributes:
        tokens: pieces, the end of sentence last; of a line that was split those of each part.
        words: what stands between spaces; each is as probable as its pieces together, the end of sentence left out.
    """

    tokens: list[Scored]
    words: list[Scored]

    def record(self) -> dict[str, Any]:
        """Returns what one line of `--format jsonl` holds beside the translation."""
        return {"tokens": [list(one) for one in self.tokens], "words": [list(one) for one in self.words]}


class TokenScorer:
    """Scores the tokens of translations by their models' whole vocabulary, whatever search has looked at.

    The sum is the `log_prob` of the candidate, but for rounding, unless search was normalised over a shortlist.

    Args:
        models: with which was translated; of several the probabilities are averaged.
    """

    def __init__(self, models: Sequence[TrainedModel]) -> None:
        self._models = models
        self._tokenizer = models[0].tokenizer

    def __call__(self, translations: Sequence[Translation]) -> list[TokenScores]:
        """Returns the scores of the best translation of each line; those of like lines are computed once."""
        unique = {id(one): one for one in translations}
        parts = [part for one in unique.values() for part in one.searched]
        scored = self._score(parts)
        found = {key: [next(scored) for _ in one.searched] for key, one in unique.items()}
        scores = {
            key: TokenScores([token for of, _ in rows for token in of], [word for _, of in rows for word in of])
            for key, rows in found.items()
        }
        return [scores[id(one)] for one in translations]

    def _score(self, parts: Sequence[Searched]) -> Iterator[tuple[list[Scored], list[Scored]]]:
        """Yields the tokens and the words of each part."""
        targets: list[Ids] = [np.array([*part.tokens, EOS]) for part in parts]
        sources = [part.source for part in parts]
        by_model = [pair_log_probs(model, sources, targets) for model in self._models]
        texts = self._tokenizer.decode_target([part.tokens for part in parts])
        pieces = self._tokenizer.target_pieces(targets)
        for own_pieces, text, *rows in zip(pieces, texts, *by_model, strict=True):
            log_probs = [_log_mean(values) for values in zip(*rows, strict=True)]
            yield list(zip(own_pieces, log_probs, strict=True)), _words(own_pieces[:-1], log_probs, text)


def _words(pieces: Sequence[str], log_probs: Sequence[float], text: str) -> list[Scored]:
    """Returns the words of a text with the sums of their pieces."""
    words = text.split()
    sums = [0.0] * len(words)
    if words:
        for word, value in zip(words_of_pieces(pieces, text), log_probs, strict=False):
            sums[word] += value
    return list(zip(words, sums, strict=True))


def _log_mean(log_probs: Sequence[float]) -> float:
    """Returns the logarithm of the mean of probabilities."""
    highest = max(log_probs)
    if len(log_probs) == 1 or math.isinf(highest):
        return highest
    return highest + math.log(sum(math.exp(value - highest) for value in log_probs) / len(log_probs))
