"""Files that take hours to write: killed at any moment, their writer goes on where it stopped."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pydantic import BaseModel, NonNegativeInt, ValidationError

from seq2seq.config import first_fault
from seq2seq.errors import RunError
from seq2seq.files import read_json, sha256, sync, write_json
from seq2seq.text.compression import compressed

FORMAT_VERSION: Literal[1] = 1
COMMIT_SECONDS = 1.0  # between two entries of the journal at the least: each waits for the disk


class Journal(BaseModel, strict=True):
    """What stands beside a file that is being written.

    Attributes:
        format_version: of the journal.
        finished: whether the file is whole.
        bytes: of the file that are safe on the disk.
        sha256: of the whole file, hex digits.
        state: what its writer needs to go on.
        job: what the file is made of, and how.
    """

    format_version: Literal[1] = FORMAT_VERSION
    finished: bool
    bytes: NonNegativeInt
    sha256: str | None = None
    state: dict[str, Any] | None
    job: dict[str, Any]


class PartialFile:
    """Writes a file in blocks under another name until it is whole.

    That name is `NAME.part`. Beside it `NAME.part.json`, the journal, says how many of its bytes are safe on the disk,
    what they were made of and how (the job), and what the writer needs to go on behind them (its state). As a context
    manager it is finished when the block ends without an error, and else left so that it can be resumed.

    Args:
        path: of the file; compressed if its name ends in `.gz` or `.zst`.
        job: all that decides what the file holds, by name.
        resume: whether to go on with what another writer has left; else that is started over.
        manifest: what the journal of the whole file is called; None: it is deleted.

    Attributes:
        part: the file while it is not whole.
        replaces: bytes another writer had left that are started over.
        finished: whether all that belongs into the file has been written.

    Raises:
        RunError: another process is writing the file, or what is there does not belong to the job.
        OSError: the file cannot be written.
        Seq2SeqError: its name ends in `.zst`, and there is no library for it.
    """

    def __init__(self, path: Path, job: Mapping[str, Any], resume: bool, manifest: Path | None = None) -> None:
        compressed(b"", path)  # a library that is missing is missed before anything is computed
        self._path = path.resolve()  # a link stays a link
        self._job, self._manifest = dict(job), manifest
        self.part = self._path.with_name(f"{self._path.name}.part")
        self._journal = self.part.with_name(f"{self.part.name}.json")
        self.finished = False
        self.replaces = 0
        # Bytes and state in one: a signal never finds one without the other.
        self._done: tuple[int, dict[str, Any] | None] = 0, None
        self._committed = -COMMIT_SECONDS
        journal = self._read_journal() if resume else None
        if journal and journal.finished and not self.part.exists() and self._is_whole(journal):
            self._restore(journal)
            self._keep_journal()
            return
        self._open(path)
        try:
            self._go_on(journal)
        except BaseException:
            self._file.close()
            raise

    @property
    def state(self) -> dict[str, Any] | None:
        """What the last `write` was given, also that of another writer; None: there was none."""
        return self._done[1]

    def write(self, block: bytes, state: Mapping[str, Any]) -> None:
        """Appends a block; `state` is what a writer that goes on behind it needs.

        Raises:
            OSError: the disk is full, or the like.
        """
        data = compressed(block, self._path) if block else b""
        self._append(data)
        self._done = self._done[0] + len(data), dict(state)
        if time.monotonic() - self._committed >= COMMIT_SECONDS:
            self._commit()

    def __enter__(self) -> "PartialFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.finished and not self.part.exists():
            return
        with self._file:
            if error is None:
                self._finish()
            else:
                self._leave(error)

    def _open(self, path: Path) -> None:
        """Opens the part file and holds it for this process."""
        try:
            descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            error.filename = str(path)  # the name that the user gave
            raise
        self._file = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.stat(self.part)):
                raise FileNotFoundError  # it has just been finished and renamed
        except (BlockingIOError, FileNotFoundError):
            self._file.close()
            raise RunError(f"{self.part}: another process is writing it") from None

    def _read_journal(self) -> Journal | None:
        """Returns what another writer has left of the same job.

        Raises:
            RunError: it is damaged, or of another job.
        """
        with suppress(FileNotFoundError):
            journal = read_journal(self._journal)
            refuse_other_job(str(self.part), journal.job, self._job)
            return journal
        return None

    def _go_on(self, journal: Journal | None) -> None:
        """Cuts the part file back to what the journal vouches for, or to nothing."""
        found = os.fstat(self._file.fileno()).st_size
        self.replaces = 0 if journal else found
        if journal:
            if found < journal.bytes:
                raise RunError(
                    f"{self.part}: has {found:,} bytes, fewer than the {journal.bytes:,} that were safe; start over "
                    "without --resume"
                )
            self._restore(journal)
        else:
            self._journal.unlink(missing_ok=True)
        self._file.truncate(self._done[0])
        self._file.seek(self._done[0])

    def _restore(self, journal: Journal) -> None:
        self._done, self.finished = (journal.bytes, journal.state), journal.finished

    def _is_whole(self, journal: Journal) -> bool:
        """Says whether a crash fell behind the renaming of the file."""
        return self._path.is_file() and sha256(self._path) == journal.sha256

    def _append(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                error.strerror = f"{error.strerror} ({shutil.disk_usage(self.part.parent).free:,} bytes free)"
            error.filename = str(self.part)
            raise

    def _commit(self) -> None:
        """Makes all that has been written safe, and the journal say so."""
        os.fsync(self._file.fileno())
        n_bytes, state = self._done
        whole = sha256(self.part) if self.finished else None
        journal = Journal(finished=self.finished, bytes=n_bytes, sha256=whole, state=state, job=self._job)
        write_json(self._journal, journal.model_dump())
        self._committed = time.monotonic()

    def _finish(self) -> None:
        """Gives the file its name."""
        if not self._done[0]:
            empty = compressed(b"", self._path)
            self._append(empty)
            self._done = len(empty), self.state
        self.finished = True
        self._commit()
        os.replace(self.part, self._path)
        sync(self._path.parent)
        self._keep_journal()

    def _keep_journal(self) -> None:
        if self._manifest:
            os.replace(self._journal, self._manifest)
        else:
            self._journal.unlink()
        sync(self._path.parent)

    def _leave(self, error: BaseException) -> None:
        """Leaves what can be gone on with, and says so in a note of the error; deletes what is of no use."""
        if self.state is None:
            self.part.unlink()
            self._journal.unlink(missing_ok=True)
            return
        with suppress(OSError):  # the disk may be full: then the last entry of the journal holds
            self._commit()
        if self._journal.exists() and not isinstance(error, RunError):
            error.add_note(f"what has been done is in {self.part}; the same command with --resume goes on behind it")


def read_journal(path: Path) -> Journal:
    """Returns the journal of a file, or the manifest that it has become.

    Raises:
        FileNotFoundError: there is none.
        RunError: it is not what it should be.
    """
    try:
        return Journal.model_validate(read_json(path))
    except ValidationError as error:
        raise RunError(f"{path}: not usable: {first_fault(error)}") from error
    except ValueError as error:
        raise RunError(f"{path}: not usable: {error}") from error


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns in words how a job differs from another."""
    rows = []
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if old != new:
            hashes = any(isinstance(value, str) and len(value) == 64 for value in (old, new))  # say nothing to anybody
            rows.append(f"  {key}: is another one" if hashes else f"  {key}: was {old!r}, is {new!r}")
    return rows


def refuse_other_job(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Checks that what is there was begun as it is to be gone on with.

    Raises:
        RunError: it was not; with the list of what differs.
    """
    rows = differences(before, now)
    if rows:
        raise RunError(
            "\n".join([f"{name} was begun otherwise:", *rows])
            + "\nGo on as it was begun, or start over without --resume"
        )
