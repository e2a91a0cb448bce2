"""The operations on files below a folder, each told by its name just before it is done.

They are found by Python's audit events, so that no list of them has to be kept. Two kinds cause no such event, and
cause one of ours: to sync a file, and to write one in safetensors, which is not done in Python. The writes between the
opening of a file and its closing are not told; that such a file may be torn, `unsynced` says.
"""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WRITER = "serialize_file"  # the function of safetensors that writes a file
SYNC, WRITE = "inject.sync", "inject.write"
ONE_PATH = {"os.mkdir": 2, "os.remove": 1, "os.rmdir": 1, "os.truncate": None, SYNC: None, WRITE: None}
TWO_PATHS = {"os.rename": (2, 3), "os.link": (2, 3), "os.symlink": (None, 2)}


class Operations:
    """Calls `before` with the name of each operation, from `watch` on and until the process ends.

    An audit hook cannot be taken away again: this is for processes that are forked for one trial.

    Args:
        folder: operations elsewhere are nobody's business.
        before: given a name such as `rename .step-00000010.tmp -> step-00000010`.

    Attributes:
        unsynced: numbers (inodes) of the files that have been opened for writing and not been synced since.
    """

    def __init__(self, folder: Path, before: Callable[[str], None]) -> None:
        self.folder = folder.resolve()
        self.unsynced: set[int] = set()
        self._before = before
        self._opened: list[Path] = []
        self._synced: list[int] = []

    def watch(self) -> None:
        """Begins."""
        sync, write = os.fsync, vars(safetensors.torch)[WRITER]

        def told_sync(file: Any) -> None:
            sys.audit(SYNC, file if isinstance(file, int) else file.fileno())
            sync(file)

        def told_write(tensors: Any, filename: Any, *arguments: Any, **options: Any) -> None:
            sys.audit(WRITE, filename)
            write(tensors, filename, *arguments, **options)

        for name in ("fsync", "fdatasync"):
            setattr(os, name, told_sync)
        setattr(safetensors.torch, WRITER, told_write)
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Is called by Python with every audit event."""
        if event == "open":
            path = self._place(arguments[0]) if int(arguments[2]) & WRITING else None
            if path:
                self._tell(f"open {path}")
                self._opened.append(self.folder / path)
        elif event in ONE_PATH:
            path = self._place(arguments[0], arguments, ONE_PATH[event])
            if path:
                self._tell(f"{event.partition('.')[2]} {path}")
                if event == SYNC:
                    self._synced.append(os.fstat(arguments[0]).st_ino)
                elif event == WRITE:
                    self._opened.append(self.folder / path)
        elif event in TWO_PATHS:
            places = [self._place(arguments[i], arguments, TWO_PATHS[event][i]) for i in range(2)]
            if any(places):
                self._tell(f"{event.partition('.')[2]} {places[0]} -> {places[1]}")

    def _tell(self, name: str) -> None:
        """Takes into account what has been done since the last operation, and tells the next one."""
        for path in self._opened:
            if path.exists() and stat.S_ISREG(path.stat().st_mode):
                self.unsynced.add(path.stat().st_ino)
        self.unsynced.difference_update(self._synced)
        self._opened.clear()
        self._synced.clear()
        self._before(name)

    def _place(self, path: Any, arguments: tuple[Any, ...] = (), folder_at: int | None = None) -> Path | None:
        """Returns a path as it is called below the folder; None if it lies elsewhere.

        Args:
            path: a path, or the descriptor of an open file.
            arguments: of the event.
            folder_at: which of them is the descriptor of the folder that the path starts from, if one can be.
        """
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        elif folder_at is not None and arguments[folder_at] != -1:
            path = os.path.join(os.readlink(f"/proc/self/fd/{arguments[folder_at]}"), os.fsdecode(path))
        found = Path(os.path.abspath(os.fsdecode(path)))
        return found.relative_to(self.folder) if found.is_relative_to(self.folder) else None
