"""Corpora of running text: documents from files or from `datasets`."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

from seq2seq.config import GPTDataSettings, TextCorpus, TextDataset, TextFile
from seq2seq.files import fingerprint, sha256
from seq2seq.text.columns import TextColumn
from seq2seq.text.corpora import existing_file
from seq2seq.text.hub import StoredDataset, StreamedDataset
from seq2seq.text.lines import read_lines, read_text


class Documents(Protocol):
    """Texts that can be read again and again, always in the same order; blank ones mean nothing."""

    name: str
    weight: float

    def __iter__(self) -> Iterator[str]:
        """Yields the documents."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when the content does."""


def open_documents(settings: TextCorpus, data: GPTDataSettings) -> Documents:
    """Opens a corpus of the recipe's data section.

    Raises:
        DataError: it does not exist or is not what it should be.
    """
    root = Path(data.root)
    if isinstance(settings, TextDataset):
        return (StreamedDataset if settings.streaming else StoredDataset)(settings, root, TextColumn(settings))
    return FileDocuments(settings, root)


class FileDocuments:
    """A text file: one document, or one on each line."""

    def __init__(self, settings: TextFile, root: Path) -> None:
        self.path = existing_file(root, settings.text)
        self.by_lines = settings.documents == "lines"
        self.name = str(self.path)
        self.weight = settings.weight

    def __iter__(self) -> Iterator[str]:
        """Yields the whole text, or its lines without their ends."""
        return read_lines(self.path) if self.by_lines else iter([read_text(self.path)])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the file's bytes and of what its documents are."""
        return fingerprint([sha256(self.path), self.by_lines])


class Part:
    """The first or the last part of a corpus, by characters: as much as `text[:n]` or `text[n:]` of all its text.

    The document in which the cut falls is cut with the others: it becomes a shorter one in each part. Of one file this
    is the usual split of tiny Shakespeare.

    Args:
        whole: the corpus.
        share: of its characters, rounded up, that the last part has.
        last: whether this is the last part.
    """

    def __init__(self, whole: Documents, share: float, last: bool) -> None:
        self.whole = whole
        self.share = share
        self.last = last
        self.name = f"{whole.name} ({'last' if last else 'first'} part)"
        self.weight = whole.weight

    def __iter__(self) -> Iterator[str]:
        """Yields the documents of the part."""
        start = 0
        for document in self.whole:
            cut = max(0, self._cut - start)
            yield document[cut:] if self.last else document[:cut]
            start += len(document)

    @cached_property
    def _cut(self) -> int:
        """Characters of the first part."""
        return int((1 - self.share) * sum(map(len, self.whole)))

    @property
    def fingerprint(self) -> str:
        """A hash of the corpus and of which part this is."""
        return fingerprint([self.whole.fingerprint, self.share, self.last])
