"""The task `language_model`: text in, a GPT out."""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from seq2seq.config import LanguageModelSettings
from seq2seq.data.batch import AnyBatch, TokenBatch
from seq2seq.data.blocks import BlockData, Blocks, StoredBlocks, StreamedBlocks
from seq2seq.data.store import cache_folder
from seq2seq.data.tokens import TokenStore, describe_text, no_text, open_token_store
from seq2seq.files import fingerprint
from seq2seq.model.device import Precision
from seq2seq.model.folder import AnyTrained, TrainedGPT, build_model
from seq2seq.text.documents import Documents, FileDocuments, open_documents, split
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.checkpoint import Checkpoint
from seq2seq.train.perplexity import TextValidator
from seq2seq.train.prepare import cached_tokenizer, draw

log = logging.getLogger(__name__)

# Lines with their line breaks. Longer ones are cut, in front of a space if there is one: SentencePiece leaves out what
# is much longer.
LONGEST = 10_000  # characters
LINES = re.compile("[^\n]{0,N}\n|[^\n]{1,N}(?= |\\Z)|[^\n]{1,N}".replace("N", str(LONGEST)))


class LanguageModelTask:
    """Language modelling; see `train.task.Task` for what its methods are.

    Where the validation text is a share of the training text, the last characters of each corpus are taken away
    before anything else: neither the model nor the tokenizer is trained on them.

    Args:
        settings: the recipe.
        tokenizer: one that is taken along; None: it is trained.
    """

    def __init__(self, settings: LanguageModelSettings, tokenizer: Tokenizer | None) -> None:
        self.settings = settings
        data, context = settings.data, settings.model.context
        train: Sequence[Documents] = [open_documents(corpus, data, data.on_bad_utf8) for corpus in data.train]
        valid: Sequence[Documents] = [open_documents(corpus, data) for corpus in data.valid_corpora]
        test = [open_documents(corpus, data) for corpus in data.test_corpora]
        opened = train
        self.fingerprint = fingerprint([[corpus.fingerprint for corpus in part] for part in (train, valid)])
        if share := data.valid_share:
            parts = [split(corpus, share) for corpus in train]
            train, valid = [first for first, _ in parts], [last for _, last in parts]
        self.tokenizer = tokenizer or _tokenizer(train, settings)
        self.valid, self.test = self._stores(valid), self._stores(test)
        self.stores: list[TokenStore] = []
        if data.streaming:
            tokens = settings.train.batch_tokens
            self.blocks: Blocks = StreamedBlocks(train, self.tokenizer, settings.seed, context, tokens)
        else:
            self.stores = self._stores(train)
            self.blocks = StoredBlocks(self.stores, settings.seed, context)
        for store in [*self.stores, *self.valid]:
            log.info("%s: %s", store.name, describe_text(store.counts))
        for file in opened:
            if isinstance(file, FileDocuments) and file.bad_lines:
                outcome = "left out" if data.on_bad_utf8 == "skip" else "with U+FFFD for bad bytes"
                log.info("%s: %s lines that are not UTF-8 %s", file.name, f"{file.bad_lines:,}", outcome)

    def _stores(self, corpora: Sequence[Documents]) -> list[TokenStore]:
        return [open_token_store(corpus, self.tokenizer, cache_folder(self.settings.data)) for corpus in corpora]

    def data(self, device_tokens: int, world_size: int) -> BlockData:
        """Returns the blocks in the order in which they are trained on."""
        context, batch_tokens = self.settings.model.context, self.settings.train.batch_tokens
        return BlockData(self.blocks, context, batch_tokens, device_tokens, world_size)

    def build(self, device: torch.device, before: Checkpoint | AnyTrained | None) -> TrainedGPT:
        """Builds the model."""
        model = build_model(self.settings, self.tokenizer).to(device)
        self.trained = TrainedGPT(model, self.tokenizer, self.settings)
        return self.trained

    def trial_batches(self, device_tokens: int) -> list[AnyBatch]:
        """Returns whole windows, as many as fit: most are alike."""
        context, vocab_size = self.settings.model.context, self.tokenizer.target_vocab_size
        shape = max(1, device_tokens // context), context + 1
        return [TokenBatch.from_ids(list(np.random.default_rng(0).integers(EOS + 1, vocab_size, shape)))]

    def loss(self, batch: AnyBatch) -> Tensor:
        """Returns the summed loss."""
        summed: Tensor = self.trained.model(batch)[0]
        return summed

    def validator(self, device_tokens: int, precision: Precision) -> TextValidator:
        """Returns what measures loss, perplexity and bits per byte."""
        return TextValidator(self.valid, self.trained, device_tokens, precision)

    def tester(self, device_tokens: int, precision: Precision) -> TextValidator | None:
        """Returns the same for the test text."""
        return TextValidator(self.test, self.trained, device_tokens, precision) if self.test else None

    def vocabulary(self) -> str:
        """Returns the size of the vocabulary."""
        return f"{self.tokenizer.target_vocab_size:,}"

    def facts(self) -> list[tuple[str, str]]:
        """Returns sizes for `--dry-run`; those of streams are not known."""
        parts = (("corpus", self.stores), ("validation", self.valid), ("test", self.test))
        return [(f"{what} {store.name}", describe_text(store.counts)) for what, stores in parts for store in stores]

    def held_per_token(self) -> int:
        """A layer keeps about 14 rows of width D, 2 of width F and, on a CPU, 2 of attention weights for each head."""
        sizes = self.settings.model
        inner = 4 * sizes.d_model if sizes.d_feedforward is None else sizes.d_feedforward
        layer = 14 * sizes.d_model + 2 * inner + 2 * sizes.heads * sizes.context
        return sizes.layers * layer + 3 * self.tokenizer.target_vocab_size


def _tokenizer(corpora: Sequence[Documents], settings: LanguageModelSettings) -> Tokenizer:
    """Returns the tokenizer of the training text, from the cache if it is there."""
    size, streaming = settings.tokenizer.training_lines, settings.data.streaming
    if settings.tokenizer.type == "bytes":  # whatever the text is
        return Tokenizer.train_on_text([], settings.tokenizer)

    def train() -> Tokenizer:
        if streaming:  # the first lines, equally many of each
            sample = [line for corpus in corpora for line in islice(_lines([corpus]), size // len(corpora))]
        else:
            sample = draw(_lines(corpora), size)
        if not sample:
            raise no_text(", ".join(corpus.name for corpus in corpora))
        return Tokenizer.train_on_text(sample, settings.tokenizer)

    read = [corpus.fingerprint for corpus in corpora]
    return cached_tokenizer(train, settings.tokenizer, settings.data, read, ["text", LONGEST])


def _lines(corpora: Sequence[Documents]) -> Iterator[str]:
    """Yields all lines of some corpora; see `LINES`."""
    for corpus in corpora:
        for document in corpus:
            yield from (line[0] for line in LINES.finditer(document))
