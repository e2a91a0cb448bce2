"""Running text on disk: one stream of ids, mapped into memory."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seq2seq.errors import DataError
from seq2seq.files import atomic_folder, fingerprint, is_whole, lock, write_json
from seq2seq.text.documents import Documents
from seq2seq.text.ids import EOS, Ids
from seq2seq.text.lines import in_chunks, is_blank
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 1  # counts up when what the files mean changes
CHUNK = 1000  # documents that are encoded together
LOG_EVERY = 1_000_000  # documents


class TokenStore:
    """The text of one corpus, its documents packed one behind the other.

    The end-of-document token, eos, stands behind each document and in front of the first one: every token of the text,
    the first one too, is predicted from those before it.

    Attributes:
        name: of the corpus.
        weight: how often its text is drawn, in relation to its length.
        counts: `documents`, `tokens` to predict, those of end of document included, and UTF-8 `bytes` of the text.
        ids: [tokens + 1] ids.
    """

    def __init__(self, folder: Path, corpus: Documents) -> None:
        content = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self.name = corpus.name
        self.weight = corpus.weight
        self.counts: dict[str, int] = content["counts"]
        self.ids: Ids = np.memmap(folder / "tokens.data", dtype=np.dtype(content["dtype"]), mode="r")


def open_token_store(corpus: Documents, tokenizer: Tokenizer, cache: Path) -> TokenStore:
    """Returns the ids of a corpus, from the cache if they are there.

    Raises:
        DataError: the corpus cannot be read or is empty.
    """
    folder = cache / f"tokens-{fingerprint([VERSION, corpus.fingerprint, tokenizer.hash()])[:32]}"
    with lock(cache / ".locks" / folder.name):  # two runs that start together prepare the same text once
        if not is_whole(folder):
            log.info("%s: tokenising", corpus.name)
            with atomic_folder(folder) as temporary:
                _write(temporary, corpus, tokenizer)
    return TokenStore(folder, corpus)


def pack(documents: list[str], tokenizer: Tokenizer) -> Iterator[tuple[str, Ids]]:
    """Yields each document that is not blank, with its ids, ending in eos."""
    visible = [document for document in documents if not is_blank(document)]
    yield from zip(visible, tokenizer.encode_texts(visible), strict=True)


def _write(folder: Path, corpus: Documents, tokenizer: Tokenizer) -> None:
    """Tokenises a corpus into a folder, a chunk at a time."""
    dtype = np.dtype(np.uint16 if tokenizer.target_vocab_size <= 2**16 else np.int32)
    counts = {"documents": 0, "tokens": 0, "bytes": 0}
    with open(folder / "tokens.data", "wb") as file:
        file.write(np.array([EOS], dtype=dtype).tobytes())
        for chunk in in_chunks(corpus, CHUNK):
            for document, ids in pack(chunk, tokenizer):
                file.write(ids.astype(dtype).tobytes())
                counts["documents"] += 1
                counts["tokens"] += len(ids)
                counts["bytes"] += len(document.encode())
                if counts["documents"] % LOG_EVERY == 0:
                    log.info("%s: %s documents tokenised", corpus.name, f"{counts['documents']:,}")
    if not counts["documents"]:
        raise DataError(f"{corpus.name}: no text")
    write_json(folder / "store.json", {"corpus": corpus.name, "dtype": dtype.name, "counts": counts})


def describe_text(counts: dict[str, int]) -> str:
    """Returns in words what a store holds."""
    documents = f"{counts['documents']:,} document{'s' * (counts['documents'] != 1)}"
    return f"{documents}, {counts['tokens']:,} tokens, {counts['bytes']:,} bytes"
