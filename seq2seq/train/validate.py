"""Validation: loss over given translations, and scores of the model's own."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from statistics import fmean

from seq2seq.data.batch import Batch, cut_by_tokens
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError
from seq2seq.evaluate.drawing import Picture
from seq2seq.evaluate.metrics import Metrics, Scores
from seq2seq.evaluate.tables import scores_text
from seq2seq.model.device import Precision, autocast, evaluating
from seq2seq.model.folder import TrainedModel
from seq2seq.text.context import Document
from seq2seq.text.ids import Ids
from seq2seq.text.lines import is_blank
from seq2seq.train.pictures import attention_picture, shown_pair
from seq2seq.train.prepare import HeldOut
from seq2seq.train.samples import KEPT, Sample
from seq2seq.train.task import Tested, finite

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TranslationMeasurement:
    """What a validation found.

    Attributes:
        loss: of all tokens of all sets, nats per token.
        seconds: that it took.
        scores: see `summary`.
        samples: some translations, see `TranslationValidator.samples`.
        pictures: see `pictures.attention_picture`.
    """

    loss: float
    seconds: float
    scores: dict[str, float]
    samples: list[Sample]
    pictures: dict[str, Picture]

    def values(self) -> dict[str, float]:
        """Returns the numbers by their names in metrics.jsonl."""
        return {"loss": self.loss, **self.scores, "seconds": self.seconds}

    def text(self) -> str:
        """Returns the numbers for the log, such as `loss 1.234  BLEU 40.10 (en-de 41.00, en-fr 39.20)  chrF 62.30`."""
        parts = [f"{name.removeprefix('bleu/')} {x:.2f}" for name, x in self.scores.items() if name.startswith("bleu/")]
        each = f" ({', '.join(parts)})" if parts else ""
        return f"loss {self.loss:.3f}  BLEU {self.scores['bleu']:.2f}{each}  chrF {self.scores['chrf']:.2f}"


class TranslationValidator:
    """Measures a model, as it stands at each call, on lines that are never filtered.

    Args:
        sets: raw source lines and references, one or several sets.
        trained: the model.
        device_tokens: padded tokens of a batch.
        precision: of the products of the forward pass.
    """

    def __init__(
        self, sets: Sequence[HeldOut], trained: TrainedModel, device_tokens: int, precision: Precision
    ) -> None:
        self.sets = sets
        self.trained = trained
        self.device_tokens = device_tokens
        self.precision = precision
        self._metrics = [_metrics(held_out) for held_out in sets]

    def measure(self) -> TranslationMeasurement:
        """Measures the loss and the scores of translations by beam search.

        Raises:
            DivergedError: the loss is not finite.
        """
        started = time.monotonic()
        loss = finite(self.loss())
        hypotheses = self.translate()
        scores = self.scores(hypotheses)
        seconds = time.monotonic() - started
        samples = self.samples(hypotheses, self.trained.settings.train.valid_samples)
        pictures = {"attention": attention_picture(self.trained, *self._shown)}
        return TranslationMeasurement(loss, seconds, summary(self.sets, scores), samples, pictures)

    def test(self) -> Tested:
        """Measures the scores of translations of each set."""
        scores = self.scores(self.translate())
        sets = [
            {"name": held_out.name, "direction": held_out.direction, **found.record()}
            for held_out, found in zip(self.sets, scores, strict=True)
        ]
        texts = [
            f"{held_out.name} {held_out.direction}:\n{scores_text(found)}"
            for held_out, found in zip(self.sets, scores, strict=True)
        ]
        return Tested(summary(self.sets, scores), sets, texts)

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
            language = held_out.languages[1] if self.trained.tokenizer.languages else None
            translator = Translator(self.trained, target_language=language)
            found.append(translator.translate([source for source, _ in held_out.pairs]))
        return found

    def scores(self, hypotheses: Sequence[Sequence[str]]) -> list[Scores]:
        """Returns BLEU and chrF of translations of the sources of each set."""
        return [metrics.score(lines) for metrics, lines in zip(self._metrics, hypotheses, strict=True)]

    def samples(self, hypotheses: Sequence[Sequence[str]], n: int) -> list[Sample]:
        """Returns `n` translations, from all sets in turn; of the same sentences at each call."""
        rows = [
            [(*pair, line) for pair, line in zip(held_out.pairs, lines, strict=True) if not is_blank(pair[0])]
            for held_out, lines in zip(self.sets, hypotheses, strict=True)
        ]
        in_turn = [row for rank in zip_longest(*rows) for row in rank if row]
        names = ("source", "reference", "translation")
        return [{name: text[:KEPT] for name, text in zip(names, row, strict=True)} for row in in_turn[:n]]

    @cached_property
    def _shown(self) -> tuple[str, str, str]:
        """The pair whose picture is drawn at each validation."""
        return shown_pair(self.sets[0], self.trained.tokenizer)

    @cached_property
    def _batches(self) -> list[Batch]:
        """The pairs with text on both sides that are not longer than training pairs may be, batched by length."""
        tokenizer, data = self.trained.tokenizer, self.trained.settings.data
        found: list[tuple[Ids, Ids]] = []
        too_long = 0
        for held_out in self.sets:
            contexts = Document(data.context).read([source for source, _ in held_out.pairs])
            visible = [i for i, pair in enumerate(held_out.pairs) if not (is_blank(pair[0]) or is_blank(pair[1]))]
            lines = [held_out.pairs[i][0] for i in visible]
            before = [contexts[i] for i in visible]
            sources = tokenizer.source_rows(lines, held_out.languages[1], before, data.max_length).rows
            targets = tokenizer.encode_target([held_out.pairs[i][1] for i in visible])
            encoded = [pair for pair in zip(sources, targets, strict=True) if max(map(len, pair)) <= data.max_length]
            too_long += len(visible) - len(encoded)
            found += encoded
        if too_long:
            log.info("%d pairs are too long (data.max_length) for the validation loss", too_long)
        if not found:
            raise DataError("no validation pair is short enough (data.max_length) to measure the loss")
        cuts = cut_by_tokens([max(map(len, pair)) for pair in found], self.device_tokens, len(found))
        return [Batch.from_ids([found[i][0] for i in rows], [found[i][1] for i in rows]) for rows in cuts]


def _metrics(held_out: HeldOut) -> Metrics:
    """Returns BLEU, with the tokenizer that sacrebleu has for the language, and chrF."""
    references, names = [[reference for _, reference in held_out.pairs]], ("BLEU", "chrF")
    try:
        return Metrics(references, names, target_language=held_out.languages[1])
    except DataError as error:  # some languages need a package of sacrebleu's that is not installed
        log.warning("%s; the BLEU of %s is that of tokenizer 13a", error, held_out.name)
        return Metrics(references, names)


def summary(sets: Sequence[HeldOut], scores: Sequence[Scores]) -> dict[str, float]:
    """Returns `bleu` and `chrf`: of several sets the means, and those of each by direction, such as `bleu/en-de`."""
    found = {}
    directions = [held_out.direction for held_out in sets]
    for metric in ("bleu", "chrf"):
        values = [score[metric] for score in scores]
        found[metric] = fmean(values)
        if len(sets) > 1:
            for i, (direction, value) in enumerate(zip(directions, values, strict=True), 1):
                # Two sets of the same direction are told apart by their place in the recipe.
                found[f"{metric}/{direction}{f'.{i}' if directions.count(direction) > 1 else ''}"] = value
    return found
