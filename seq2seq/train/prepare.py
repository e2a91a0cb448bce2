"""From a recipe to token ids: corpora are opened, the tokenizer trained, the training pairs stored."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from seq2seq.config import AnyDataSettings, AnyTokenizerSettings, DataSettings, TokenizerSettings, TranslationSettings
from seq2seq.data.pools import Pools, StoredPools, Variation, varies
from seq2seq.data.store import PairFilter, PairStore, cache_folder, describe_counts, open_store
from seq2seq.data.streams import StreamedPools
from seq2seq.errors import DataError
from seq2seq.files import fingerprint, is_whole, made_once
from seq2seq.text.context import SEPARATOR
from seq2seq.text.corpora import Corpus, open_corpus
from seq2seq.text.lines import Pair, is_blank, is_damaged
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

T = TypeVar("T")

VERSION = 2  # counts up when the same settings would train another tokenizer
UNTRAINED = {"sample_alpha"}  # tokenizer settings that change only how it is used
# The others, in the order in which they name a folder of the cache.
TRAINED = ("type", "model", "vocab_size", "shared", "character_coverage", "training_lines", "lossless")


@dataclass(frozen=True)
class HeldOut:
    """Raw pairs to validate or test on, none dropped.

    Attributes:
        name: of the corpus.
        languages: source and target language.
        pairs: raw source lines and references.
    """

    name: str
    languages: tuple[str, str]
    pairs: list[Pair]

    @property
    def direction(self) -> str:
        """The languages as one word, such as `en-de`."""
        return "-".join(self.languages)


@dataclass(frozen=True)
class Prepared:
    """Everything that training reads.

    Attributes:
        tokenizer: trained on the training corpora, or taken along.
        pools: the training pairs.
        stores: those of them that are on disk, one for each corpus; none where a corpus is streamed.
        valid: what to validate on.
        test: what to test on at the end, if the recipe names anything.
        max_source_length: tokens of the longest training source, eos and context included.
        fingerprint: hash of the training and validation corpora; a resumed run must find the same.
    """

    tokenizer: Tokenizer
    pools: Pools
    stores: Sequence[PairStore]
    valid: list[HeldOut]
    test: list[HeldOut]
    max_source_length: int
    fingerprint: str


def prepare(settings: TranslationSettings, tokenizer: Tokenizer | None = None) -> Prepared:
    """Opens all corpora of a recipe, trains the tokenizer unless one is given, and tokenises what is not cached yet.

    Raises:
        DataError: a corpus is missing, misaligned, empty or not UTF-8.
    """
    data, alpha = settings.data, settings.tokenizer.sample_alpha
    corpora = [open_corpus(corpus, data, data.on_bad_utf8) for corpus in data.train]
    valid = [_held_out(open_corpus(corpus, data)) for corpus in data.valid_corpora]
    test = [_held_out(open_corpus(corpus, data)) for corpus in data.test_corpora]
    tokenizer = tokenizer or _tokenizer(corpora, settings.tokenizer, data)
    _check_tags(tokenizer, data, [*corpora, *valid, *test])
    if data.context and tokenizer.separator is None:
        raise DataError(
            f"data.context is {data.context}, but the tokenizer taken along has no separator of sentences: it was "
            "trained without data.context"
        )
    varied = varies(alpha, data.noise)
    variation = Variation(tokenizer, data, alpha, settings.seed) if varied else None
    stores: list[PairStore] = []
    if data.streaming:
        filters = [PairFilter(tokenizer, data, corpus) for corpus in corpora]
        pools: Pools = StreamedPools(corpora, filters, settings.seed, data.pool_size, variation)
        longest = data.max_length
    else:
        for corpus in corpora:
            stores.append(open_store(corpus, tokenizer, data, text=varied))
            log.info("%s: %s", corpus.name, describe_counts(stores[-1].counts))
        pools = StoredPools(stores, settings.seed, data.pool_size, data.temperature, variation)
        longest = max(int(store.source_lengths.max()) for store in stores)
    read = [*(corpus.fingerprint for corpus in corpora), fingerprint([pair for part in valid for pair in part.pairs])]
    return Prepared(tokenizer, pools, stores, valid, test, longest, fingerprint(read))


def _held_out(corpus: Corpus) -> HeldOut:
    """Returns all pairs of a corpus to validate or test on: none is dropped."""
    pairs = list(corpus)
    if not any(not is_blank(source) and not is_blank(target) for source, target in pairs):
        raise DataError(f"{corpus.name}: no sentence pair with text on both sides")
    return HeldOut(corpus.name, corpus.languages, pairs)


def _check_tags(tokenizer: Tokenizer, data: DataSettings, corpora: Sequence[Corpus | HeldOut]) -> None:
    """Checks that a tokenizer, which may have been taken along, has the tags that the recipe asks for."""
    if data.tags != bool(tokenizer.languages):
        has = ", ".join(tokenizer.languages) or "none"
        raise DataError(f"data.tags is {str(data.tags).lower()}, but the tags of the tokenizer taken along are: {has}")
    for corpus in corpora:
        if data.tags and corpus.languages[1] not in tokenizer.languages:
            known = ", ".join(tokenizer.languages)
            raise DataError(f"{corpus.name}: no tag for the target language {corpus.languages[1]}, only for {known}")


def _tokenizer(corpora: Sequence[Corpus], settings: TokenizerSettings, data: DataSettings) -> Tokenizer:
    """Returns the tokenizer of the training corpora, from the cache if it is there."""
    languages, separated = _tagged(corpora, data), data.context > 0

    def train() -> Tokenizer:
        pairs = _sample(corpora, settings.training_lines, data)
        if not pairs:
            raise DataError(f"{', '.join(corpus.name for corpus in corpora)}: no lines to train on; name other corpora")
        return Tokenizer.train(pairs, settings, languages, separated)

    return cached_tokenizer(train, settings, data, [corpus.fingerprint for corpus in corpora], _more(corpora, data))


def find_tokenizer(corpora: Sequence[Corpus], settings: TokenizerSettings, data: DataSettings) -> Tokenizer | None:
    """Returns the tokenizer of the training corpora if an earlier training or dry run left it in the cache."""
    read = [corpus.fingerprint for corpus in corpora]
    folder = _tokenizer_folder(settings, data, read, _more(corpora, data))
    return Tokenizer.load(folder / "tokenizer") if is_whole(folder) else None


def _tagged(corpora: Sequence[Corpus], data: DataSettings) -> list[str]:
    """Returns the target languages that get a tag."""
    return sorted({corpus.languages[1] for corpus in corpora}) if data.tags else []


def _more(corpora: Sequence[Corpus], data: DataSettings) -> list[str]:
    """Returns the tokens that a tokenizer has beside those of the text."""
    return [*_tagged(corpora, data), *([SEPARATOR] if data.context else [])]


def _tokenizer_folder(
    settings: AnyTokenizerSettings, data: AnyDataSettings, read: Sequence[str], more: Sequence[object]
) -> Path:
    """Returns where in the cache a tokenizer is or will be; see `cached_tokenizer`."""
    dumped = settings.model_dump(mode="json", exclude=UNTRAINED)
    trained_by = {key: dumped[key] for key in sorted(dumped, key=TRAINED.index)}
    return cache_folder(data) / f"tokenizer-{fingerprint([VERSION, *read, trained_by, more])[:32]}"


def cached_tokenizer(
    train: Callable[[], Tokenizer],
    settings: AnyTokenizerSettings,
    data: AnyDataSettings,
    read: Sequence[str],
    more: Sequence[object],
) -> Tokenizer:
    """Returns a tokenizer from the cache, where it is put if it is not there yet.

    Args:
        train: makes it.
        settings: kind and size of the vocabulary.
        data: where the cache is.
        read: fingerprints of the corpora that it is trained on.
        more: all else that decides what comes of it.
    """

    def make(temporary: Path) -> None:
        kind, most = (settings.model, "") if settings.type == "sentencepiece" else (settings.type, "at most ")
        log.info("training the tokenizer (%s, %s%s tokens)", kind, most, f"{settings.vocab_size:,}")
        train().save(temporary / "tokenizer")

    return Tokenizer.load(made_once(_tokenizer_folder(settings, data, read, more), make) / "tokenizer")


def _sample(corpora: Sequence[Corpus], size: int, data: DataSettings) -> list[Pair]:
    """Returns pairs to train a tokenizer on: any with the same chance; of streams the first, equally many of each."""
    skips = data.on_bad_utf8 == "skip"
    usable = [(pair for pair in corpus if not (skips and is_damaged(pair))) for corpus in corpora]
    if data.streaming:
        return [pair for pairs in usable for pair in islice(pairs, size // len(corpora))]
    return draw(chain.from_iterable(usable), size)


def draw(items: Iterable[T], size: int) -> list[T]:
    """Draws items at random in one pass, each with the same chance (reservoir sampling, Vitter 1985)."""
    random = np.random.default_rng(0)  # one sample for all seeds: a tokenizer is shared by runs that differ in theirs
    kept: list[T] = []
    for i, item in enumerate(items):
        if i < size:
            kept.append(item)
        elif (place := int(random.integers(i + 1))) < size:
            kept[place] = item
    return kept
