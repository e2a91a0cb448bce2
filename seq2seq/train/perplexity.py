"""Validation of a language model: how well it predicts text, and text of its own."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from seq2seq.data.batch import TokenBatch
from seq2seq.data.tokens import TokenStore
from seq2seq.evaluate.drawing import Picture
from seq2seq.model.device import Precision, autocast, evaluating
from seq2seq.model.folder import TrainedGPT
from seq2seq.text.lines import in_chunks
from seq2seq.train.samples import Sample, written
from seq2seq.train.task import Tested, finite

UNITS = {"loss": "nats per token", "perplexity": "per token", "bits_per_byte": "bits per UTF-8 byte of the text"}


@dataclass(frozen=True)
class TextScores:
    """How well a model predicts some text.

    Attributes:
        loss: of all tokens, nats per token.
        bits_per_byte: of all tokens, in bits, per UTF-8 byte of the text: the same yardstick for all tokenizers that
            leave nothing of the text unknown.
    """

    loss: float
    bits_per_byte: float

    @property
    def perplexity(self) -> float:
        """Among how many equally probable tokens the model might as well choose."""
        return math.exp(min(self.loss, 700.0))

    def values(self) -> dict[str, float]:
        """Returns the numbers by their names in metrics.jsonl."""
        return {"loss": self.loss, "perplexity": self.perplexity, "bits_per_byte": self.bits_per_byte}

    def text(self) -> str:
        """Returns the numbers for the log."""
        return f"loss {self.loss:.4f}  perplexity {self.perplexity:.2f}  bits per byte {self.bits_per_byte:.4f}"


@dataclass(frozen=True)
class TextMeasurement:
    """What a validation found.

    Attributes:
        scores: the numbers.
        seconds: that they took.
        samples: prompts and what the model made of them.
        pictures: none.
    """

    scores: TextScores
    seconds: float
    samples: list[Sample]
    pictures: dict[str, Picture] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """Returns the numbers by their names in metrics.jsonl."""
        return {**self.scores.values(), "seconds": self.seconds}

    def text(self) -> str:
        """Returns the numbers for the log."""
        return self.scores.text()


class TextValidator:
    """Measures a model, as it stands at each call, on all of some text.

    The text is cut into windows that stand side by side, so that each token is predicted exactly once, the first of a
    window from one token and the last from a whole window of them. A mean over such windows is what a mean over blocks
    drawn at random, as training sees them, tends to; with overlapping windows it would be lower.

    Args:
        stores: the text.
        trained: the model.
        device_tokens: tokens of a batch.
        precision: of the products of the forward pass.
    """

    def __init__(
        self, stores: Sequence[TokenStore], trained: TrainedGPT, device_tokens: int, precision: Precision
    ) -> None:
        self.stores = stores
        self.trained = trained
        self.device_tokens = device_tokens
        self.precision = precision

    def measure(self) -> TextMeasurement:
        """Measures the loss and lets the model write.

        Raises:
            DivergedError: the loss is not finite.
        """
        started = time.monotonic()
        scores = self.scores()
        seconds = time.monotonic() - started
        samples = written(self.trained, self.stores, self.trained.settings.train.valid_samples)
        return TextMeasurement(scores, seconds, samples)

    def test(self) -> Tested:
        """Measures how well the model predicts the test text."""
        found = self.scores()
        name = ", ".join(store.name for store in self.stores)
        metrics = {key: {"score": value, "signature": UNITS[key]} for key, value in found.values().items()}
        return Tested(found.values(), [{"name": name, "metrics": metrics}], [f"{name}: {found.text()}"])

    def scores(self) -> TextScores:
        """Measures how well the model predicts the text.

        Raises:
            DivergedError: the loss is not finite.
        """
        nats = self.nats()
        tokens, n_bytes = (sum(store.counts[key] for store in self.stores) for key in ("tokens", "bytes"))
        return TextScores(finite(nats / tokens), nats / math.log(2) / n_bytes)

    def nats(self) -> float:
        """Returns the negative log-likelihood of all tokens."""
        total, device = 0.0, self.trained.device
        with evaluating(self.trained.model):
            for batch in self._batches():
                with autocast(self.precision, device):
                    summed, _ = self.trained.model(batch.to(device))
                total += float(summed)
        return total

    def _batches(self) -> Iterator[TokenBatch]:
        context = self.trained.settings.model.context
        windows = (
            store.ids[start : start + context + 1]
            for store in self.stores
            for start in range(0, len(store.ids) - 1, context)
        )
        yield from map(TokenBatch.from_ids, in_chunks(windows, max(1, self.device_tokens // context)))
