"""What a model folder or run folder holds and whether it is whole, without loading the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from seq2seq.config import Settings, settings_to_yaml
from seq2seq.errors import ModelError, Seq2SeqError
from seq2seq.files import FORMAT_VERSION, MANIFEST, file_fault, read_json, read_manifest, sha256
from seq2seq.model.calibration import CALIBRATION, Calibration
from seq2seq.model.folder import CONFIG, TOKENIZER, WEIGHTS, ModelConfig, checkpoint_folders, find_model
from seq2seq.model.weights import read_shapes
from seq2seq.text.ids import SPECIAL_IDS
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import Tokenizer

HASH = 16  # hex digits that are shown of a hash


@dataclass(frozen=True)
class FolderFile:
    """A file of a model folder.

    Attributes:
        name: below the folder.
        size: bytes; None: it is missing.
        sha256: of its content; empty if it is missing.
        state: `whole`, or what is wrong, or `not listed` for what the manifest says nothing of.
    """

    name: str
    size: int | None
    sha256: str
    state: str


@dataclass
class Folder:
    """A model folder as it was found.

    Attributes:
        path: the folder.
        facts: names and values.
        files: all files, those that should be there too.
        parameters: numbers of parameters by part of the model.
        settings: the recipe as YAML.
        chosen: those of its settings that are no defaults, as YAML.
        faults: what is wrong with it.
        models: of a run folder, each model folder in it and what is wrong with it.
    """

    path: Path
    facts: dict[str, str] = field(default_factory=dict)
    files: list[FolderFile] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    settings: str = ""
    chosen: str = ""
    faults: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {**asdict(self), "path": str(self.path), "whole": not self.faults}


def inspect_folder(path: Path) -> Folder:
    """Looks into a model folder, or into a run folder and the model that it stands for, however damaged.

    Args:
        path: the folder.

    Raises:
        ModelError: there is no model folder in it at all.
    """
    run = {}
    if not (path / MANIFEST).exists() and not (path / CONFIG).exists():
        run = _run_facts(path)
        candidates = [path / "best", *reversed(checkpoint_folders(path))]
        found = {each.relative_to(path).as_posix(): each for each in candidates if each.is_dir()}
        models = {name: _verdict(each) for name, each in found.items()}
        chosen = next((found[name] for name, verdict in models.items() if verdict == "whole"), None)
        folder = Folder(chosen or next(iter(found.values()), None) or find_model(path), models=models)
        folder.faults += [f"{path / name}: {verdict}" for name, verdict in models.items() if verdict != "whole"]
    else:
        folder = Folder(path)
    _files(folder)
    config = None
    with _noting(folder, CONFIG):
        config = ModelConfig.load(folder.path)
        settings = config.recipe(folder.path)
        folder.settings, folder.chosen = settings_to_yaml(settings), settings_to_yaml(settings, defaults=False)
        folder.facts |= _model_facts(settings, config)
    with _noting(folder, WEIGHTS):
        folder.parameters = count_parameters(folder.path / WEIGHTS)
    with _noting(folder, "tokenizer"):
        tokenizer = Tokenizer.load(folder.path / "tokenizer")
        folder.facts |= _tokenizer_facts(tokenizer, folder.path)
        if config and tokenizer.hash() != config.tokenizer_hash:
            folder.faults.append(f"{folder.path}: the model was trained with another tokenizer than the one beside it")
        if (folder.path / SHORTLIST).exists():
            folder.facts["shortlist"] = _shortlist(folder.path, tokenizer)
        if (folder.path / CALIBRATION).exists():
            folder.facts["calibration"] = _calibration(folder.path)
    folder.facts = {**run, **folder.facts}
    folder.faults = list(dict.fromkeys(folder.faults))
    return folder


@contextmanager
def _noting(folder: Folder, name: str) -> Iterator[None]:
    """Makes what a damaged file raises one of the folder's faults."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        folder.faults.append(f"{folder.path / name}: not usable: {_first_line(error)}")
    except Seq2SeqError as error:
        folder.faults.append(str(error))


def _first_line(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{type(error).__name__}: {(reason or '').partition(chr(10))[0][:200]}"


def _verdict(folder: Path) -> str:
    """Says whether a model folder is as its manifest says, or what is wrong first."""
    try:
        faults = [(name, file_fault(folder / name, row)) for name, row in read_manifest(folder).items()]
    except (ModelError, OSError) as error:
        return str(error).removeprefix(f"{folder}: ")
    wrong = [f"{name} {fault}" for name, fault in faults if fault]
    return wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "") if wrong else "whole"


def _files(folder: Folder) -> None:
    """Compares all files of a folder with its manifest."""
    rows: dict[str, tuple[int, str]] = {}
    try:
        rows = read_manifest(folder.path)
        folder.facts["format version"] = str(FORMAT_VERSION)
    except (ModelError, OSError) as error:
        folder.faults.append(str(error))
    there = {file.relative_to(folder.path).as_posix(): file for file in folder.path.rglob("*") if file.is_file()}
    for name in sorted(rows.keys() | there.keys() - {MANIFEST}):
        path = folder.path / name
        state = (file_fault(path, rows[name]) or "whole") if name in rows else "not listed"
        if state not in ("whole", "not listed"):
            folder.faults.append(f"{path}: {state}")
        size, digest = (path.stat().st_size, sha256(path)) if path.is_file() else (None, "")
        folder.files.append(FolderFile(name, size, digest, state))


def _run_facts(path: Path) -> dict[str, str]:
    """Returns what a run folder says of its training."""
    try:
        status = read_json(path / "status.json")
        return {"run": f"{path}: {status['state']} at step {int(status['step']):,}"}
    except (OSError, ValueError, LookupError, TypeError):
        return {"run": f"{path}: no status.json that can be read"}


def _model_facts(settings: Settings, config: ModelConfig) -> dict[str, str]:
    """Returns what config.json says of a model."""
    facts: dict[str, str] = {"task": settings.task}
    if settings.task == "translation":
        data = settings.data
        pairs = dict.fromkeys("-".join(data.languages(corpus)) for corpus in data.train)
        facts["languages"] = ", ".join(pairs)
        facts["longest source"] = f"{config.max_source_length:,} tokens, end of sentence included"
    model = settings.model.model_dump(exclude_defaults=False)
    facts["model"] = ", ".join(f"{key} {value}" for key, value in model.items() if value is not None)
    facts["settings hash"] = config.settings_hash[:HASH]
    return facts


def count_parameters(path: Path) -> dict[str, int]:
    """Returns the number of parameters of each part of a model, from the head of its weights.

    Raises:
        ModelError: it is no file of weights, or cut off.
    """
    parts: dict[str, int] = {}
    for name, shape in sorted(read_shapes(path).items()):
        part = name.split(".")[0].replace("_", " ")
        parts[part] = parts.get(part, 0) + prod(shape)
    return parts


def _tokenizer_facts(tokenizer: Tokenizer, folder: Path) -> dict[str, str]:
    kind = read_json(folder / TOKENIZER / "tokenizer.json")
    sizes = f"{tokenizer.source_vocab_size:,}"
    if not tokenizer.shared:
        sizes += f" source and {tokenizer.target_vocab_size:,} target"
    facts = {
        "tokenizer": f"{kind['type']}, {sizes} tokens, {'one vocabulary' if tokenizer.shared else 'two vocabularies'}"
        f"{', lossless' if kind['lossless'] else ''}",
        "special ids": ", ".join(f"{name} {number}" for name, number in SPECIAL_IDS.items()),
        "tokenizer hash": tokenizer.hash()[:HASH],
    }
    if tokenizer.languages:
        facts["tags"] = ", ".join(tokenizer.languages)
    if tokenizer.separator:
        facts["separator"] = f"id {tokenizer.separator}, behind each sentence of a context (data.context)"
    return facts


def _calibration(folder: Path) -> str:
    calibration = Calibration.load(folder)
    return f"{calibration.examples:,} translations, expected calibration error {calibration.error:.4f}"


def _shortlist(folder: Path, tokenizer: Tokenizer) -> str:
    shortlist = Shortlist.load(folder, tokenizer)
    per_token = len(shortlist.targets) / max(1, len(shortlist.offsets) - 1)
    return f"{len(shortlist.frequent):,} tokens for all sentences, {per_token:.1f} for each source token on average"
