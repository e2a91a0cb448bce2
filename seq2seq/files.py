"""Files that are whole or absent: atomic folders, manifests with hashes, locks."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seq2seq.errors import ModelError, RunError

MANIFEST = "MANIFEST.json"
FORMAT_VERSION = 1


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, replacing the old one in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(_json_text(value))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def sync(path: Path) -> None:
    """Forces a file's content, or a folder's list of names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `path` when the block ends without an error.

    The folder gets a manifest; every file, the folder and its parent are synced, so that after a crash `path` is
    the old folder or the new one, whole. Only one process may write the same `path` at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    remove_folder(temporary)
    temporary.mkdir()
    try:
        yield temporary
        write_manifest(temporary)
        old = path.with_name(f".{path.name}.old")
        remove_folder(old)
        if path.exists():
            os.rename(path, old)  # a reader between the two renames finds the old folder by this name
        os.rename(temporary, path)
        sync(path.parent)
        remove_folder(old)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def restore_replaced(path: Path) -> None:
    """Brings back the old folder where a crash fell between the two renames of `atomic_folder`."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        os.rename(old, path)


def remove_folder(path: Path) -> None:
    """Deletes a folder by renaming it first, so that no half-deleted folder bears a valid name."""
    if path.exists():
        trash = path.with_name(f".{path.name.lstrip('.')}.trash")
        shutil.rmtree(trash, ignore_errors=True)
        os.rename(path, trash)
        shutil.rmtree(trash, ignore_errors=True)


def write_manifest(folder: Path) -> None:
    """Lists every file of a folder with its size and SHA-256 in the folder's manifest, and syncs all of it."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sync(path)
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            sync(path)
    write_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, "files": files})


def verify_manifest(folder: Path) -> None:
    """Checks that a folder holds exactly the files of its manifest, with their sizes and hashes.

    Raises:
        ModelError: a file is missing, added or changed, or there is no readable manifest of a known version.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        version, files = manifest["format_version"], dict(manifest["files"])
        if text != _json_text(manifest):
            raise ValueError("not as it was written")
    except FileNotFoundError:
        raise ModelError(f"{folder}: not a model or checkpoint folder (no {MANIFEST})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / MANIFEST}: unreadable: {error}") from error
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{folder}: written in format version {version!r}; this program reads version {FORMAT_VERSION}"
        )
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    for name in sorted(found ^ files.keys()):
        raise ModelError(f"{folder / name}: {'not listed in the manifest' if name in found else 'missing'}")
    for name, expected in files.items():
        path = folder / name
        if path.stat().st_size != expected["bytes"] or sha256(path) != expected["sha256"]:
            raise ModelError(f"{path}: damaged: its content does not match {MANIFEST}")


@contextmanager
def lock(folder: Path, message: str) -> Iterator[None]:
    """Holds a folder for this process while the block runs; the lock ends with the process, however it ends.

    Raises:
        RunError: another process holds it; with `message`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(message) from None
        yield
