"""Training pairs on disk, mapped into memory: token ids, or text where it is cut anew in each epoch."""

import hashlib
import json
import logging
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seq2seq.config import AnyDataSettings, DataSettings
from seq2seq.errors import DataError
from seq2seq.files import fingerprint, made_once, write_json
from seq2seq.text.context import Context, Document
from seq2seq.text.corpora import Corpus
from seq2seq.text.ids import IdRows, Ids, stored_type
from seq2seq.text.lines import Pair, in_chunks, is_blank, is_damaged, json_line
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 2  # counts up when what the files mean changes
CHUNK = 50_000  # pairs held in memory while a store is written
LOG_EVERY = 1_000_000  # pairs
SIDES = ("source", "target")
DROPPED = ("blank", "duplicate", "too_long", "length_ratio", "bad_utf8")  # why a pair is not trained on
BLANK, DUPLICATE, TOO_LONG, LENGTH_RATIO, BAD_UTF8 = range(1, 1 + len(DROPPED))  # their numbers, from 1
DROPPED_FILE = "dropped.jsonl"

Lengths = npt.NDArray[np.int64]


class PairStore:
    """The training pairs of one corpus.

    Attributes:
        name: of the corpus.
        weight: how often each pair comes in an epoch.
        language: of the target side.
        holds_text: whether there is text rather than ids.
        counts: pairs `read`, `kept`, `replaced` (kept, bytes that are not UTF-8 replaced), and dropped for each
            reason; kept `source_tokens` and `target_tokens`.
        source_lengths: [n] int64, tokens of each source, eos, tag and context included.
        target_lengths: [n] int64, tokens of each target, eos included.
    """

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        content = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.name = corpus.name
        self.weight = corpus.weight
        self.language = corpus.languages[1]
        self.counts: dict[str, int] = content["counts"]
        self._offsets = [np.load(folder / f"{side}.offsets.npy", mmap_mode="r") for side in SIDES]
        dtype = np.dtype(content["dtype"])
        self.holds_text = dtype == np.uint8
        self._items = [np.memmap(folder / f"{side}.data", dtype=dtype, mode="r") for side in SIDES]
        self.source_lengths: Lengths
        self.target_lengths: Lengths
        self.source_lengths, self.target_lengths = (np.load(folder / f"{side}.lengths.npy") for side in SIDES)

    def __len__(self) -> int:
        return len(self.source_lengths)

    def ids(self, index: int) -> tuple[Ids, Ids]:
        """Returns source and target ids of a pair, each ending in eos."""
        return self._item(0, index), self._item(1, index)

    def text(self, index: int) -> Pair:
        """Returns source and target text of a pair, of a store that holds text."""
        return self.text_in_context(index)[0]

    def text_in_context(self, index: int) -> tuple[Pair, Context]:
        """Returns source and target text of a pair, and what stands in front of the source."""
        source, target = (self._item(side, index).tobytes().decode() for side in (0, 1))
        *context, source = source.split("\n")
        return (source, target), tuple(context)

    def rows(self, start: int, end: int, tokenizer: Tokenizer) -> tuple[IdRows, IdRows]:
        """Returns ids of the pairs from `start` to before `end`, without context; text is cut by the tokenizer."""
        if self.holds_text:
            pairs = [self.text(i) for i in range(start, end)]
            sources = tokenizer.source_rows([source for source, _ in pairs], self.language)
            return sources, tokenizer.target_rows([target for _, target in pairs])
        lengths = self.source_lengths[start:end], self.target_lengths[start:end]
        ids = [np.array(self._items[side][slice(*self._offsets[side][[start, end]])], np.int32) for side in (0, 1)]
        return tokenizer.without_context(IdRows(ids[0], lengths[0])), IdRows(ids[1], lengths[1])

    def dropped(self) -> Iterator[dict[str, object]]:
        """Yields `pair` (its number in the corpus, from 1), `reason`, `source` and `target` of each pair left out."""
        with open(self.folder / DROPPED_FILE, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def _item(self, side: int, index: int) -> Ids:
        start, end = self._offsets[side][index : index + 2]
        item: Ids = self._items[side][start:end]
        return item


def open_store(corpus: Corpus, tokenizer: Tokenizer, data: DataSettings, text: bool = False) -> PairStore:
    """Returns the pairs of a corpus that are trained on, from the cache if they are there.

    Args:
        corpus: where they come from.
        tokenizer: cuts them, at least to know which are too long.
        data: which are dropped, and where the cache is.
        text: whether the store holds text rather than ids.

    Raises:
        DataError: the corpus cannot be read, or nothing of it is left after filtering.
    """
    folder = cache_folder(data) / f"pairs-{store_fingerprint(corpus, tokenizer, data, text)[:32]}"
    pair_filter = PairFilter(tokenizer, data, corpus)
    return PairStore(made_once(folder, lambda temporary: _write(temporary, corpus, pair_filter, text)), corpus)


def cache_folder(data: AnyDataSettings) -> Path:
    """Returns the folder of tokenised corpora and trained tokenizers."""
    if data.cache:
        return Path(data.cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seq2seq"


def store_fingerprint(corpus: Corpus, tokenizer: Tokenizer, data: DataSettings, text: bool) -> str:
    """Returns a hash of all that decides what a store holds."""
    language = corpus.languages[1] if tokenizer.languages else None
    parts = [VERSION, corpus.fingerprint, tokenizer.hash(), data.max_length, data.max_ratio, data.drop_duplicates]
    return fingerprint([*parts, language, text, *([data.context] if data.context else [])])


@dataclass(frozen=True)
class Filtered:
    """Pairs as a filter saw them.

    Attributes:
        pairs: their text.
        contexts: of all sources.
        ids: of all sources, context included, and of all targets.
        reasons: [n] int8, for each pair 0 if it is trained on, else 1 + the index of its reason in `DROPPED`.
        damaged: [n] bool, for each pair whether U+FFFD stands in it for bytes that are not UTF-8.
    """

    pairs: list[Pair]
    contexts: list[Context]
    ids: tuple[IdRows, IdRows]
    reasons: npt.NDArray[np.int8]
    damaged: npt.NDArray[np.bool_]


class PairFilter:
    """Decides which pairs of a corpus are trained on.

    Args:
        tokenizer: cuts them.
        data: the limits.
        corpus: whose target language gives the tag.
    """

    def __init__(self, tokenizer: Tokenizer, data: DataSettings, corpus: Corpus) -> None:
        self.tokenizer = tokenizer
        self.data = data
        self.language = corpus.languages[1]

    def document(self) -> Document:
        """Returns what knows the context of the corpus's pairs before the first of them is filtered."""
        return Document(self.data.context)

    def read(self, pairs: list[Pair], document: Document) -> list[Context]:
        """Returns the contexts of the pairs that come next: those that are dropped serve as context, too.

        Of lines that are left out because they are not UTF-8 nobody knows what they say: a document ends there.
        """
        skips = self.data.on_bad_utf8 == "skip"
        return document.read(["" if skips and is_damaged(pair) else pair[0] for pair in pairs])

    def __call__(self, pairs: list[Pair], contexts: list[Context] | None = None) -> Filtered:
        """Returns pairs with their ids and with the reasons for which they are dropped; contexts do not matter."""
        contexts = contexts or [()] * len(pairs)
        lines = [source for source, _ in pairs]
        sources = self.tokenizer.source_rows(lines, self.language, contexts, self.data.max_length)
        targets = self.tokenizer.target_rows([target for _, target in pairs])
        reasons = drop_reasons(self.tokenizer.without_context(sources).lengths, targets.lengths, self.data)
        blank = np.fromiter((is_blank(source) or is_blank(target) for source, target in pairs), bool, len(pairs))
        reasons[blank] = BLANK
        damaged = np.fromiter(map(is_damaged, pairs), bool, len(pairs))
        if self.data.on_bad_utf8 == "skip":
            reasons[damaged] = BAD_UTF8
        return Filtered(pairs, contexts, (sources, targets), reasons, damaged)


class Limits(Protocol):
    """By which pairs are dropped: what `DataSettings` says of lengths."""

    @property
    def max_length(self) -> int:
        """Tokens of the longer side at the most."""

    @property
    def max_ratio(self) -> float:
        """Factor by which the numbers of tokens may differ at the most."""


def drop_reasons(sources: Lengths, targets: Lengths, data: Limits) -> npt.NDArray[np.int8]:
    """Says why pairs are not trained on, by their lengths in tokens, [n] each, eos included; see `Filtered`."""
    shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
    reasons = np.where(longer > data.max_ratio * shorter, LENGTH_RATIO, 0).astype(np.int8)
    reasons[longer > data.max_length] = TOO_LONG
    return reasons


def _repeated(corpus: Corpus) -> npt.NDArray[np.bool_]:
    """Says of each pair whether it has stood in the corpus before, by 64-bit hashes: 24 bytes a pair in memory."""
    hashes = np.fromiter((_hash(pair) for pair in corpus), dtype=np.uint64)
    repeated = np.ones(len(hashes), dtype=bool)
    repeated[np.unique(hashes, return_index=True)[1]] = False  # the first of each
    return repeated


def _hash(pair: Pair) -> int:
    text = "\n".join(pair).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _write(folder: Path, corpus: Corpus, pair_filter: PairFilter, text: bool) -> None:
    """Filters a corpus into a folder, a chunk at a time."""
    log.info("%s: tokenising", corpus.name)
    tokenizer, data = pair_filter.tokenizer, pair_filter.data
    largest = max(tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    dtype = np.dtype(np.uint8) if text else stored_type(largest)
    counts = dict.fromkeys(("read", *DROPPED, "kept"), 0)
    lengths = array("q"), array("q")  # in tokens
    sizes = array("q"), array("q")  # in entries of the file
    repeated = _repeated(corpus) if data.drop_duplicates else None
    document = pair_filter.document()
    with (
        open(folder / "source.data", "wb") as source_file,
        open(folder / "target.data", "wb") as target_file,
        open(folder / DROPPED_FILE, "w", encoding="utf-8", errors="backslashreplace") as dropped_file,
    ):
        for chunk in in_chunks(corpus, CHUNK):
            found = pair_filter(chunk, pair_filter.read(chunk, document))
            reasons, read = found.reasons, counts["read"]
            if repeated is not None:
                reasons[(reasons == 0) & repeated[read : read + len(chunk)]] = DUPLICATE
            kept = reasons == 0
            for i in np.flatnonzero(~kept).tolist():
                row = {
                    "pair": read + i + 1,
                    "reason": DROPPED[reasons[i] - 1],
                    **dict(zip(SIDES, chunk[i], strict=True)),
                }
                dropped_file.write(json_line(row) + "\n")
            count(counts, found)
            for side, file in enumerate((source_file, target_file)):
                ids = found.ids[side].where(kept)
                lengths[side].frombytes(ids.lengths.tobytes())
                if text:
                    content = _content(found, kept, side)
                    sizes[side].extend(map(len, content))
                    file.write(b"".join(content))
                else:
                    sizes[side].frombytes(ids.lengths.tobytes())
                    file.write(ids.ids.astype(dtype).tobytes())
            if counts["read"] // LOG_EVERY > read // LOG_EVERY:
                log.info("%s: %s pairs tokenised", corpus.name, f"{counts['read']:,}")
    if not counts["kept"]:
        raise DataError(f"{corpus.name}: no sentence pair left to train on ({describe_counts(counts)})")
    for side, name in enumerate(SIDES):
        counts[f"{name}_tokens"] = sum(lengths[side])
        np.save(folder / f"{name}.lengths.npy", np.asarray(lengths[side], dtype=np.int64))
        np.save(folder / f"{name}.offsets.npy", np.concatenate([[0], np.cumsum(sizes[side], dtype=np.int64)]))
    write_json(folder / "store.json", {"corpus": corpus.name, "dtype": dtype.name, "counts": counts})


def _content(found: Filtered, kept: npt.NDArray[np.bool_], side: int) -> list[bytes]:
    """Returns the text of one side of the pairs that are kept, that of sources below their context."""
    contexts = [()] * len(kept) if side else found.contexts
    rows = zip(found.pairs, contexts, kept.tolist(), strict=True)
    return ["\n".join((*context, pair[side])).encode() for pair, context, here in rows if here]


def count(counts: dict[str, int], found: Filtered) -> None:
    """Adds pairs to the counts of what was read, dropped for each reason, kept and, of that, replaced in part."""
    reasons = found.reasons
    counts["read"] += len(reasons)
    counts["replaced"] = counts.get("replaced", 0) + int(np.count_nonzero(found.damaged & (reasons == 0)))
    for key, n in zip(("kept", *DROPPED), np.bincount(reasons, minlength=1 + len(DROPPED)).tolist(), strict=True):
        counts[key] = counts.get(key, 0) + n


def describe_counts(counts: dict[str, int]) -> str:
    """Returns in words what was read, what was dropped and why, and what was kept."""
    words = {key: key.replace("_", " ").replace("utf8", "UTF-8") for key in DROPPED}
    reasons = [f"{counts[key]:,} {words[key]}" for key in DROPPED if counts.get(key)]
    dropped = f", {' and '.join(reasons)} dropped" if reasons else ""
    dropped += f", {counts['replaced']:,} with U+FFFD for bad UTF-8" if counts.get("replaced") else ""
    tokens = f", {counts['source_tokens']:,} + {counts['target_tokens']:,} tokens" if "source_tokens" in counts else ""
    return f"{counts['read']:,} pairs{dropped}{tokens}"
