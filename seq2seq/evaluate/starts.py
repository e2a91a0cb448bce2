"""What run.json tells of each start of a run: when, on what, with which code and text."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Source:
    """A file or dataset that a run has read, how large it is, and its SHA-256 or a dataset's revision."""

    name: str
    size: str
    sha256: str


@dataclass(frozen=True)
class Start:
    """One start of a run; what is not known is empty.

    Attributes:
        time: as run.json has it.
        step: from which the run went on.
        command: as a shell reads it.
        device: what it was computed on.
        ranks: processes.
        conditions: such as precision and threads.
        commit: of the code.
        changed: whether the code differs from its commit.
        versions: of what it stands on.
        platform: of the machine.
        sources: the text.
    """

    time: str
    step: str
    command: str
    device: str
    ranks: str
    conditions: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    changed: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    platform: str = ""
    sources: Sequence[Source] = ()


def read_starts(values: object) -> list[Start]:
    """Returns the starts that run.json tells of."""
    return [_start(one) for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _start(values: Mapping[str, Any]) -> Start:
    command, git, data = values.get("command"), _texts(values.get("git")), values.get("data")
    return Start(
        _text(values.get("time")),
        _text(values.get("step")),
        shlex.join(map(str, command)) if isinstance(command, list) else "",
        _text(values.get("device")),
        _text(values.get("ranks")),
        _texts(values.get("conditions")),
        git.get("commit", ""),
        git.get("changed", "[]") != "[]",
        _texts(values.get("versions")),
        _text(values.get("platform")),
        [_source(_texts(row)) for row in data] if isinstance(data, list) else [],
    )


def _source(row: dict[str, str]) -> Source:
    dataset = " ".join(row[key] for key in ("dataset", "config", "split") if row.get(key))
    return Source(row.get("file", dataset), row.get("bytes", ""), row.get("sha256", row.get("revision", "")))


def _texts(value: object) -> dict[str, str]:
    return {str(key): _text(one) for key, one in value.items()} if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return "" if value is None else str(value)
