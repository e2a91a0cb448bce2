"""Corpora of running text: documents from files or from `datasets`."""

from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol

from seq2seq.config import GPTDataSettings, OnBadUtf8, TextCorpus, TextDataset, TextFile
from seq2seq.files import fingerprint, sha256
from seq2seq.text.columns import TextColumn
from seq2seq.text.corpora import existing_file, treatment
from seq2seq.text.hub import StoredDataset, StreamedDataset
from seq2seq.text.lines import Damaged, read_lines, read_text


class Documents(Protocol):
    """Texts that can be read again and again, always in the same order; blank ones mean nothing."""

    name: str
    weight: float

    def __iter__(self) -> Iterator[str]:
        """Yields the documents."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when the content does."""


def open_documents(settings: TextCorpus, data: GPTDataSettings, on_bad_utf8: OnBadUtf8 = "fail") -> Documents:
    """Opens a corpus of the recipe's data section.

    Args:
        settings: the corpus.
        data: the section.
        on_bad_utf8: what becomes of what is not UTF-8 in a file; for training text what the section says.

    Raises:
        DataError: it does not exist or is not what it should be.
    """
    root = Path(data.root)
    if isinstance(settings, TextDataset):
        return (StreamedDataset if settings.streaming else StoredDataset)(settings, root, TextColumn(settings))
    return FileDocuments(settings, root, on_bad_utf8)


class FileDocuments:
    """A text file: one document, or one on each line.

    Args:
        settings: which file, and what a document is.
        root: prefix of its name.
        on_bad_utf8: what becomes of lines that are not UTF-8.
    """

    def __init__(self, settings: TextFile, root: Path, on_bad_utf8: OnBadUtf8 = "fail") -> None:
        self.path = existing_file(root, settings.text)
        self.by_lines = settings.documents == "lines"
        self.name = str(self.path)
        self.weight = settings.weight
        self.on_bad_utf8 = on_bad_utf8

    def __iter__(self) -> Iterator[str]:
        """Yields the whole text, or its lines without their ends.

        Raises:
            DataError: the file cannot be read, or is not UTF-8 and must be.
        """
        if self.by_lines:
            skips = self.on_bad_utf8 == "skip"
            lines = read_lines(self.path, self.on_bad_utf8 == "fail")
            return (line for line in lines if not (skips and isinstance(line, Damaged)))
        return iter([read_text(self.path, self.on_bad_utf8 == "fail")])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the file's bytes, of what its documents are, and of what becomes of bad bytes."""
        return fingerprint([sha256(self.path), self.by_lines, *treatment(self.on_bad_utf8)])

    @cached_property
    def bad_lines(self) -> int:
        """Lines that are not UTF-8 and were left out or mended; the file is read through to count them."""
        if self.on_bad_utf8 == "fail":
            return 0
        return sum(isinstance(line, Damaged) for line in read_lines(self.path, strict=False))


def split(whole: Documents, share: float) -> tuple["Part", "Part"]:
    """Returns the first and the last part of a corpus, by characters: `text[:n]` and `text[n:]` of all its text.

    The document in which the cut falls becomes a shorter one in each part. Of one file this is the usual split of tiny
    Shakespeare.

    Args:
        whole: the corpus, which is counted once, when one of the parts is first read.
        share: of its characters, rounded up, that the last part has.
    """

    @cache
    def cut() -> int:
        return int((1 - share) * sum(map(len, whole)))

    return Part(whole, share, cut, last=False), Part(whole, share, cut, last=True)


class Part:
    """The first or the last part of a corpus; see `split`.

    Args:
        whole: the corpus.
        share: of its characters that the last part has.
        cut: says how many characters the first part has.
        last: whether this is the last part.
    """

    def __init__(self, whole: Documents, share: float, cut: Callable[[], int], last: bool) -> None:
        self.whole = whole
        self.share = share
        self.cut = cut
        self.last = last
        self.name = f"{whole.name} ({'last' if last else 'first'} part)"
        self.weight = whole.weight

    def __iter__(self) -> Iterator[str]:
        """Yields the documents of the part."""
        left = self.cut()  # characters of the first part that are still to come
        for document in self.whole:
            if part := document[max(0, left) :] if self.last else document[:left]:
                yield part
            left -= len(document)
            if left <= 0 and not self.last:
                return

    @property
    def fingerprint(self) -> str:
        """A hash of the corpus and of which part this is."""
        return fingerprint([self.whole.fingerprint, self.share, self.last])
