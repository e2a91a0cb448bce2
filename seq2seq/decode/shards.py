"""Parts of a large file that are translated apart, on whatever machines, and joined again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.decode.partial import differences, read_journal, refuse_other_job
from seq2seq.errors import RunError, Seq2SeqError
from seq2seq.files import sha256, whole_file
from seq2seq.text.inputs import Span, part_of

BLOCK = 2**20  # bytes that are copied at once


@dataclass(frozen=True)
class Shard:
    """One of several parts of a file.

    Attributes:
        number: of the part, from 1.
        parts: their number.
    """

    number: int
    parts: int

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"


def manifest_of(output: Path) -> Path:
    """Returns where it is said of which lines, and how, a translated part was made."""
    return output.with_name(f"{output.name}.shard.json")


def shard_of(path: Path, shard: Shard) -> tuple[Span, dict[str, Any]]:
    """Returns which lines of a file are a shard, and what tells it from other shards, by name.

    Raises:
        DataError: the file cannot be read.
    """
    span, size = part_of(path, shard.number, shard.parts)
    return span, {"shard": str(shard), "input": sha256(path), "input_bytes": size}


def finished_shard(output: Path, job: Mapping[str, Any], resume: bool) -> dict[str, Any] | None:
    """Returns the state of a shard that has been translated as it is to be now, and has not changed since.

    Args:
        output: of the shard.
        job: how it is to be translated.
        resume: whether one that was translated otherwise is refused; else it is translated again.

    Raises:
        RunError: it was translated otherwise.
    """
    try:
        manifest = read_journal(manifest_of(output))
        found = sha256(output)
    except (FileNotFoundError, RunError):
        return None
    if resume:
        refuse_other_job(str(output), manifest["job"], job)
    state: dict[str, Any] = manifest["state"]
    return state if manifest["job"] == job and manifest["sha256"] == found else None


def merge(output: Path, parts: Sequence[Path]) -> int:
    """Joins the translated shards of a file, in whatever order they are given; returns the number of lines.

    Raises:
        Seq2SeqError: one is missing, given twice, has changed, or is of another input, model or option than the others.
    """
    output = output.resolve()
    manifests = _read_manifests(output, parts)
    with whole_file(output) as file:
        for path, manifest in manifests:
            digest = hashlib.sha256()
            with open(path, "rb") as part:
                while block := part.read(BLOCK):
                    digest.update(block)
                    file.write(block)
            if digest.hexdigest() != manifest["sha256"]:
                raise Seq2SeqError(f"{path}: has changed since it was translated: {manifest_of(path)} does not fit it")
    return sum(int(manifest["state"]["tally"]["lines"]) for _, manifest in manifests)


def _read_manifests(output: Path, parts: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Returns the parts in order with their manifests.

    Raises:
        Seq2SeqError: they do not make a whole; with all that is wrong.
    """
    found: dict[int, tuple[Path, dict[str, Any]]] = {}
    wrong: list[str] = []
    first: dict[str, Any] = {}
    for path in parts:
        try:
            manifest = read_journal(manifest_of(path))
            number, n_parts = map(int, manifest["job"].pop("shard").split("/"))
            job = {**manifest["job"], "parts": n_parts}
            wrong += _faults(output, path, manifest)
        except FileNotFoundError as error:
            wrong.append(f"{path}: is no finished shard (no {error.filename})")
            continue
        except (RunError, KeyError, ValueError, TypeError) as error:
            wrong.append(f"{path}: its manifest is not usable: {error}")
            continue
        first = first or job
        if rows := differences(first, job):
            wrong.append("\n".join([f"{path}: differs from {parts[0]}:", *rows]))
        elif number in found:
            wrong.append(f"{path}: is shard {number}, and so is {found[number][0]}")
        else:
            found[number] = path, manifest
    missing = [str(number) for number in range(1, first.get("parts", 0) + 1) if number not in found]
    if missing and not wrong:
        wrong.append(f"of {first['parts']} shards these are missing: {', '.join(missing)}")
    ordered = [found[number] for number in sorted(found)]
    if not wrong:
        wrong += _gaps(ordered, first["input_bytes"])
    if wrong:
        raise Seq2SeqError("the parts make no whole:\n" + "\n".join(wrong))
    return ordered


def _faults(output: Path, path: Path, manifest: dict[str, Any]) -> list[str]:
    """Returns what is wrong with a part by itself."""
    wrong = []
    if path.resolve() == output:
        wrong.append(f"{path}: is the output too")
    if path.suffix != output.suffix and {path.suffix, output.suffix} & {".gz", ".zst"}:
        wrong.append(f"{path}: its name must end as that of {output} does: what is compressed stays so")
    lines, read = manifest["state"]["tally"]["lines"], manifest["state"]["read"]["lines"]
    if lines != read:
        wrong.append(f"{path}: has {lines:,} lines for {read:,} of the input")
    if not manifest["finished"] or path.stat().st_size != manifest["bytes"]:
        wrong.append(f"{path}: has not the size that it was written with, {manifest['bytes']:,} bytes")
    return wrong


def _gaps(parts: Sequence[tuple[Path, dict[str, Any]]], size: int) -> list[str]:
    """Returns where the lines of a part do not follow those of the part before it."""
    end = 0
    for path, manifest in parts:
        state = manifest["state"]
        if state["start"] != end:
            return [f"{path}: begins at byte {state['start']:,} of the input, the shard before it ends at {end:,}"]
        end += state["read"]["bytes"]
    return [] if end == size else [f"the last shard ends at byte {end:,} of the input, which has {size:,}"]
