"""Lines with the lines of the same document in front of them, as a model with context translates and scores them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seq2seq.model.folder import TrainedModel
from seq2seq.text.context import Context, Document
from seq2seq.text.ids import IdRows, Ids
from seq2seq.text.tokenizer import Tokenizer


class Passage(NamedTuple):
    """A line and what stands in front of it, as far as the model looks back."""

    context: Context
    line: str


def passages(lines: Sequence[str], before: Sequence[str], size: int) -> list[Passage]:
    """Returns lines with their contexts.

    Args:
        lines: of a text, in its order; a blank one ends a document.
        before: the lines of the text in front of them; the last `size` of them suffice.
        size: lines of a context at the most.
    """
    return list(map(Passage, Document(size, before).read(lines), lines))


def encode(trained: TrainedModel, found: Sequence[Passage], language: str) -> list[Ids]:
    """Returns the ids of passages.

    Of a context that makes a source longer than any that the model has seen the first lines are left out.
    """
    lines, contexts = [passage.line for passage in found], [passage.context for passage in found]
    return trained.tokenizer.source_rows(lines, language, contexts, trained.max_source_length).rows


def last(lines: Sequence[str], size: int) -> list[str]:
    """Returns the last lines, as many as `size`, which those behind them may have in their context."""
    return list(lines[max(0, len(lines) - size) :])


def own_lengths(tokenizer: Tokenizer, sources: Sequence[Ids]) -> list[int]:
    """Returns how many tokens sources have without their context."""
    rows = IdRows(np.concatenate(sources), np.array([len(ids) for ids in sources]))
    lengths: list[int] = tokenizer.without_context(rows).lengths.tolist()
    return lengths
