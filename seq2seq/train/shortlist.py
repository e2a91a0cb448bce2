"""Shortlists learnt for models: from the training pairs of a recipe, or from parallel text for a finished model."""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from seq2seq.config import DataSettings
from seq2seq.data.lexicon import learn_shortlist
from seq2seq.data.pools import Position
from seq2seq.data.store import CHUNK, PairStore, cache_folder, drop_reasons
from seq2seq.errors import DataError
from seq2seq.files import add_file, fingerprint, made_once
from seq2seq.model.folder import TrainedModel, find_model, load_model, lock_of_run
from seq2seq.text.corpora import aligned_lines
from seq2seq.text.ids import IdRows, Ids
from seq2seq.text.lines import in_chunks, is_blank
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.prepare import Prepared

log = logging.getLogger(__name__)

VERSION = 1  # counts up when the same pairs would give another shortlist
MOST_PAIRS = 2_000_000  # that are learnt from
STRETCH = 1000  # pairs that are read one behind the other of corpora that are too large to be read as a whole
HELD_OUT, LEAST_SHARE = 1000, 20  # pairs that are not learnt from, to see what a shortlist lacks; one in so many

Rows = tuple[IdRows, IdRows]  # sources and targets
Files = tuple[Path, Path, str | None]  # source, target and its language


def training_shortlist(prepared: Prepared, data: DataSettings) -> Shortlist:
    """Returns a shortlist learnt from a recipe's training pairs, from the cache if it is there.

    What stands in front of a source as its context is not what the target translates: it is left out.

    Of streamed corpora the first pool is learnt from, of very large ones stretches all over them.
    """
    tokenizer, stores = prepared.tokenizer, prepared.stores
    if not stores:
        pool, _ = prepared.pools.pool(Position())
        prepared.pools.close()
        sides = zip(*(pool.ids(i) for i in range(len(pool.source_lengths))), strict=True)
        sources, targets = (_rows(side) for side in sides)
        return _learnt((tokenizer.without_context(sources), targets), tokenizer)
    read = [VERSION, [store.folder.name for store in stores]]  # which tell by what tokenizer they were cut
    folder = cache_folder(data) / f"shortlist-{fingerprint(read)[:32]}"
    made_once(folder, lambda temporary: _learnt(_sample(stores, tokenizer), tokenizer).save(temporary))
    return Shortlist.load(folder, tokenizer)


def add_shortlist(path: Path, corpora: Sequence[Files]) -> None:
    """Learns a shortlist from parallel text and puts it into a model folder, or into the best model of a run folder.

    Args:
        path: the folder.
        corpora: files; a language may be left out where the model knows one only.

    Raises:
        DataError: a file cannot be read, the lines do not correspond, or a language of the model is missing.
        ModelError: there is no usable translation model.
        RunError: the run is being trained.
    """
    folder = find_model(path)
    with lock_of_run(folder, "or choose another output with train.shortlist=true"):
        trained = load_model(folder)
        languages = [trained.target_language(language) for _, _, language in corpora]
        if missing := set(trained.tokenizer.languages) - set(languages):
            raise DataError(
                f"the model translates into {', '.join(sorted(missing))} too: "
                "give --source, --target and --target-language for each language"
            )
        most = MOST_PAIRS // len(corpora)
        read = [_read(*files[:2], language, most, trained) for files, language in zip(corpora, languages, strict=True)]
        shortlist = _learnt(_joined(read), trained.tokenizer)
        add_file(folder, SHORTLIST, shortlist.save)


def _learnt(rows: Rows, tokenizer: Tokenizer) -> Shortlist:
    """Learns a shortlist from all but some pairs, and logs how much of those it has."""
    n = len(rows[0].lengths)
    held_out = np.arange(n) % max(LEAST_SHARE, n // HELD_OUT) == LEAST_SHARE - 1
    log.info("learning a shortlist from %s pairs", f"{n - held_out.sum():,}")
    shortlist = learn_shortlist(rows[0].where(~held_out), rows[1].where(~held_out), tokenizer)
    if held_out.any():
        size, coverage = shortlist.coverage(rows[0].where(held_out), rows[1].where(held_out))
        log.info(
            "shortlist: %s of %s target tokens for a sentence on average; %.1f %% of those of %s unseen translations",
            f"{size:,.0f}",
            f"{tokenizer.target_vocab_size:,}",
            100 * coverage,
            f"{held_out.sum():,}",
        )
    return shortlist


def _sample(stores: Sequence[PairStore], tokenizer: Tokenizer) -> Rows:
    """Reads all pairs of corpora, or if they are too many stretches of each, evenly spread."""
    share = min(1.0, MOST_PAIRS / sum(map(len, stores)))
    return _joined([store.rows(*place, tokenizer) for store in stores for place in _stretches(len(store), share)])


def _stretches(n: int, share: float) -> list[tuple[int, int]]:
    """Returns begin and end of stretches that together are a share of `n` pairs."""
    number = -(-n // STRETCH)
    cuts = [n * i // number for i in range(number + 1)]
    chosen = max(1, round(number * share))
    return [(cuts[i], cuts[i + 1]) for i in (k * number // chosen for k in range(chosen))]


def _read(source: Path, target: Path, language: str, most: int, trained: TrainedModel) -> Rows:
    """Reads at most so many pairs of two files, evenly spread, as far as a training would take them.

    Raises:
        DataError: the files cannot be read, do not correspond, or hold no pair that is neither blank nor too long.
    """
    tokenizer, data = trained.tokenizer, trained.settings.data
    n = sum(1 for _ in aligned_lines(source, target))
    found = []
    for chunk in in_chunks(islice(aligned_lines(source, target), 0, None, max(1, -(-n // most))), CHUNK):
        pairs = [pair for pair in chunk if not any(map(is_blank, pair))]
        sources = tokenizer.source_rows([source for source, _ in pairs], language)
        targets = tokenizer.target_rows([target for _, target in pairs])
        kept = drop_reasons(sources.lengths, targets.lengths, data) == 0
        found.append((sources.where(kept), targets.where(kept)))
    if not any(len(sources.lengths) for sources, _ in found):
        raise DataError(f"{source} | {target}: no sentence pair to learn from")
    return _joined(found)


def _rows(texts: Sequence[Ids]) -> IdRows:
    return IdRows(np.concatenate(texts), np.array([len(ids) for ids in texts]))


def _joined(parts: Sequence[Rows]) -> Rows:
    return IdRows.joined([sources for sources, _ in parts]), IdRows.joined([targets for _, targets in parts])
