"""Tokenised sentence pairs on disk, mapped into memory."""

import hashlib
import json
import logging
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seq2seq.config import DataSettings
from seq2seq.errors import DataError
from seq2seq.files import atomic_folder, is_whole, lock, write_json
from seq2seq.text.corpora import Corpus
from seq2seq.text.ids import Ids
from seq2seq.text.lines import in_chunks, is_blank
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 1  # counts up when what the files mean changes
CHUNK = 50_000  # pairs held in memory while a store is written
LOG_EVERY = 1_000_000  # pairs
SIDES = ("source", "target")
DROPPED = ("blank", "too_long", "length_ratio")  # reasons for which a pair is not trained on

Lengths = npt.NDArray[np.int64]


class PairStore:
    """The tokenised pairs of one corpus.

    Attributes:
        name: of the corpus.
        weight: how often each pair comes in an epoch.
        counts: pairs `read`, `kept`, and dropped for each reason; kept `source_tokens` and `target_tokens`.
        source_lengths: [n] int64, tokens of each source, eos included.
        target_lengths: [n] int64, tokens of each target, eos included.
    """

    def __init__(self, folder: Path, name: str, weight: float) -> None:
        content = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self.name = name
        self.weight = weight
        self.counts: dict[str, int] = content["counts"]
        self._offsets = [np.load(folder / f"{side}.offsets.npy", mmap_mode="r") for side in SIDES]
        dtype = np.dtype(content["dtype"])
        self._ids = [np.memmap(folder / f"{side}.ids", dtype=dtype, mode="r") for side in SIDES]
        self.source_lengths: Lengths = np.diff(self._offsets[0])
        self.target_lengths: Lengths = np.diff(self._offsets[1])

    def __len__(self) -> int:
        return len(self.source_lengths)

    def __getitem__(self, index: int) -> tuple[Ids, Ids]:
        """Returns source and target ids of a pair, each ending in eos."""
        source, target = (
            ids[offsets[index] : offsets[index + 1]] for ids, offsets in zip(self._ids, self._offsets, strict=True)
        )
        return source, target


def open_store(corpus: Corpus, tokenizer: Tokenizer, data: DataSettings) -> PairStore:
    """Returns the tokenised pairs of a corpus, from the cache if they are there.

    Raises:
        DataError: the corpus cannot be read, or nothing of it is left after filtering.
    """
    folder = cache_folder(data) / f"pairs-{store_fingerprint(corpus, tokenizer, data)[:32]}"
    with lock(folder.parent / ".locks" / folder.name):  # two runs that start together prepare the same text once
        if not is_whole(folder):
            log.info("%s: tokenising", corpus.name)
            with atomic_folder(folder) as temporary:
                _write(temporary, corpus, tokenizer, data)
    return PairStore(folder, corpus.name, corpus.weight)


def cache_folder(data: DataSettings) -> Path:
    """Returns the folder of tokenised corpora and trained tokenizers."""
    if data.cache:
        return Path(data.cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seq2seq"


def store_fingerprint(corpus: Corpus, tokenizer: Tokenizer, data: DataSettings) -> str:
    """Returns a hash of all that decides what a store holds."""
    parts = [VERSION, corpus.fingerprint, tokenizer.hash(), data.max_length, data.max_ratio]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def drop_reason(source: Ids, target: Ids, data: DataSettings) -> str | None:
    """Says why a pair of ids, eos included, is not trained on; None if it is."""
    shorter, longer = sorted((len(source), len(target)))
    if longer > data.max_length:
        return "too_long"
    if longer > data.max_ratio * shorter:
        return "length_ratio"
    return None


def _write(folder: Path, corpus: Corpus, tokenizer: Tokenizer, data: DataSettings) -> None:
    """Tokenises and filters a corpus into a folder, a chunk at a time."""
    largest = max(tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    dtype = np.dtype(np.uint16 if largest <= 2**16 else np.int32)
    counts = dict.fromkeys(("read", *DROPPED, "kept"), 0)
    lengths: tuple[list[Lengths], list[Lengths]] = ([], [])
    with open(folder / "source.ids", "wb") as source_file, open(folder / "target.ids", "wb") as target_file:
        for chunk in in_chunks(corpus, CHUNK):
            pairs = [(source, target) for source, target in chunk if not (is_blank(source) or is_blank(target))]
            counts["read"] += len(chunk)
            if counts["read"] % LOG_EVERY == 0:
                log.info("%s: %s pairs tokenised", corpus.name, f"{counts['read']:,}")
            counts["blank"] += len(chunk) - len(pairs)
            sources = tokenizer.encode_source([source for source, _ in pairs])
            targets = tokenizer.encode_target([target for _, target in pairs])
            kept = []
            for pair in zip(sources, targets, strict=True):
                reason = drop_reason(*pair, data)
                counts[reason or "kept"] += 1
                if reason is None:
                    kept.append(pair)
            for side, file in enumerate((source_file, target_file)):
                lengths[side].append(np.array([len(pair[side]) for pair in kept], dtype=np.int64))
                if kept:
                    file.write(np.concatenate([pair[side] for pair in kept]).astype(dtype).tobytes())
    if not counts["kept"]:
        raise DataError(f"{corpus.name}: no sentence pair left to train on ({describe_counts(counts)})")
    for side, name in enumerate(SIDES):
        side_lengths = np.concatenate(lengths[side])
        counts[f"{name}_tokens"] = int(side_lengths.sum())
        np.save(folder / f"{name}.offsets.npy", np.concatenate([[0], side_lengths.cumsum()]))
    write_json(folder / "store.json", {"corpus": corpus.name, "dtype": dtype.name, "counts": counts})


def describe_counts(counts: dict[str, int]) -> str:
    """Returns in words what was read, what was dropped and why, and what was kept."""
    reasons = [f"{counts[key]:,} {key.replace('_', ' ')}" for key in DROPPED if counts[key]]
    dropped = f", {' and '.join(reasons)} dropped" if reasons else ""
    tokens = f", {counts['source_tokens']:,} + {counts['target_tokens']:,} tokens" if counts["kept"] else ""
    return f"{counts['read']:,} pairs{dropped}{tokens}"
