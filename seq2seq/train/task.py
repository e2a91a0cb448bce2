"""What is trained: the loop asks a task for its data, its model and its validation, and knows no more of it."""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seq2seq.config import LanguageModelSettings, Settings
from seq2seq.data.batch import AnyBatch
from seq2seq.data.order import Step
from seq2seq.data.pools import Position
from seq2seq.errors import DivergedError
from seq2seq.evaluate.drawing import Picture
from seq2seq.model.device import Precision
from seq2seq.model.folder import AnyTrained
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.checkpoint import Checkpoint
from seq2seq.train.samples import Sample


class Data(Protocol):
    """Examples in the order in which they are trained on."""

    @property
    def tokens_per_epoch(self) -> float | None:
        """Tokens that are predicted in an epoch; None where a corpus is streamed."""

    @property
    def tokens_per_step(self) -> int:
        """Tokens that are predicted in a step, about."""

    def steps(self, position: Position) -> Generator[Step, None, None]:
        """Yields the steps from a position on, without end; closing this generator closes the corpora."""


@dataclass(frozen=True)
class Tested:
    """What the final test found.

    Attributes:
        values: the numbers by their names in metrics.jsonl.
        sets: for status.json: each set with its name, and its scores with what they are (`Scores.record`).
        texts: the same in words for the log.
    """

    values: dict[str, float]
    sets: list[dict[str, Any]]
    texts: list[str]


class Measurement(Protocol):
    """What a validation found."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def samples(self) -> Sequence[Sample]:
        """Some of the model's work to look at."""

    @property
    def pictures(self) -> Mapping[str, Picture]:
        """Pictures of the model by their names in TensorBoard."""

    def values(self) -> dict[str, float]:
        """Returns the numbers by their names in metrics.jsonl."""

    def text(self) -> str:
        """Returns the most important numbers for the log."""


class Validator(Protocol):
    """Measures the task's model as it stands at each call."""

    def measure(self) -> Measurement:
        """Measures all that a validation shows.

        Raises:
            DivergedError: the loss is not finite.
        """

    def test(self) -> Tested:
        """Measures what the final test shows."""


class Task(Protocol):
    """Data that are prepared and, once it is built, the model.

    Attributes:
        tokenizer: trained on the training text, or taken along.
        fingerprint: hash of the training and validation text; a resumed run must find the same.
    """

    tokenizer: Tokenizer
    fingerprint: str

    def data(self, device_tokens: int, world_size: int) -> Data:
        """Returns the training data, cut for devices that hold so many padded tokens, and for so many ranks."""

    def build(self, device: torch.device, before: Checkpoint | AnyTrained | None) -> AnyTrained:
        """Builds the model with random weights; `before` is what it goes on from."""

    def trial_batches(self, device_tokens: int) -> list[AnyBatch]:
        """Returns micro-batches of random ids as large as any that a device gets which holds so many padded tokens."""

    def loss(self, batch: AnyBatch) -> Tensor:
        """Returns the built model's summed loss of a batch, in nats, as it is trained on."""

    def validator(self, device_tokens: int, precision: Precision) -> Validator:
        """Returns what measures the built model on the validation text."""

    def tester(self, device_tokens: int, precision: Precision) -> Validator | None:
        """Returns what measures it on the test text, if the recipe names any."""

    def vocabulary(self) -> str:
        """Returns the size of the vocabulary in words, for `--dry-run`."""

    def facts(self) -> list[tuple[str, str]]:
        """Returns names and sizes of corpora and held-out text, for `--dry-run`."""

    def held_per_token(self) -> int:
        """Returns how many numbers a backward pass keeps for each token."""


def finite(loss: float) -> float:
    """Returns a validation loss.

    Raises:
        DivergedError: it is not finite.
    """
    if not math.isfinite(loss):
        raise DivergedError(f"the validation loss is {loss}: training has diverged; lower train.learning_rate")
    return loss


def open_task(settings: Settings, tokenizer: Tokenizer | None = None) -> Task:
    """Prepares the data of a recipe; what has to be computed for it stays in the cache.

    Args:
        settings: the recipe.
        tokenizer: one that is taken along; None: it is trained.

    Raises:
        DataError: a corpus cannot be used.
    """
    if isinstance(settings, LanguageModelSettings):
        from seq2seq.train.language_model import LanguageModelTask

        return LanguageModelTask(settings, tokenizer)
    from seq2seq.train.translation import TranslationTask

    return TranslationTask(settings, tokenizer)
