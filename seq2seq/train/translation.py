"""The task `translation`: pairs in, a Transformer out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seq2seq.config import TranslationSettings
from seq2seq.data.batch import AnyBatch, Batch
from seq2seq.data.order import TrainingData
from seq2seq.data.pools import varies
from seq2seq.data.store import describe_counts
from seq2seq.errors import RecipeError
from seq2seq.model.device import Precision
from seq2seq.model.folder import AnyTrained, TrainedModel, build_model
from seq2seq.text.ids import EOS
from seq2seq.text.shortlist import Shortlist
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.checkpoint import Checkpoint
from seq2seq.train.prepare import HeldOut, prepare
from seq2seq.train.shortlist import training_shortlist
from seq2seq.train.validate import TranslationValidator

SHORT = 16  # tokens of the short sentences in a trial of how much fits


class TranslationTask:
    """Translation; see `train.task.Task` for what its methods are.

    Args:
        settings: the recipe.
        tokenizer: one that is taken along; None: it is trained.
    """

    def __init__(self, settings: TranslationSettings, tokenizer: Tokenizer | None) -> None:
        self.settings = settings
        self.prepared = prepare(settings, tokenizer)
        self.tokenizer = self.prepared.tokenizer
        self.fingerprint = self.prepared.fingerprint

    def data(self, device_tokens: int, world_size: int) -> TrainingData:
        """Returns the pairs in the order in which they are trained on."""
        held, batch_tokens = self._held(device_tokens), self.settings.train.batch_tokens
        return TrainingData(self.prepared.pools, self.settings.seed, batch_tokens, held, world_size)

    def _held(self, device_tokens: int) -> int:
        """Returns how many padded tokens of pairs a device holds: R-Drop holds each pair twice."""
        return device_tokens // 2 if self.settings.train.r_drop else device_tokens

    def build(self, device: torch.device, before: Checkpoint | AnyTrained | None) -> TrainedModel:
        """Builds the model; what it was trained on before counts for the longest source."""
        model = build_model(self.settings, self.tokenizer).to(device)
        longest = self.prepared.max_source_length
        if isinstance(before, Checkpoint | TrainedModel):
            longest = max(longest, before.max_source_length)
        self.trained = TrainedModel(model, self.tokenizer, self.settings, longest, self._shortlist(before))
        return self.trained

    def trial_batches(self, device_tokens: int) -> list[AnyBatch]:
        """Returns as many of the longest pairs as fit, and as many short ones."""
        data, stores, held = self.settings.data, self.prepared.stores, self._held(device_tokens)
        longest = data.max_length  # of pairs that vary or come in streams
        if stores and not varies(self.settings.tokenizer.sample_alpha, data.noise):
            longest = max(int(max(store.source_lengths.max(), store.target_lengths.max())) for store in stores)
        return [self._random_pairs(max(1, held // length), length) for length in (longest, min(longest, SHORT))]

    def _random_pairs(self, n: int, length: int) -> Batch:
        """Returns pairs of random ids, both sides of which have the same length, eos included."""
        random, vocab = np.random.default_rng(0), self.tokenizer
        ids = [random.integers(EOS + 1, v, (n, length)) for v in (vocab.source_vocab_size, vocab.target_vocab_size)]
        for side in ids:
            side[:, -1] = EOS
        return Batch.from_ids(list(ids[0]), list(ids[1]))

    def _shortlist(self, before: Checkpoint | AnyTrained | None) -> Shortlist | None:
        """Returns what a resumed run has, else what the recipe asks for, else that of the model that it starts from."""
        found = before.shortlist() if isinstance(before, Checkpoint) else None
        if found is None and self.settings.train.shortlist:
            found = training_shortlist(self.prepared, self.settings.data)
        if found is None and isinstance(before, TrainedModel):
            found = before.shortlist
        return found

    def loss(self, batch: AnyBatch) -> Tensor:
        """Returns the summed loss with label smoothing and R-Drop."""
        train = self.settings.train
        summed: Tensor = self.trained.model(batch, train.label_smoothing, train.r_drop)[0]
        return summed

    def validator(self, device_tokens: int, precision: Precision) -> TranslationValidator:
        """Returns what measures loss, BLEU and chrF.

        Raises:
            RecipeError: translations are to use a shortlist, and the model will have none.
        """
        if self.settings.decode.shortlist and not self.trained.shortlist:
            raise RecipeError("decode.shortlist: the model will have no shortlist; set train.shortlist to true as well")
        validator = TranslationValidator(self.prepared.valid, self.trained, device_tokens, precision)
        validator.tell_signatures()
        return validator

    def tester(self, device_tokens: int, precision: Precision) -> TranslationValidator | None:
        """Returns the same for the test sets."""
        if not self.prepared.test:
            return None
        return TranslationValidator(self.prepared.test, self.trained, device_tokens, precision)

    def vocabulary(self) -> str:
        """Returns the sizes of both sides' vocabularies."""
        vocab, shared = self.tokenizer, " (shared)" if self.tokenizer.shared else ""
        return f"{vocab.source_vocab_size:,} source, {vocab.target_vocab_size:,} target{shared}"

    def facts(self) -> list[tuple[str, str]]:
        """Returns sizes for `--dry-run`."""
        return [
            *((f"corpus {store.name}", describe_counts(store.counts)) for store in self.prepared.stores),
            ("validation", _sizes(self.prepared.valid)),
            ("test", _sizes(self.prepared.test)),
        ]

    def held_per_token(self) -> int:
        """A layer keeps about 14 rows of width D and 2 of width F (20 and 2 in the decoder), the loss 3 of width V."""
        sizes = self.settings.model
        n_encoder, n_decoder = sizes.stacks
        encoder = n_encoder * (14 * sizes.d_model + 2 * sizes.d_feedforward)
        decoder = n_decoder * (20 * sizes.d_model + 2 * sizes.d_feedforward)
        return encoder + decoder + 3 * self.tokenizer.target_vocab_size


def _sizes(sets: Sequence[HeldOut]) -> str:
    """Says how many pairs the sets to validate or test on have."""
    return ", ".join(f"{len(held_out.pairs):,} pairs {held_out.direction}" for held_out in sets) or "none"
