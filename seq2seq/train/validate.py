"""Validation: loss over given translations, and scores of the model's own."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from statistics import fmean
from typing import Literal

from seq2seq.data.batch import Batch, cut_by_tokens
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError, DivergedError
from seq2seq.evaluate.metrics import Scores, score
from seq2seq.model.device import autocast, evaluating
from seq2seq.model.folder import TrainedModel
from seq2seq.text.ids import Ids
from seq2seq.text.lines import is_blank
from seq2seq.train.prepare import HeldOut

log = logging.getLogger(__name__)

SHOWN = 200  # characters of a line that samples show


@dataclass(frozen=True)
class Measurement:
    """What a validation found: `loss` in nats per token, BLEU, chrF, the time it took, and the translations.

    Of several sets the loss is that of all tokens, scores are the mean of the sets' scores; `parts` holds the latter
    by direction, such as `bleu/en-de`.
    """

    loss: float
    bleu: float
    chrf: float
    seconds: float
    parts: dict[str, float]
    hypotheses: list[list[str]]

    def values(self) -> dict[str, float]:
        """Returns the numbers by their names in metrics.jsonl."""
        return {"loss": self.loss, "bleu": self.bleu, "chrf": self.chrf, "seconds": self.seconds, **self.parts}


class Validator:
    """Measures a model, as it stands at each call, on lines that are never filtered.

    Args:
        sets: raw source lines and references, one or several sets.
        trained: the model.
        device_tokens: padded tokens of a batch.
        precision: of the products of the forward pass.
    """

    def __init__(
        self, sets: Sequence[HeldOut], trained: TrainedModel, device_tokens: int, precision: Literal["fp32", "bf16"]
    ) -> None:
        self.sets = sets
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
        bleu, chrf = ([score[name] for score in scores] for name in ("bleu", "chrf"))
        parts = by_direction(self.sets, scores) if len(self.sets) > 1 else {}
        return Measurement(loss, fmean(bleu), fmean(chrf), time.monotonic() - started, parts, hypotheses)

    def loss(self) -> float:
        """Returns the mean negative log-likelihood per target token, nats, without label smoothing."""
        total, n_tokens = 0.0, 0
        with evaluating(self.trained.model):
            for batch in self._batches:
                with autocast(self.precision, self.trained.device):
                    summed, n = self.trained.model(batch.to(self.trained.device))
                total, n_tokens = total + float(summed), n_tokens + n
        return total / n_tokens

    def translate(self) -> list[list[str]]:
        """Returns the model's translations of the sources of each set by beam search."""
        found = []
        for held_out in self.sets:
            translator = Translator(self.trained, target_language=held_out.languages[1])
            found.append(translator.translate([source for source, _ in held_out.pairs]))
        return found

    def scores(self, hypotheses: Sequence[Sequence[str]]) -> list[Scores]:
        """Returns BLEU and chrF of translations of the sources of each set."""
        return [
            score(lines, [pair[1] for pair in held_out.pairs], ("BLEU", "chrF"))
            for held_out, lines in zip(self.sets, hypotheses, strict=True)
        ]

    def samples(self, hypotheses: Sequence[Sequence[str]], n: int) -> list[str]:
        """Returns `n` translations that are not empty, from all sets in turn, each below its source and reference."""
        rows = [
            [(*pair, line) for pair, line in zip(held_out.pairs, lines, strict=True) if line]
            for held_out, lines in zip(self.sets, hypotheses, strict=True)
        ]
        in_turn = [row for rank in zip_longest(*rows) for row in rank if row]
        return [
            f"  source       {source[:SHOWN]}\n  reference    {reference[:SHOWN]}\n  translation  {hypothesis[:SHOWN]}"
            for source, reference, hypothesis in in_turn[:n]
        ]

    @cached_property
    def _batches(self) -> list[Batch]:
        """The pairs with text on both sides that are not longer than training pairs may be, batched by length."""
        tokenizer, max_length = self.trained.tokenizer, self.trained.settings.data.max_length
        found: list[tuple[Ids, Ids]] = []
        too_long = 0
        for held_out in self.sets:
            pairs = [pair for pair in held_out.pairs if not (is_blank(pair[0]) or is_blank(pair[1]))]
            sources = tokenizer.encode_source([source for source, _ in pairs], held_out.languages[1])
            targets = tokenizer.encode_target([target for _, target in pairs])
            encoded = [pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= max_length]
            too_long += len(pairs) - len(encoded)
            found += encoded
        if too_long:
            log.info("%d pairs are too long (data.max_length) for the validation loss", too_long)
        if not found:
            raise DataError("no validation pair is short enough (data.max_length) to measure the loss")
        cuts = cut_by_tokens([max(map(len, pair)) for pair in found], self.device_tokens, len(found))
        return [Batch.from_ids([found[i][0] for i in rows], [found[i][1] for i in rows]) for rows in cuts]


def by_direction(sets: Sequence[HeldOut], scores: Sequence[Scores]) -> dict[str, float]:
    """Returns BLEU and chrF of each set by metric and direction, such as `bleu/en-de`."""
    directions = [held_out.direction for held_out in sets]
    names = [
        f"{direction}.{i}" if directions.count(direction) > 1 else direction for i, direction in enumerate(directions)
    ]
    named = list(zip(names, scores, strict=True))
    return {f"{metric}/{name}": score[metric] for metric in ("bleu", "chrf") for name, score in named}
