"""Parallel corpora: pairs of lines from files or from `datasets`."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

from seq2seq.config import DataSettings, HubDataset, ParallelFiles
from seq2seq.errors import DataError
from seq2seq.files import sha256
from seq2seq.text.lines import one_line, read_lines

Pair = tuple[str, str]


class Corpus(Protocol):
    """Sentence pairs that can be read again and again, always in the same order."""

    name: str
    weight: float

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target lines."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when the content does."""


def aligned_lines(source_path: Path, target_path: Path) -> Iterator[Pair]:
    """Yields the lines of two files in pairs.

    Raises:
        DataError: the files have different numbers of lines, or one of them cannot be read.
    """
    lines = [0, 0]
    for source, target in zip_longest(read_lines(source_path), read_lines(target_path)):
        lines[0] += source is not None
        lines[1] += target is not None
        if lines[0] == lines[1]:  # else one file has ended: go on only to count
            yield source, target
    if lines[0] != lines[1]:
        raise DataError(
            f"{source_path} has {lines[0]:,} lines and {target_path} has {lines[1]:,}: "
            "each line must be the translation of the same line of the other file"
        )


class FileCorpus:
    """Two files whose lines correspond."""

    def __init__(self, settings: ParallelFiles, root: Path) -> None:
        self.paths = (root / settings.source, root / settings.target)
        self.name = " | ".join(map(str, self.paths))
        self.weight = settings.weight
        for path in self.paths:
            if not path.is_file():
                raise DataError(f"{path}: no such file (file names in the recipe stand behind data.root, {root})")

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target lines; see `aligned_lines`."""
        return aligned_lines(*self.paths)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of both files' bytes."""
        return hashlib.sha256("".join(map(sha256, self.paths)).encode()).hexdigest()


class HubCorpus:
    """A translation dataset of the Hugging Face hub, or of a local folder in its layout.

    Raises:
        DataError: it cannot be loaded or has no translations of the two languages.
    """

    def __init__(self, settings: HubDataset, root: Path, languages: tuple[str, str]) -> None:
        import datasets

        self.folder = local = root / settings.dataset
        place, config = (str(local) if local.is_dir() else settings.dataset), settings.config
        self.name = " ".join(filter(None, [place, config, settings.split]))
        if config and (local / config).is_dir() and not (local / "README.md").exists():
            place, config = str(local / config), None  # the hub's page names the configurations; without it folders do
        self.weight = settings.weight
        self.config = settings.config
        self.languages = languages
        datasets.disable_progress_bars()
        try:
            self.rows: Any = datasets.load_dataset(place, config, split=settings.split, revision=settings.revision)
        except Exception as error:  # whatever the hub, the network or the reader of a format raises
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
            raise DataError(
                f"dataset {self.name}: cannot be loaded: {reason}\n"
                f"Looked for the folder {local} first, then on the Hugging Face hub. Without a network, put the "
                f"dataset's files there, for example {local / (settings.config or '')}/{settings.split}-*.parquet"
            ) from error
        first = self.rows[0] if len(self.rows) else {}
        found = first.get("translation")
        if not isinstance(found, dict) or not all(language in found for language in languages):
            columns = sorted(found) if isinstance(found, dict) else sorted(first)
            raise DataError(
                f"dataset {self.name}: has no column 'translation' with the languages {languages[0]} and "
                f"{languages[1]}; found {', '.join(columns) or 'no rows'}"
            )

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target texts, line breaks inside them made spaces."""
        for batch in self.rows.select_columns(["translation"]).iter(batch_size=1000):
            for row in batch["translation"]:
                source, target = (row[language] or "" for language in self.languages)
                yield one_line(source), one_line(target)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of a local folder's files or what `datasets` knows of the hub's, of split and languages."""
        if self.folder.is_dir():
            content: object = [sha256(path) for path in sorted(self.folder.rglob("*")) if path.is_file()]
        else:
            content = self.rows._fingerprint
        value = [content, self.config, str(self.rows.split), len(self.rows), self.languages]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def open_corpus(settings: ParallelFiles | HubDataset, data: DataSettings) -> Corpus:
    """Opens a corpus of the recipe's data section.

    Raises:
        DataError: it does not exist or is not what it should be.
    """
    root = Path(data.root)
    if isinstance(settings, HubDataset):
        return HubCorpus(settings, root, (data.source_language, data.target_language))
    return FileCorpus(settings, root)
