"""Datasets of the Hugging Face hub, or of local folders in its layout, whole or streamed.

A stream of Parquet files is read by pyarrow alone: `datasets` reads them with threads that a stream left before its end
does not wait for, and they abort the interpreter at its exit (pyarrow 26, datasets 5.2). It also has no way to leave
out rows without reading them.
"""

import logging
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from seq2seq.config import HubDataset, TextDataset
from seq2seq.errors import DataError
from seq2seq.files import fingerprint, sha256
from seq2seq.text.columns import ColumnPath, Columns, PairColumns, column_name

log = logging.getLogger(__name__)

Row = TypeVar("Row")

_BATCH = 1000  # rows that become Python objects at a time
_SAMPLE = 1000  # rows of a stream that its fingerprint looks at
_NEAR = 20  # bytes that are shown on each side of a bad one
_TEXT = r"(dictionary<values=)?((large_)?string|string_view|null)\b"  # types of Arrow

# Reads the columns of some paths, or all, of one file; yields parts of it: the number of rows and their Arrow batches,
# which are read when they are asked for.
Shard = Callable[[Sequence[ColumnPath] | None], Generator[tuple[int, Iterator[Any]], None, None]]


class _Dataset(Generic[Row]):
    """What whole and streamed datasets share.

    Args:
        settings: which dataset.
        root: prefix of local folders.
        columns: what is read of it.
    """

    paths: tuple[ColumnPath, ...]

    def __init__(self, settings: HubDataset | TextDataset, root: Path, columns: Columns[Row]) -> None:
        self.settings = settings
        self.columns = columns
        self.folder = root / settings.dataset
        self.place = str(self.folder) if self.folder.is_dir() else settings.dataset
        self.name = " ".join(filter(None, [self.place, settings.config, settings.split]))
        self.weight = settings.weight

    def _load(self, load: Callable[..., Any]) -> Any:
        """Calls a function with the arguments of `datasets.load_dataset`.

        Raises:
            DataError: it fails.
        """
        settings, folder = self.settings, self.folder
        place, config = self.place, settings.config
        if config and (folder / config).is_dir() and not (folder / "README.md").exists():
            place, config = str(folder / config), None  # the hub's page names the configurations; without it folders do
        _be_quiet()
        with nullcontext("") if folder.is_dir() else _offline_if_unreachable() as unreachable:
            try:
                return load(place, config, split=settings.split, revision=settings.revision)
            except Exception as error:  # whatever the hub, the network or the reader of a format raises
                reason = unreachable if isinstance(error, ConnectionError) and unreachable else _reason(error)
                raise DataError(
                    f"dataset {self.name}: cannot be loaded: {reason}\n"
                    f"Looked for the folder {folder} first, then on the Hugging Face hub. Without a network, put the "
                    f"dataset's files there, for example {folder / (settings.config or '')}/{settings.split}-*.parquet"
                ) from error

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(f"dataset {self.name}: cannot be read: {_reason(error)}")

    def _paths(self, schema: Any) -> tuple[ColumnPath, ...]:
        """Returns where the texts stand in rows of a `pyarrow.Schema`."""
        columns = _types(schema)
        paths = self.columns.paths(columns)
        if all(_holds_text(columns, path) for path in paths):
            return paths
        found = columns["translation"] if len(paths[0]) > 1 and isinstance(columns["translation"], dict) else columns
        raise DataError(f"dataset {self.name}: has no {self.columns.wanted()}; found {', '.join(found)}")

    def _read(self, table: Any) -> Iterator[Row]:
        """Yields the rows of an Arrow table or batch."""
        from pyarrow.compute import struct_field  # type: ignore[import-untyped]

        texts = []
        for name, *keys in self.paths:
            column = table.column(name)
            texts.append((struct_field(column, keys) if keys else column).to_pylist())
        for row in zip(*texts, strict=True):
            yield self.columns.row([text or "" for text in row])


class StoredDataset(_Dataset[Row]):
    """A dataset that is stored before it is read, by `datasets` in its cache if it is not a local folder.

    Raises:
        DataError: it cannot be loaded or lacks the columns.
    """

    def __init__(self, settings: HubDataset | TextDataset, root: Path, columns: Columns[Row]) -> None:
        from datasets import load_dataset

        super().__init__(settings, root, columns)
        if not self.folder.is_dir():
            log.info("%s: downloading from the Hugging Face hub what is not in its cache", self.name)
        self.rows: Any = self._load(load_dataset)
        self.paths = self._paths(self.rows.features.arrow_schema)

    def __iter__(self) -> Iterator[Row]:
        """Yields all rows.

        Raises:
            DataError: a text is not UTF-8.
        """
        columns = list(dict.fromkeys(path[0] for path in self.paths))
        for table in self.rows.select_columns(columns).with_format("arrow").iter(batch_size=_BATCH):
            try:
                yield from self._read(table)
            except UnicodeDecodeError as error:  # Arrow takes bytes for text unseen
                raise self._unreadable(error) from error

    @cached_property
    def fingerprint(self) -> str:
        """A hash of a local folder's files or what `datasets` knows of the hub's, of split and columns."""
        if self.folder.is_dir():
            content: object = [sha256(path) for path in sorted(self.folder.rglob("*")) if path.is_file()]
        else:
            content = self.rows._fingerprint
        return fingerprint([content, self.settings.config, str(self.rows.split), len(self.rows), self.paths])


class StreamedDataset(_Dataset[Row]):
    """A dataset that is read as it comes and never stored.

    Raises:
        DataError: it cannot be loaded or lacks the columns.
    """

    def __init__(self, settings: HubDataset | TextDataset, root: Path, columns: Columns[Row]) -> None:
        super().__init__(settings, root, columns)
        self.files: list[str]
        self.shards: list[Shard]
        self.files, self.shards = self._load(_open_shards)
        self.paths = self._paths(self._schema())

    def __iter__(self) -> Iterator[Row]:
        """Yields all rows in the order of the files."""
        return self._rows(range(len(self.shards)), 0)

    def rows(self, seed: int, number: int, start: int = 0) -> Generator[Row, None, None]:
        """Yields the rows of one pass over the dataset; its files come in random order, their rows in the file's.

        The stream is closed when this generator is.

        Args:
            seed: of the order of the files, which follows from it and `number` alone.
            number: of the pass, from 0.
            start: rows to leave out, from 0. Those of Parquet files are not even read.

        Raises:
            DataError: the network or a file fails.
        """
        order = sorted(range(len(self.shards)), key=lambda shard: fingerprint([seed, number, shard]))
        return self._rows(order, start)

    def _rows(self, order: Sequence[int], start: int) -> Generator[Row, None, None]:
        try:
            for shard in order:
                with closing(self.shards[shard](self.paths)) as parts:
                    for size, batches in parts:
                        if start >= size:
                            start -= size
                            continue
                        for batch in batches:
                            yield from self._read(batch.slice(start))
                            start = max(0, start - len(batch))
        except Exception as error:  # whatever the network or the reader of a format raises
            raise self._unreadable(error) from error

    def _schema(self) -> Any:
        try:
            for shard in self.shards:
                with closing(shard(None)) as parts:
                    for _, batches in parts:
                        for batch in batches:
                            return batch.schema
        except Exception as error:
            raise self._unreadable(error) from error
        raise DataError(f"dataset {self.name}: has no rows")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of name, configuration, split and revision, of columns and their meaning, of files and first rows.

        Of local files the sizes count; the hub's addresses name the commit.
        """
        with closing(self._rows(range(len(self.shards)), 0)) as rows:
            sample = list(islice(rows, _SAMPLE))
        what = self.settings
        local = [Path(file) for file in self.files if Path(file).is_file()]
        files = [(path.name, path.stat().st_size) for path in local] or self.files
        asked_for = [what.dataset, what.config, what.split, what.revision, *self.columns.meaning()]
        return fingerprint([*asked_for, self.paths, files, sample])


class HubCorpus(StoredDataset[tuple[str, str]]):
    """Sentence pairs of a dataset that is stored before it is read."""

    def __init__(self, settings: HubDataset, root: Path, languages: tuple[str, str]) -> None:
        super().__init__(settings, root, PairColumns(settings, languages))
        self.languages = languages


class StreamedCorpus(StreamedDataset[tuple[str, str]]):
    """Sentence pairs of a dataset that is read as it comes."""

    def __init__(self, settings: HubDataset, root: Path, languages: tuple[str, str]) -> None:
        super().__init__(settings, root, PairColumns(settings, languages))
        self.languages = languages


def _open_shards(place: str, config: str | None, split: str, revision: str | None) -> tuple[list[str], list[Shard]]:
    """Returns the files of a dataset, and one reader for each."""
    from datasets import load_dataset_builder

    builder = load_dataset_builder(place, config, revision=revision)
    files = [
        str(file) for name in split.split("+") for file in (builder.config.data_files or {}).get(name.strip(), [""])
    ]
    if all(file.endswith(".parquet") for file in files):
        return files, [partial(_parquet_parts, file) for file in files]
    stream = builder.as_streaming_dataset(split=split)
    return files, [partial(_stream_parts, stream.shard(stream.num_shards, i)) for i in range(stream.num_shards)]


def _parquet_parts(file: str, paths: Sequence[ColumnPath] | None) -> Generator[tuple[int, Iterator[Any]], None, None]:
    """Yields the row groups of a Parquet file, here or on the hub."""
    from datasets.utils.file_utils import xopen  # opens hf:// too and tries again when the network fails
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    columns = [column_name(path) for path in paths] if paths else None
    with xopen(file, "rb") as opened, ParquetFile(opened) as parquet:
        for group in range(parquet.num_row_groups):
            batches = parquet.iter_batches(_BATCH, row_groups=[group], columns=columns, use_threads=False)
            yield parquet.metadata.row_group(group).num_rows, batches


def _stream_parts(stream: Any, _: Sequence[ColumnPath] | None) -> Generator[tuple[int, Iterator[Any]], None, None]:
    """Yields the batches of a `datasets.IterableDataset`."""
    with closing(stream.with_format("arrow").iter(batch_size=_BATCH)) as tables:
        for table in tables:
            yield len(table), iter([table])


def _types(fields: Iterable[Any]) -> dict[str, Any]:
    """Returns the types of Arrow fields by name, those of a struct's fields below it."""
    return {
        field.name: _types(field.type) if str(field.type).startswith("struct<") else str(field.type) for field in fields
    }


def _holds_text(columns: dict[str, Any], path: ColumnPath) -> bool:
    value: Any = columns
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return isinstance(value, str) and re.match(_TEXT, value) is not None


@contextmanager
def _offline_if_unreachable() -> Iterator[str]:
    """Lets `datasets` turn to its cache at once if there is no way to the hub; else it would try for half a minute.

    Yields:
        Why the hub cannot be reached, or "".
    """
    from datasets import config

    before = config.HF_HUB_OFFLINE
    reason = "" if before else _why_unreachable(config.HF_ENDPOINT)
    config.HF_HUB_OFFLINE = before or bool(reason)
    try:
        yield reason
    finally:
        config.HF_HUB_OFFLINE = before


def _why_unreachable(address: str) -> str:
    from huggingface_hub import get_session

    error: Exception | None = None
    for pause in (0, 2):  # seconds; one failure may be chance
        time.sleep(pause)
        try:
            get_session().head(address, timeout=5)
            return ""
        except Exception as failed:  # of a library that depends on the version
            error = failed
    return f"{address} cannot be reached ({error})"


def _be_quiet() -> None:
    """Keeps progress bars and messages of the libraries off the terminal; their errors are raised as well."""
    import datasets
    import huggingface_hub.utils

    for library in (datasets.utils, huggingface_hub.utils):
        library.disable_progress_bars()
        library.logging.set_verbosity(logging.CRITICAL)


def _reason(error: BaseException) -> str:
    if type(error).__name__ == "DatasetGenerationError" and error.__cause__:  # says nothing itself
        error = error.__cause__
    if isinstance(error, UnicodeDecodeError):
        near = error.object[max(0, error.start - _NEAR) : error.start + _NEAR].decode(errors="replace")
        return f"byte 0x{error.object[error.start]:02x} in {near!r} is not UTF-8"
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
