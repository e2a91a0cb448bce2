"""Files that are whole or absent: atomic folders, manifests with hashes, locks."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from seq2seq.errors import DamagedError, ModelError, RunError

MANIFEST = "MANIFEST.json"
FORMAT_VERSION = 1
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LARGEST_JSON = 2**20  # bytes; ours have some thousand, and Python needs up to 25 times as much for what they say
LONGEST_NAME = 200  # characters of a file below a folder
LARGEST_HEAD = 2**21  # bytes of a safetensors file: names and shapes of some ten thousand tensors


def fingerprint(value: object) -> str:
    """Returns the SHA-256, in hexadecimal, of a value as JSON."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


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


def read_bytes(path: Path, largest: int) -> bytes:
    """Returns the content of a file that may be a stranger's.

    Raises:
        ValueError: it is larger than so many bytes, or no plain file; nothing of it has been read.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("is no file")
    if size > largest:
        raise ValueError(f"has {size:,} bytes, more than the {largest:,} that such a file may have")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Returns what a JSON file says that may be a stranger's.

    Raises:
        ValueError: it is none, too large or nested too deeply.
        OSError: it cannot be read.
    """
    return parse_json(read_bytes(path, LARGEST_JSON).decode())


def check_head(path: Path) -> None:
    """Checks that the head of a safetensors file, which tells what it holds, is not too large to be read.

    Raises:
        ValueError: it is.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > LARGEST_HEAD:
        raise ValueError(f"its head has {size:,} bytes, more than the {LARGEST_HEAD:,} that it may have")


def parse_json(text: str) -> Any:
    """Returns what a text of JSON says.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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

    The folder gets a manifest; every file, the folder and its parent are synced, so that after a crash the old folder
    or the new one is there, whole; the old one perhaps where `replaced` says, until `recover` is called. Only one
    process may write the same `path` at a time.

    Raises:
        OSError: it cannot be written; of a full disk with the path and how many bytes are free.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    remove_folder(temporary)
    temporary.mkdir()
    try:
        yield temporary
        write_manifest(temporary)
        old = replaced(path)
        if path.exists():
            remove_folder(old)
            os.rename(path, old)  # between the two renames readers look here
        os.rename(temporary, path)
        sync(path.parent)
        remove_folder(old)
    except BaseException as error:
        free = shutil.disk_usage(path.parent).free
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise OSError(error.errno, f"{os.strerror(error.errno)} ({free:,} bytes free)", str(path)) from error
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a binary file that takes the place of `path`, synced, when the block ends without an error.

    What is no plain file, such as a pipe or /dev/stdout, is written to as it is.
    """
    plain = is_plain(path)
    if plain:
        path = path.resolve()  # a link stays a link
    target = path.with_name(f".{path.name}.{os.getpid()}.tmp") if plain else path
    try:
        try:
            file = open(target, "wb")  # noqa: SIM115 (closed below)
        except OSError as error:
            error.filename = str(path)  # the name that the user gave
            raise
        with file:
            yield file
            if plain:
                file.flush()
                os.fsync(file.fileno())
        if plain:
            os.replace(target, path)
            sync(path.parent)
    finally:
        if plain:
            target.unlink(missing_ok=True)


def is_plain(path: Path) -> bool:
    """Says whether a file can be written under another name first: it is a plain one, or not there yet."""
    return path.is_file() or not path.exists()


def replaced(path: Path) -> Path:
    """Returns where a folder's former content lies while `atomic_folder` puts the new one in its place."""
    return path.with_name(f".{path.name}.old")


def recover(parent: Path) -> None:
    """Makes good what a crash has left in a folder of folders that `atomic_folder` writes; only for who writes them.

    A folder that fell between the two renames is brought back, and what nobody will finish is deleted.
    """
    for old in parent.glob(".*.old"):
        path = parent / old.name[1:].removesuffix(".old")
        if path.exists():
            remove_folder(old)
        else:
            os.rename(old, path)
    for left in [*parent.glob(".*.tmp"), *parent.glob(".*.trash")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


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
            files[path.relative_to(folder).as_posix()] = _manifest_row(path)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            sync(path)
    write_json(folder / MANIFEST, _manifest(files))


def add_file(folder: Path, name: str, write: Callable[[Path], object]) -> None:
    """Adds a file to a folder that has a manifest, or replaces it there; the folder is whole at every moment.

    Of a crash while it is replaced the folder may come out without it. Only one process may do so at a time.

    Args:
        folder: the folder; what it holds else is not touched.
        name: of the file.
        write: writes the file, under its name, into an empty folder.
    """
    files = dict(read_json(folder / MANIFEST)["files"])
    temporary = folder / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        write(temporary)
        sync(temporary / name)
        row = _manifest_row(temporary / name)
        if files.pop(name, None):  # a manifest that lists it would be wrong as soon as it is replaced
            write_json(folder / MANIFEST, _manifest(files))
        os.replace(temporary / name, folder / name)
        sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    write_json(folder / MANIFEST, _manifest(dict(sorted({**files, name: row}.items()))))


def verify_manifest(folder: Path) -> frozenset[str]:
    """Checks that the files of a folder's manifest are all there, with their sizes and hashes.

    Files that the manifest does not list are nobody's business: they are never read.

    Returns:
        The names of the files that it lists.

    Raises:
        DamagedError: a file is missing or changed, or the manifest itself is.
        ModelError: there is no manifest, or one of another format version.
    """
    rows = read_manifest(folder)
    for name, row in rows.items():
        if fault := file_fault(folder / name, row):
            raise DamagedError(f"{folder / name}: {fault}")
    return frozenset(rows)


def read_manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Returns the size in bytes and the SHA-256 that a folder's manifest has for each file.

    Raises:
        DamagedError: the manifest is not as it was written.
        ModelError: there is none, or one of another format version.
    """
    try:
        text = read_bytes(folder / MANIFEST, LARGEST_JSON).decode()
        manifest = parse_json(text)
        version = manifest["format_version"]
        rows = {name: (row["bytes"], row["sha256"]) for name, row in manifest["files"].items()}
        content = {key: value for key, value in manifest.items() if key != "digest"}  # the first folders have none
        digest = {"digest": fingerprint(content)} if "digest" in manifest else {}
        known = version != FORMAT_VERSION or content.keys() == {"format_version", "files"}
        if not known or text != _json_text({**content, **digest}):
            raise ValueError("not as it was written")
    except FileNotFoundError:
        raise ModelError(f"{folder}: not a model or checkpoint folder (no {MANIFEST})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{folder / MANIFEST}: damaged: {error}") from error
    if version != FORMAT_VERSION:
        raise ModelError(f"{folder}: has format version {version!r}; this program reads version {FORMAT_VERSION}")
    for name in rows:
        if {"", ".", ".."} & set(name.split("/")) or len(name) > LONGEST_NAME or not name.isprintable():
            raise ModelError(
                f"{folder / MANIFEST}: lists {name[:LONGEST_NAME]!r}, which is no name of a file in this folder"
            )
    return rows


def file_fault(path: Path, row: tuple[int, str]) -> str | None:
    """Says what is wrong with a file by its row of the manifest, if anything is."""
    if not path.is_file():
        return "missing"
    if path.stat().st_size != row[0] or sha256(path) != row[1]:
        return f"damaged: its content does not match {MANIFEST}"
    return None


def is_whole(folder: Path) -> bool:
    """Says whether a folder is there and as its manifest says."""
    try:
        verify_manifest(folder)
    except ModelError:
        return False
    return True


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Makes a folder of a cache unless it is there, whole; of processes that start together one makes it for all.

    Args:
        folder: what it is to be; the lock lies beside it.
        make: writes what it holds into an empty folder.

    Returns:
        The folder.
    """
    with lock(folder.parent / ".locks" / folder.name):
        if not is_whole(folder):
            with atomic_folder(folder) as temporary:
                make(temporary)
    return folder


@contextmanager
def lock(folder: Path, message: str | None = None) -> Iterator[None]:
    """Holds a folder for this process while the block runs; the lock ends with the process, however it ends.

    Raises:
        RunError: another process holds it; with `message`. Without a message the other one is waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if message else 0))
        except BlockingIOError:
            raise RunError(str(message)) from None
        yield


def _manifest(files: dict[str, Any]) -> dict[str, Any]:
    """Returns what a manifest says: of each file, and in the end of itself."""
    content = {"format_version": FORMAT_VERSION, "files": files}
    return {**content, "digest": fingerprint(content)}


def _manifest_row(path: Path) -> dict[str, Any]:
    """Returns what a manifest says of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
