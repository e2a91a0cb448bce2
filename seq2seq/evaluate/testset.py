"""What systems are tested on: source and references, from files or by the name that sacrebleu gives a test set."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from seq2seq.errors import DataError
from seq2seq.files import sha256
from seq2seq.text.lines import read_lines

PATIENCE = 30.0  # seconds that a server may stay silent


@dataclass(frozen=True)
class TextFile:
    """A file of text, one sentence a line.

    Attributes:
        name: path as the user gave it.
        lines: its lines.
        sha256: of the file's bytes, hex digits; empty for what can be read only once, such as a pipe.
    """

    name: str
    lines: list[str] = field(repr=False)
    sha256: str


@dataclass(frozen=True)
class TestSet:
    """References and, where it is known, the source.

    Attributes:
        title: what it is called in a report.
        references: one file or several, line by line translations of the same source.
        source: the source; None if only translations are scored.
        target_language: code such as `de`, by which BLEU's tokenizer is chosen; empty: the usual one.
    """

    title: str
    references: list[TextFile]
    source: TextFile | None = None
    target_language: str = ""

    @property
    def files(self) -> list[TextFile]:
        """The source, if it is known, and the references."""
        return [*filter(None, [self.source]), *self.references]

    @property
    def reference_lines(self) -> list[list[str]]:
        """The lines of each reference."""
        return [file.lines for file in self.references]

    @property
    def source_lines(self) -> list[str] | None:
        """The lines of the source, if it is known."""
        return self.source.lines if self.source else None


def read_text(path: str | Path) -> TextFile:
    """Reads a text file, plain, .gz or .zst.

    Raises:
        DataError: it cannot be read or is not UTF-8.
    """
    lines = list(read_lines(Path(path)))
    return TextFile(str(path), lines, sha256(Path(path)) if Path(path).is_file() else "")


def local_test_set(
    source: str | None, references: Sequence[str], target_language: str = "", title: str = ""
) -> TestSet:
    """Returns the test set that lies in files of the user's own, by default called like the source."""
    files = [read_text(path) for path in references]
    return TestSet(title or source or files[0].name, files, read_text(source) if source else None, target_language)


def named_test_set(name: str, pair: str) -> TestSet:
    """Returns a test set by its name, from sacrebleu's cache or, if it is not there, from the network.

    Args:
        name: what sacrebleu calls it, such as `wmt14/full`.
        pair: its language pair, such as `en-de`.

    Raises:
        DataError: there is no such test set or pair, or it can neither be found nor downloaded.
    """
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        near = get_close_matches(name, DATASETS, n=3) or [other for other in DATASETS if other.startswith(name[:3])]
        hint = f"; near names: {', '.join(near)}" if near else "; `sacrebleu --list` names all"
        raise DataError(f"--testset {name}: sacrebleu knows no such test set{hint}")
    dataset: Any = DATASETS[name]
    if pair not in dataset.langpairs:
        raise DataError(f"--langpair {pair}: test set {name} has the pairs {', '.join(sorted(dataset.langpairs))}")
    with _quiet_download() as log:
        try:
            source, references = dataset.get_source_file(pair), dataset.get_reference_files(pair)
        except (Exception, SystemExit) as error:  # sacrebleu raises whatever its parts do, or exits
            told = [record.getMessage() for record in log if record.levelno >= logging.ERROR]
            doing = [record.getMessage() for record in log[-1:]]
            raise DataError(_not_found(dataset, pair, " ".join(told) or ": ".join([*doing, str(error)]))) from error
    if not references:
        raise DataError(f"--testset {name}: has no references for {pair}")
    files = [read_text(path) for path in references]
    return TestSet(f"{name} {pair}", files, read_text(source), pair.split("-")[1])


def check_aligned(first: TextFile, others: Sequence[TextFile]) -> None:
    """Checks that files have as many lines as the first of them.

    Raises:
        DataError: some have not; all of them are named, with their numbers of lines.
    """
    n = len(first.lines)
    wrong = [file for file in others if len(file.lines) != n]
    if wrong:
        raise DataError(
            "\n".join(f"{file.name} has {len(file.lines):,} lines and {first.name} has {n:,}" for file in wrong)
        )


@contextmanager
def _quiet_download() -> Iterator[list[logging.LogRecord]]:
    """Yields a list that sacrebleu's log records go to instead of stderr, and bounds the wait for a server."""
    log: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        log.append(record)
        return False

    logger = logging.getLogger("sacrebleu")
    before = logger.level, socket.getdefaulttimeout()
    logger.addFilter(keep)
    logger.setLevel(logging.INFO)
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield log
    finally:
        logger.removeFilter(keep)
        logger.setLevel(before[0])
        socket.setdefaulttimeout(before[1])


def _not_found(dataset: Any, pair: str, reason: str) -> str:
    """Says which file was wanted, where sacrebleu looks for it, and what to do without a network."""
    from sacrebleu.utils import SACREBLEU_DIR

    name = dataset.name.replace("/", "_")
    if type(dataset).__name__ == "WMTXMLDataset":  # the raw file is read each time
        where = dataset.langpairs[pair]
        raw = where["path"] if isinstance(where, dict) else where[0]
        archive = f"raw/{name}.{os.path.basename(dataset.data[0])}"
        files = f"{archive} and, unpacked from it, raw/{raw}"
    else:
        files = ", ".join(f"{name}.{pair}.{field.replace(':', '-')}" for field in dataset.fieldnames(pair))
    return (
        f"--testset {dataset.name} --langpair {pair}: neither in sacrebleu's cache nor to be had from "
        f"{', '.join(dataset.data)}\n"
        f"  what failed: {reason}\n"
        f"  sacrebleu looks in {Path(SACREBLEU_DIR) / dataset.name} (the variable SACREBLEU names its cache)\n"
        f"  for {files}\n"
        "  Copy that folder from a machine with a network, or give local files with --source and --reference."
    )
