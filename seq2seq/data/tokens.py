"""Running text on disk: one stream of ids, mapped into memory."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seq2seq.errors import DataError
from seq2seq.files import fingerprint, made_once, write_json
from seq2seq.text.documents import Documents
from seq2seq.text.ids import EOS, UNK, Ids, stored_type
from seq2seq.text.lines import is_blank, utf8_size
from seq2seq.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 2  # counts up when what the files mean changes
LOG_EVERY = 100_000_000  # tokens


class TokenStore:
    """The text of one corpus, its documents packed one behind the other.

    The end-of-document token, eos, stands behind each document and in front of the first one: every token of the text,
    the first one too, is predicted from those before it.

    Attributes:
        name: of the corpus.
        weight: how often its text is drawn, in relation to its length.
        counts: `documents`, `tokens` to predict, those of end of document included, `unknown` ones among them, and
            UTF-8 `bytes` of the text.
        ids: [tokens + 1] ids, which stay on disk until they are asked for.
    """

    def __init__(self, folder: Path, corpus: Documents) -> None:
        content = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self.name = corpus.name
        self.weight = corpus.weight
        self.counts: dict[str, int] = content["counts"]
        mapped: Ids = np.memmap(folder / "tokens.data", dtype=np.dtype(content["dtype"]), mode="r")
        self.ids: Ids = np.asarray(mapped)  # the same memory; slices of a plain array cost a fraction


def open_token_store(corpus: Documents, tokenizer: Tokenizer, cache: Path) -> TokenStore:
    """Returns the ids of a corpus, from the cache if they are there.

    Raises:
        DataError: the corpus cannot be read or is empty.
    """
    folder = cache / f"tokens-{fingerprint([VERSION, corpus.fingerprint, tokenizer.hash()])[:32]}"
    return TokenStore(made_once(folder, lambda temporary: _write(temporary, corpus, tokenizer)), corpus)


def _write(folder: Path, corpus: Documents, tokenizer: Tokenizer) -> None:
    """Tokenises a corpus into a folder, in little more memory than its longest document takes."""
    log.info("%s: tokenising", corpus.name)
    dtype = stored_type(tokenizer.target_vocab_size)
    counts = dict.fromkeys(("documents", "tokens", "unknown", "bytes"), 0)

    def documents() -> Iterator[str]:
        for document in corpus:
            if not is_blank(document):
                counts["documents"] += 1
                counts["bytes"] += utf8_size(document)
                yield document

    with open(folder / "tokens.data", "wb") as file:
        file.write(np.array([EOS], dtype=dtype).tobytes())
        for ids in tokenizer.encode_running(documents()):
            file.write(ids.astype(dtype).tobytes())
            counts["tokens"] += len(ids)
            counts["unknown"] += int(np.count_nonzero(ids == UNK))
            if counts["tokens"] % LOG_EVERY < len(ids):
                log.info("%s: %s tokens so far", corpus.name, f"{counts['tokens']:,}")
    if not counts["documents"]:
        raise no_text(corpus.name)
    write_json(folder / "store.json", {"corpus": corpus.name, "dtype": dtype.name, "counts": counts})


def no_text(name: str) -> DataError:
    """Returns the error of a corpus without text."""
    return DataError(
        f"{name}: no text, only blank documents if any; name another corpus in the recipe or, of a part, change "
        "data.valid.share"
    )


def describe_text(counts: dict[str, int]) -> str:
    """Returns in words what some text has: documents, tokens, unknown ones if any, and bytes if they were counted."""
    documents = f"{counts['documents']:,} document{'s' * (counts['documents'] != 1)}"
    unknown = f" ({counts['unknown']:,} unknown)" if counts["unknown"] else ""
    size = f", {counts['bytes']:,} bytes" if "bytes" in counts else ""
    return f"{documents}, {counts['tokens']:,} tokens{unknown}{size}"
