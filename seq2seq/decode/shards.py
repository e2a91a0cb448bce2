"""Parts of a large file that are translated apart, on whatever machines, and joined again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.decode.partial import Journal, differences, read_journal, refuse_other_job
from seq2seq.decode.tally import State
from seq2seq.errors import RunError, Seq2SeqError
from seq2seq.files import sha256, whole_file
from seq2seq.text.inputs import Span, part_of

BLOCK = 2**20  # bytes that are copied at once
MOST = 1_000_000  # shards
SHOWN = 100  # missing shards that are told


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
        refuse_other_job(str(output), manifest.job, job)
    return manifest.state if manifest.job == job and manifest.sha256 == found else None


@dataclass(frozen=True)
class _Part:
    """A translated shard.

    Attributes:
        path: of its lines.
        manifest: which lines they are, and how they were made.
        state: how far it has come, which is to its end.
        shard: which one it is.
        job: how it was made, as all others must be.
    """

    path: Path
    manifest: Journal
    state: State
    shard: Shard
    job: dict[str, Any]


def merge(output: Path, parts: Sequence[Path]) -> int:
    """Joins the translated shards of a file, in whatever order they are given; returns the number of lines.

    Raises:
        Seq2SeqError: one is missing, given twice, has changed, or is of another input, model or option than the others.
    """
    output = output.resolve()
    ordered = _read_parts(output, parts)
    with whole_file(output) as file:
        for part in ordered:
            digest = hashlib.sha256()
            with open(part.path, "rb") as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    file.write(block)
            if digest.hexdigest() != part.manifest.sha256:
                manifest = manifest_of(part.path)
                raise Seq2SeqError(f"{part.path}: has changed since it was translated: {manifest} does not fit it")
    return sum(part.state.tally.lines for part in ordered)


def _read_parts(output: Path, paths: Sequence[Path]) -> list[_Part]:
    """Returns the parts in order.

    Raises:
        Seq2SeqError: they do not make a whole; with all that is wrong.
    """
    found: dict[int, _Part] = {}
    wrong: list[str] = []
    first: dict[str, Any] = {}
    for path in paths:
        try:
            part = _read_part(path)
            wrong += _faults(output, part)
        except FileNotFoundError as error:
            wrong.append(f"{path}: is no finished shard (no {error.filename})")
            continue
        except (RunError, ValueError) as error:
            wrong.append(f"{path}: its manifest is not usable: {error}")
            continue
        first = first or part.job
        if rows := differences(first, part.job):
            wrong.append("\n".join([f"{path}: differs from {paths[0]}:", *rows]))
        elif part.shard.number in found:
            wrong.append(f"{path}: is shard {part.shard.number}, and so is {found[part.shard.number].path}")
        else:
            found[part.shard.number] = part
    if not wrong:
        missing = [n for n in range(1, first["parts"] + 1) if n not in found][:SHOWN]
        wrong = [f"of {first['parts']} shards these are missing: {', '.join(map(str, missing))}"] if missing else []
    ordered = [found[number] for number in sorted(found)]
    if not wrong:
        wrong += _gaps(ordered, first["input_bytes"])
    if wrong:
        raise Seq2SeqError("the parts make no whole:\n" + "\n".join(wrong))
    return ordered


def _read_part(path: Path) -> _Part:
    """Reads the manifest of a part.

    Raises:
        FileNotFoundError: there is none.
        RunError: it is not what it should be.
        ValueError: it does not say which shard it is.
    """
    manifest = read_journal(manifest_of(path))
    job = dict(manifest.job)
    number, _, parts = str(job.pop("shard", "")).partition("/")
    shard = Shard(int(number), int(parts))
    if not 1 <= shard.number <= shard.parts <= MOST:
        raise ValueError(f"there is no shard {shard}")
    if type(job.get("input_bytes")) is not int:
        raise ValueError("it does not say how large the input is")
    return _Part(path, manifest, State.of(manifest.state), shard, {**job, "parts": shard.parts})


def _faults(output: Path, part: _Part) -> list[str]:
    """Returns what is wrong with a part by itself."""
    path, wrong = part.path, []
    if path.resolve() == output:
        wrong.append(f"{path}: is the output too")
    if path.suffix != output.suffix and {path.suffix, output.suffix} & {".gz", ".zst"}:
        wrong.append(f"{path}: its name must end as that of {output} does: what is compressed stays so")
    lines, read = part.state.tally.lines, part.state.read.lines
    if lines != read:
        wrong.append(f"{path}: has {lines:,} lines for {read:,} of the input")
    if not part.manifest.finished or path.stat().st_size != part.manifest.bytes:
        wrong.append(f"{path}: has not the size that it was written with, {part.manifest.bytes:,} bytes")
    return wrong


def _gaps(parts: Sequence[_Part], size: int) -> list[str]:
    """Returns where the lines of a part do not follow those of the part before it."""
    end = 0
    for part in parts:
        if part.state.start != end:
            return [
                f"{part.path}: begins at byte {part.state.start:,} of the input, the shard before it ends at {end:,}"
            ]
        end += part.state.read.bytes
    return [] if end == size else [f"the last shard ends at byte {end:,} of the input, which has {size:,}"]
