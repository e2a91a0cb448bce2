"""Validation: loss over given translations, and scores of the model's own."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from seq2seq.data.batch import Batch, cut_by_tokens
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError, DivergedError
from seq2seq.evaluate.metrics import Scores, score
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.folder import TrainedModel
from seq2seq.text.corpora import Pair
from seq2seq.text.lines import is_blank

log = logging.getLogger(__name__)

SHOWN = 200  # characters of a line that samples show


@dataclass(frozen=True)
class Measurement:
    """What a validation found: `loss` in nats per token, BLEU, chrF, the time it took, and the translations."""

    loss: float
    bleu: float
    chrf: float
    seconds: float
    hypotheses: list[str]

    def values(self) -> dict[str, float]:
        """Returns the numbers by their names in metrics.jsonl."""
        return {"loss": self.loss, "bleu": self.bleu, "chrf": self.chrf, "seconds": self.seconds}


class Validator:
    """Measures a model, as it stands at each call, on lines that are never filtered.

    Args:
        pairs: raw source lines and references.
        trained: the model.
        device_tokens: padded tokens of a batch.
        precision: of the products of the forward pass.
    """

    def __init__(
        self, pairs: Sequence[Pair], trained: TrainedModel, device_tokens: int, precision: Literal["fp32", "bf16"]
    ) -> None:
        self.pairs = pairs
        self.trained = trained
        self.device_tokens = device_tokens
        self.precision = precision

    def measure(self) -> Measurement:
        """Measures the loss and the scores of translations by beam search.

        Raises:
            DivergedError: the loss is not finite.
        """
        started = time.monotonic()
        loss = self.loss()
        if not math.isfinite(loss):
            raise DivergedError(f"the validation loss is {loss}: training has diverged; lower train.learning_rate")
        hypotheses = self.translate()
        scores = self.scores(hypotheses)
        return Measurement(loss, scores["bleu"], scores["chrf"], time.monotonic() - started, hypotheses)

    def loss(self) -> float:
        """Returns the mean negative log-likelihood per target token, nats, without label smoothing."""
        total, n_tokens = 0.0, 0
        with evaluating(self.trained.model):
            for batch in self._batches:
                with autocast(self.precision, self.trained.device):
                    summed, n = self.trained.model(batch.to(self.trained.device))
                total, n_tokens = total + float(summed), n_tokens + n
        return total / n_tokens

    def translate(self) -> list[str]:
        """Returns the model's translations of the sources by beam search."""
        return Translator(self.trained).translate([source for source, _ in self.pairs])

    def scores(self, hypotheses: Sequence[str]) -> Scores:
        """Returns BLEU and chrF of translations of the sources."""
        return score(hypotheses, [reference for _, reference in self.pairs], ("BLEU", "chrF"))

    def samples(self, hypotheses: Sequence[str], n: int) -> list[str]:
        """Returns the first `n` translations that are not empty, each with its source and reference above it."""
        rows = [(*pair, hypothesis) for pair, hypothesis in zip(self.pairs, hypotheses, strict=True) if hypothesis]
        return [
            f"  source       {source[:SHOWN]}\n  reference    {reference[:SHOWN]}\n  translation  {hypothesis[:SHOWN]}"
            for source, reference, hypothesis in rows[:n]
        ]

    @cached_property
    def _batches(self) -> list[Batch]:
        """The pairs with text on both sides that are not longer than training pairs may be, batched by length."""
        tokenizer, max_length = self.trained.tokenizer, self.trained.settings.data.max_length
        pairs = [pair for pair in self.pairs if not (is_blank(pair[0]) or is_blank(pair[1]))]
        sources = tokenizer.encode_source([source for source, _ in pairs])
        targets = tokenizer.encode_target([target for _, target in pairs])
        encoded = [pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= max_length]
        if len(encoded) < len(pairs):
            log.info("%d pairs are too long (data.max_length) for the validation loss", len(pairs) - len(encoded))
        if not encoded:
            raise DataError("no validation pair is short enough (data.max_length) to measure the loss")
        cuts = cut_by_tokens([max(map(len, pair)) for pair in encoded], self.device_tokens, len(encoded))
        return [Batch.from_ids([encoded[i][0] for i in rows], [encoded[i][1] for i in rows]) for rows in cuts]
