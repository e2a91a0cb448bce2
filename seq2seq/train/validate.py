"""Validation: loss over given translations, and scores of the model's own."""

import math
import time
from typing import Literal

from seq2seq.config import Settings
from seq2seq.data.batch import Batch
from seq2seq.decode.translator import Translator
from seq2seq.errors import DivergedError
from seq2seq.evaluate.metrics import Scores, score
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.transformer import Transformer
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.prepare import DevelopmentSet


class Validator:
    """Measures a model on a development set.

    Args:
        development: the set.
        tokenizer: of the run.
        settings: of the run; `decode` says how to search.
        max_source_length: tokens of the longest training source.
        device_tokens: padded tokens of a batch.
        precision: of the products of the forward pass.
    """

    def __init__(
        self,
        development: DevelopmentSet,
        tokenizer: Tokenizer,
        settings: Settings,
        max_source_length: int,
        device_tokens: int,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self.development = development
        self.tokenizer = tokenizer
        self.settings = settings
        self.max_source_length = max_source_length
        self.precision = precision
        max_length = settings.data.max_length
        self._batches: list[Batch] = list(development.batches(tokenizer, device_tokens, max_length))

    def measure(self, model: Transformer) -> tuple[dict[str, float], list[str]]:
        """Returns `loss` (nats per token), `bleu`, `chrf` and the `seconds` it took, and the model's translations."""
        started = time.monotonic()
        loss = self.loss(model)
        if not math.isfinite(loss):
            raise DivergedError(f"the validation loss is {loss}: training has diverged; lower train.learning_rate")
        hypotheses = self.translate(model)
        scores = self.scores(hypotheses)
        values = {"loss": loss, "bleu": scores["bleu"], "chrf": scores["chrf"]}
        return {**values, "seconds": time.monotonic() - started}, hypotheses

    def loss(self, model: Transformer) -> float:
        """Returns the mean negative log-likelihood per target token, nats, without label smoothing."""
        device = next(model.parameters()).device
        total, n_tokens = 0.0, 0
        with evaluating(model):
            for batch in self._batches:
                with autocast(self.precision, device):
                    summed, n = model(batch.to(device))
                total, n_tokens = total + float(summed), n_tokens + n
        return total / n_tokens

    def translate(self, model: Transformer) -> list[str]:
        """Returns the model's translations of all sources by beam search."""
        translator = Translator(model, self.tokenizer, self.settings, self.max_source_length)
        return translator.translate(self.development.sources)

    def scores(self, hypotheses: list[str]) -> Scores:
        """Returns BLEU and chrF of translations."""
        return score(hypotheses, self.development.references, ("BLEU", "chrF"))
