"""From a recipe to token ids: corpora are opened, the tokenizer trained, the training pairs stored."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from seq2seq.config import DataSettings, Settings, TokenizerSettings
from seq2seq.data.store import PairStore, cache_folder, describe_counts, open_store
from seq2seq.errors import DataError
from seq2seq.files import atomic_folder, is_whole, lock
from seq2seq.text.corpora import Corpus, Pair, open_corpus
from seq2seq.text.lines import is_blank
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 1  # counts up when the same settings would train another tokenizer


@dataclass(frozen=True)
class Prepared:
    """Everything that training reads.

    Attributes:
        tokenizer: trained on the training corpora.
        stores: tokenised training pairs, one for each corpus.
        valid: raw pairs to validate on.
        test: raw pairs to test on at the end, if the recipe names any.
        fingerprint: hash of the training and validation corpora; a resumed run must find the same.
    """

    tokenizer: Tokenizer
    stores: Sequence[PairStore]
    valid: list[Pair]
    test: list[Pair] | None
    fingerprint: str

    @cached_property
    def max_source_length(self) -> int:
        """Tokens of the longest training source, eos included."""
        return max(int(store.source_lengths.max()) for store in self.stores)


def prepare(settings: Settings, tokenizer: Tokenizer | None = None) -> Prepared:
    """Opens all corpora of a recipe, trains the tokenizer unless one is given, and tokenises what is not cached yet.

    Raises:
        DataError: a corpus is missing, misaligned, empty or not UTF-8.
    """
    data = settings.data
    corpora = [open_corpus(corpus, data) for corpus in data.train]
    valid = _raw_pairs(open_corpus(data.valid, data))
    test = _raw_pairs(open_corpus(data.test, data)) if data.test else None
    tokenizer = tokenizer or _tokenizer(corpora, settings.tokenizer, data)
    stores = []
    for corpus in corpora:
        store = open_store(corpus, tokenizer, data)
        stores.append(store)
        log.info("%s: %s", corpus.name, describe_counts(store.counts))
    parts = [*(corpus.fingerprint for corpus in corpora), hashlib.sha256(json.dumps(valid).encode()).hexdigest()]
    return Prepared(tokenizer, stores, valid, test, hashlib.sha256(json.dumps(parts).encode()).hexdigest())


def _raw_pairs(corpus: Corpus) -> list[Pair]:
    """Returns all pairs of a corpus to validate or test on: none is dropped."""
    pairs = list(corpus)
    if not any(not is_blank(source) and not is_blank(target) for source, target in pairs):
        raise DataError(f"{corpus.name}: no sentence pair with text on both sides")
    return pairs


def _tokenizer(corpora: Sequence[Corpus], settings: TokenizerSettings, data: DataSettings) -> Tokenizer:
    """Returns the tokenizer of the training corpora, from the cache if it is there."""
    parts = [VERSION, *(corpus.fingerprint for corpus in corpora), settings.model_dump(mode="json")]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    folder = cache_folder(data) / f"tokenizer-{key[:32]}"
    with lock(folder.parent / ".locks" / folder.name):
        if not is_whole(folder):
            log.info("training the tokenizer (%s, %s tokens)", settings.model, f"{settings.vocab_size:,}")
            pairs = _sample(chain.from_iterable(corpora), settings.training_lines)
            if not pairs:
                raise DataError(f"{', '.join(corpus.name for corpus in corpora)}: no lines to train on")
            tokenizer = Tokenizer.train(pairs, settings)
            with atomic_folder(folder) as temporary:
                tokenizer.save(temporary / "tokenizer")
    return Tokenizer.load(folder / "tokenizer")


def _sample(pairs: Iterable[Pair], size: int) -> list[Pair]:
    """Draws pairs at random in one pass, every pair with the same chance (reservoir sampling, Vitter 1985)."""
    random = np.random.default_rng(0)  # one sample for all seeds: a tokenizer is shared by runs that differ in theirs
    kept: list[Pair] = []
    for i, pair in enumerate(pairs):
        if i < size:
            kept.append(pair)
        elif (place := int(random.integers(i + 1))) < size:
            kept[place] = pair
    return kept
