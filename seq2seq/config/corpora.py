"""The kinds of parallel corpora that a recipe may name, one class for each."""

from typing import Annotated, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from seq2seq.config.common import AnyDataset
from seq2seq.config.section import Count, Language, Name, Section, Words, conflict


class AnyCorpus(Section):
    """What every kind of corpus has."""

    source_language: Language | None = None
    """Language of the source side; null: data.source_language."""
    target_language: Language | None = None
    """Language of the target side, which data.tags puts in front of the source; null: data.target_language."""
    weight: float = Field(default=1.0, gt=0)
    """How often each pair comes in an epoch; of streamed corpora the share of the pairs of each pool."""


Column = TypeVar("Column", int, str | None)


def _unlike_source(target: Column, info: ValidationInfo) -> Column:
    if target is not None and target == info.data.get("source_column"):
        reason = f"source_column and target_column are both {target}: a model would learn to copy"
        raise conflict(reason, "source_column", "target_column")
    return target


class ParallelFiles(AnyCorpus):
    """Two text files, plain, .gz or .zst, whose lines with the same number are translations of each other."""

    source: Name
    """File with one source sentence per line, below data.root."""
    target: Name
    """File with the translation of each line, below data.root."""


class TsvFile(AnyCorpus):
    """A text file, plain, .gz or .zst, with a pair on each line, its columns separated by tabs."""

    tsv: Name
    """File with one pair per line, columns separated by tabs, below data.root."""
    source_column: Count = 1
    """Number of the column that holds the source, from 1."""
    target_column: Count = 2
    """Number of the column that holds the target, from 1."""

    @field_validator("target_column")
    @classmethod
    def _is_another_column(cls, target: int, info: ValidationInfo) -> int:
        return _unlike_source(target, info)


class NamedColumns(AnyCorpus):
    """A corpus whose columns have names."""

    source_column: Name | None = None
    """Name of the column with the source; null: the source language in column translation, else its own column."""
    target_column: Name | None = None
    """Name of the column with the target; null: the target language in column translation, else its own column."""

    @field_validator("target_column")
    @classmethod
    def _both_or_neither(cls, target: str | None, info: ValidationInfo) -> str | None:
        if (info.data.get("source_column", target) is None) != (target is None):
            raise conflict("name both source_column and target_column, or neither", "source_column", "target_column")
        return _unlike_source(target, info)


class JsonlFile(NamedColumns):
    """A text file, plain, .gz or .zst, with a JSON object on each line."""

    jsonl: Name
    """File with one JSON object per line, below data.root."""


class HubDataset(AnyDataset, NamedColumns):
    """A dataset of the Hugging Face hub, or a local folder in its layout, whose columns hold the two sides."""


_KINDS = {"tsv": TsvFile, "jsonl": JsonlFile, "dataset": HubDataset}  # told apart by the key that only they have


def _kind(value: object) -> str:
    for key, section in _KINDS.items():
        if key in value if isinstance(value, dict) else isinstance(value, section):
            return section.__name__
    return ParallelFiles.__name__


Corpus = Annotated[
    Annotated[ParallelFiles, Tag("ParallelFiles")]
    | Annotated[TsvFile, Tag("TsvFile")]
    | Annotated[JsonlFile, Tag("JsonlFile")]
    | Annotated[HubDataset, Tag("HubDataset")],
    Discriminator(_kind),
    Words("a corpus, {source: FILE, target: FILE}, {tsv: FILE}, {jsonl: FILE} or {dataset: NAME}"),
]

Corpora = Annotated[
    Annotated[Corpus, Tag("one")] | Annotated[list[Corpus], Field(min_length=1), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list | tuple) else "one"),
    Words("a corpus, {source: FILE, target: FILE}, {tsv: FILE}, {jsonl: FILE} or {dataset: NAME}, or a list of them"),
]
