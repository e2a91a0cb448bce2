"""Parallel corpora: pairs of texts from files or from `datasets`."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

from seq2seq.config import Corpus as CorpusSettings
from seq2seq.config import DataSettings, HubDataset, JsonlFile, OnBadUtf8, ParallelFiles, TsvFile
from seq2seq.errors import DataError
from seq2seq.files import fingerprint, sha256
from seq2seq.text.columns import ColumnPath, column_name, column_paths
from seq2seq.text.hub import HubCorpus, StreamedCorpus
from seq2seq.text.lines import Damaged, Pair, one_line, read_lines

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")  # JSON can write them, UTF-8 cannot


class Corpus(Protocol):
    """Sentence pairs that can be read again and again, always in the same order."""

    name: str
    weight: float
    languages: tuple[str, str]

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target texts, `lines.Damaged` where they are not UTF-8 and need not be."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when the content does."""


def open_corpus(settings: CorpusSettings, data: DataSettings, on_bad_utf8: OnBadUtf8 = "fail") -> Corpus:
    """Opens a corpus of the recipe's data section.

    Args:
        settings: the corpus.
        data: the section.
        on_bad_utf8: what becomes of what is not UTF-8 in a file; for training text what the section says. Pairs that
            are left out are yielded too, for they have a number and a reason: see `data.store.PairFilter`.

    Raises:
        DataError: it does not exist or is not what it should be.
    """
    root, languages = Path(data.root), data.languages(settings)
    match settings:
        case ParallelFiles():
            return FileCorpus(settings, root, languages, on_bad_utf8)
        case TsvFile():
            return TsvCorpus(settings, root, languages, on_bad_utf8, data.context > 0)
        case JsonlFile():
            return JsonlCorpus(settings, root, languages, on_bad_utf8, data.context > 0)
        case HubDataset():
            return (StreamedCorpus if settings.streaming else HubCorpus)(settings, root, languages)


def aligned_lines(source_path: Path, target_path: Path, strict: bool = True) -> Iterator[Pair]:
    """Yields the lines of two files in pairs; `strict` as of `read_lines`.

    Raises:
        DataError: the files have different numbers of lines, or one of them cannot be read.
    """
    lines = [0, 0]
    for source, target in zip_longest(read_lines(source_path, strict), read_lines(target_path, strict)):
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

    def __init__(
        self, settings: ParallelFiles, root: Path, languages: tuple[str, str], on_bad_utf8: OnBadUtf8 = "fail"
    ) -> None:
        self.paths = existing_file(root, settings.source), existing_file(root, settings.target)
        self.name = " | ".join(map(str, self.paths))
        self.weight = settings.weight
        self.languages = languages
        self.on_bad_utf8 = on_bad_utf8

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target lines; see `aligned_lines`."""
        return aligned_lines(*self.paths, strict=self.on_bad_utf8 == "fail")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of both files' bytes, and of what becomes of bad ones."""
        return fingerprint([*(sha256(path) for path in self.paths), *treatment(self.on_bad_utf8)])


class TsvCorpus:
    """A file with a pair on each line, columns separated by tabs; quotes mean nothing."""

    def __init__(
        self,
        settings: TsvFile,
        root: Path,
        languages: tuple[str, str],
        on_bad_utf8: OnBadUtf8 = "fail",
        has_documents: bool = False,
    ) -> None:
        self.path = existing_file(root, settings.tsv)
        self.columns = settings.source_column, settings.target_column
        self.name = f"{self.path} (columns {self.columns[0]} and {self.columns[1]})"
        self.weight = settings.weight
        self.languages = languages
        self.on_bad_utf8 = on_bad_utf8
        self.has_documents = has_documents

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target; empty lines are no rows, but blank pairs where they may end documents.

        Raises:
            DataError: a row has too few columns, or the file cannot be read.
        """
        return _rows(self)

    def row(self, number: int, line: str) -> Pair | None:
        """Returns source and target of the line with a number; None: it is no row.

        Raises:
            DataError: it has too few columns.
        """
        if not line:
            return None
        cells = line.split("\t")
        if len(cells) < max(self.columns):
            raise DataError(f"{self.path}:{number}: {self._lack(len(cells))}")
        return cells[self.columns[0] - 1], cells[self.columns[1] - 1]

    def _lack(self, found: int) -> str:
        side = "source" if self.columns[0] > found else "target"
        column = self.columns[side == "target"]
        return f"has {found} column{'s' * (found != 1)}, the {side} is column {column} ({side}_column)"

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the file's bytes, the numbers of the columns, and what becomes of bad bytes."""
        return fingerprint([sha256(self.path), self.columns, *treatment(self.on_bad_utf8)])


class JsonlCorpus:
    """A file with a JSON object on each line."""

    def __init__(
        self,
        settings: JsonlFile,
        root: Path,
        languages: tuple[str, str],
        on_bad_utf8: OnBadUtf8 = "fail",
        has_documents: bool = False,
    ) -> None:
        self.settings = settings
        self.path = existing_file(root, settings.jsonl)
        self.name = str(self.path)
        self.weight = settings.weight
        self.languages = languages
        self.on_bad_utf8 = on_bad_utf8
        self.has_documents = has_documents

    def __iter__(self) -> Iterator[Pair]:
        """Yields source and target, line breaks inside them made spaces, null an empty text.

        Blank lines are no rows, but blank pairs where they may end documents.

        Raises:
            DataError: a line is no JSON object or lacks a text, or the file cannot be read.
        """
        return _rows(self)

    def row(self, number: int, line: str) -> Pair | None:
        """Returns source and target of the line with a number; None: it is no row.

        Raises:
            DataError: it is no JSON object or lacks a text.
        """
        if not line.strip():
            return None
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("is not a JSON object, which each line must be")
            source, target = column_paths(self.settings, self.languages, row)
            return _text(row, source), _text(row, target)
        except json.JSONDecodeError as error:
            reason = f"is not valid JSON: {error.msg} at character {error.colno}; each line must be a JSON object"
            raise DataError(f"{self.path}:{number}: {reason}") from None
        except RecursionError:
            raise DataError(f"{self.path}:{number}: is nested too deeply") from None
        except ValueError as error:
            raise DataError(f"{self.path}:{number}: {error}") from None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the file's bytes, the names of the columns, the languages, and what becomes of bad bytes."""
        columns = self.settings.source_column, self.settings.target_column
        return fingerprint([sha256(self.path), columns, self.languages, *treatment(self.on_bad_utf8)])


def _rows(corpus: TsvCorpus | JsonlCorpus) -> Iterator[Pair]:
    """Yields the pairs of a file with one on each line; of a line that is not UTF-8 both sides are `Damaged`."""
    for number, line in enumerate(read_lines(corpus.path, corpus.on_bad_utf8 == "fail"), 1):
        try:
            pair = corpus.row(number, line)
        except DataError:
            if not (isinstance(line, Damaged) and corpus.on_bad_utf8 == "skip"):
                raise
            pair = line, ""  # which nobody will train on
        if pair is None and corpus.has_documents:
            pair = "", ""
        if pair:
            yield (Damaged(pair[0]), Damaged(pair[1])) if isinstance(line, Damaged) else pair


def treatment(on_bad_utf8: OnBadUtf8) -> list[object]:
    """Returns what a fingerprint holds of what becomes of bad bytes: nothing unless something does."""
    return [] if on_bad_utf8 == "fail" else [on_bad_utf8]


def existing_file(root: Path, name: str) -> Path:
    """Returns the path of a file that a recipe names.

    Raises:
        DataError: there is none.
    """
    path = root / name
    if not path.is_file():
        raise DataError(f"{path}: no such file (file names in the recipe stand behind data.root, {root})")
    return path


def _text(row: dict[str, Any], path: ColumnPath) -> str:
    """Returns the text in a column of a JSON object.

    Raises:
        ValueError: there is no such column, or no text in it; with the columns that there are.
    """
    value: Any = row
    for key in path:
        if not isinstance(value, dict) or key not in value:
            found = sorted(value) if isinstance(value, dict) else sorted(row)
            raise ValueError(f"has no column {column_name(path)}; found {', '.join(found) or 'none'}")
        value = value[key]
    if value is None:
        return ""
    if not isinstance(value, str):
        kind = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else json.dumps(value)
        raise ValueError(f"column {column_name(path)} holds {kind}, not text; found {', '.join(sorted(row))}")
    return _LONE_SURROGATES.sub("\ufffd", one_line(value))
