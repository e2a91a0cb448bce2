"""Corpora whose columns have names: which of them hold the two sides."""

from collections.abc import Collection

from seq2seq.config import HubDataset, JsonlFile

ColumnPath = tuple[str, ...]
"""A column, or a column and the key of an entry in it."""


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
