"""Corpora whose columns have names: which of them hold the two sides, or running text."""

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from seq2seq.config import HubDataset, JsonlFile, TextDataset
from seq2seq.text.lines import one_line

ColumnPath = tuple[str, ...]
"""A column, or a column and the key of an entry in it."""

Row = TypeVar("Row", covariant=True)


class Columns(Protocol[Row]):
    """What a dataset is read for: the columns to look at, and what becomes of a row."""

    def paths(self, columns: Collection[str]) -> tuple[ColumnPath, ...]:
        """Returns where the texts stand in rows that have some columns."""

    def wanted(self) -> str:
        """Returns the columns in words, for messages."""

    def row(self, texts: Sequence[str]) -> Row:
        """Returns what a row with some texts is."""

    def meaning(self) -> list[object]:
        """Returns what, besides the paths, decides what the rows of a stream mean: part of its fingerprint."""


class PairColumns:
    """Two columns with a sentence and its translation.

    Args:
        settings: may name the columns.
        languages: else see `column_paths`.
    """

    def __init__(self, settings: HubDataset, languages: tuple[str, str]) -> None:
        self.settings = settings
        self.languages = languages

    def paths(self, columns: Collection[str]) -> tuple[ColumnPath, ...]:
        """Returns where source and target stand."""
        return column_paths(self.settings, self.languages, columns)

    def wanted(self) -> str:
        """Returns the columns in words."""
        if self.settings.source_column:
            return f"columns {self.settings.source_column} and {self.settings.target_column} with texts"
        return (
            f"column 'translation' with the languages {self.languages[0]} and {self.languages[1]}, and its texts are "
            "not named by source_column and target_column"
        )

    def row(self, texts: Sequence[str]) -> tuple[str, str]:
        """Returns source and target, line breaks inside them made spaces."""
        source, target = texts
        return one_line(source), one_line(target)

    def meaning(self) -> list[object]:
        """Returns the languages."""
        return [self.languages]


class TextColumn:
    """One column with documents."""

    def __init__(self, settings: TextDataset) -> None:
        self.settings = settings

    def paths(self, columns: Collection[str]) -> tuple[ColumnPath, ...]:
        """Returns where the text stands, whatever columns there are."""
        return ((self.settings.column,),)

    def wanted(self) -> str:
        """Returns the column in words."""
        return f"column {self.settings.column} with texts"

    def row(self, texts: Sequence[str]) -> str:
        """Returns the text as it is."""
        return texts[0]

    def meaning(self) -> list[object]:
        """Returns nothing: the path says it all."""
        return []


def column_paths(
    settings: JsonlFile | HubDataset, languages: tuple[str, str], columns: Collection[str]
) -> tuple[ColumnPath, ColumnPath]:
    """Returns where source and target stand in a row.

    Args:
        settings: may name the two columns.
        languages: else they are entries of column `translation` under these keys; without it, columns of these names.
        columns: those that the row has.
    """
    if settings.source_column and settings.target_column:
        return (settings.source_column,), (settings.target_column,)
    holder = ("translation",) if "translation" in columns else ()
    return (*holder, languages[0]), (*holder, languages[1])


def column_name(path: ColumnPath) -> str:
    """Writes the path of a column for messages: `translation.de`."""
    return ".".join(path)
