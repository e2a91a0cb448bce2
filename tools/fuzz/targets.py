"""Parsers of the program, each with good files of its kind."""

import gzip
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np

from fuzz.mutate import mutate
from inject.corpus import write_corpus, write_recipe
from seq2seq import Generator, Translator
from seq2seq.config import JsonlFile, TsvFile, load_recipe, settings_from_dict
from seq2seq.decode.confidence import fit_calibration
from seq2seq.decode.partial import read_journal
from seq2seq.decode.shards import merge
from seq2seq.evaluate.doctor.folder import inspect_folder
from seq2seq.files import MANIFEST, sha256, verify_manifest, write_manifest
from seq2seq.model.calibration import CALIBRATION
from seq2seq.model.folder import build_model, load_any, load_model
from seq2seq.model.weights import load_tensors
from seq2seq.text.corpora import JsonlCorpus, TsvCorpus
from seq2seq.text.inputs import Span, open_text, part_of
from seq2seq.text.lines import read_lines, read_text
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import contents_hash
from seq2seq.train.checkpoint import newest_checkpoint
from seq2seq.train.monitor import cut_metrics, read_status
from seq2seq.train.optimizer import build_optimizer, set_optimizer_tensors

FIXTURES = Path(__file__).parents[2] / "tests/fixtures/format_1"
RECIPES = Path(__file__).parents[2] / "recipes"
TRANSLATION = FIXTURES / "translation/checkpoints/step-00004000"
LANGUAGE_MODEL = FIXTURES / "language_model/best"
LINES = ["a b c", "the old dog sees a small house .", "", "\u2581 \ue000 \U0001f600"]


class Target(ABC):
    """A parser and good files that it reads.

    Args:
        folder: an empty one of its own.

    Attributes:
        name: on the command line and in the table.
        share: of all files, relative to those of the others; small where a file takes long.
        seeds: good files; mutated ones are made from them.
        path: where the file lies.
    """

    name: ClassVar[str]
    share: ClassVar[float] = 1.0
    seeds: Sequence[bytes]
    path: Path

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def content(self, seed: int, number: int) -> bytes:
        """Returns the mutated file of a number."""
        random = Random(f"{seed} {self.name} {number}")
        return mutate(random.choice(self.seeds), random)

    def write(self, content: bytes) -> None:
        """Puts a file in its place."""
        self.path.write_bytes(content)

    @abstractmethod
    def read(self) -> None:
        """Lets the program read it, and use what it has read."""


class RecipeFile(Target):
    """A recipe."""

    name = "recipe"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "recipe.yaml"
        self.seeds = [path.read_bytes() for path in sorted(RECIPES.glob("*.yaml"))]

    def read(self) -> None:
        """Checks it, as every command does first."""
        load_recipe(self.path)


class Override(Target):
    """An argument KEY=VALUE."""

    name = "override"
    seeds = (b"train.learning_rate=6e-4", b"data.train=[{source: a, target: b}]", b"model.layers=3", b"output=x")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "argument"
        self.recipe = write_recipe(folder / "good")

    def read(self) -> None:
        """Reads a good recipe with it."""
        load_recipe(self.recipe, [os.fsdecode(self.path.read_bytes())])


class FolderFile(Target):
    """A file of a model folder, whose manifest fits it: anybody can write one that does.

    Attributes:
        source: the good folder.
        file: its name below.
    """

    source: ClassVar[Path] = TRANSLATION
    file: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.model = folder / "checkpoints/step-00000001"
        shutil.copytree(self.source, self.model)
        self.add(self.model)
        self.path = self.model / self.file
        self.seeds = [self.path.read_bytes()]

    def add(self, folder: Path) -> None:
        """Adds what the good folder lacks."""

    def write(self, content: bytes) -> None:
        """Puts a file in its place, and a manifest that fits."""
        super().write(content)
        (self.model / MANIFEST).unlink(missing_ok=True)
        write_manifest(self.model)

    def read(self) -> None:
        """Loads the model, and uses it if it can be loaded."""
        inspect_folder(self.model)
        use(self.model)


def use(folder: Path) -> None:
    """Loads a model, and translates or continues some lines with it."""
    limits: dict[str, Any] = {"batch_tokens": 4096, "precision": "fp32", "beam_size": 2}
    if load_any(folder).settings.task == "translation":
        limits |= {"max_length_ratio": 0.5, "min_length": 0}
        Translator.load(folder, "cpu", **limits).translate(LINES)
    else:
        Generator.load(folder, "cpu", **limits, max_new_tokens=4).generate(LINES[:2])


class Config(FolderFile):
    """config.json of a translation model."""

    name, file = "config", "config.json"


class GPTConfig(FolderFile):
    """config.json of a language model."""

    name, file, source = "gpt-config", "config.json", LANGUAGE_MODEL


class TokenizerFile(FolderFile):
    """tokenizer.json."""

    name, file = "tokenizer", "tokenizer/tokenizer.json"


class TokenizerModel(FolderFile):
    """A file of a tokenizer, with hashes of it that fit."""

    def write(self, content: bytes) -> None:
        """Puts it in its place, and its hash where that is compared."""
        tokenizer, config = self.model / "tokenizer/tokenizer.json", self.model / "config.json"
        digest = contents_hash([content], json.loads(tokenizer.read_bytes())["lossless"])
        for path, key in ((tokenizer, "hash"), (config, "tokenizer_hash")):
            path.write_text(json.dumps({**json.loads(path.read_bytes()), key: digest}), encoding="utf-8")
        super().write(content)


class SentencePieceFile(TokenizerModel):
    """A SentencePiece model."""

    name, file, share = "sentencepiece", "tokenizer/shared.model", 0.4


class Characters(TokenizerModel):
    """The list of a tokenizer of characters."""

    name, file, source = "characters", "tokenizer/characters.txt", LANGUAGE_MODEL


class Weights(FolderFile):
    """model.safetensors."""

    name, file = "weights", "model.safetensors"


class ShortlistFile(FolderFile):
    """shortlist.safetensors."""

    name, file = "shortlist", SHORTLIST

    def add(self, folder: Path) -> None:
        """Adds a shortlist."""
        tokenizer = load_model(folder).tokenizer
        n_source, n_target = tokenizer.source_vocab_size, tokenizer.target_vocab_size
        targets = np.arange(n_source, dtype=np.int32) % n_target
        Shortlist(np.arange(4, dtype=np.int32), np.arange(n_source + 1), targets, n_target).save(folder)

    def read(self) -> None:
        """Loads the model with it, and translates with it."""
        limits: dict[str, Any] = {"beam_size": 2, "max_length_ratio": 0.5, "shortlist": True}
        Translator.load(self.model, "cpu", **limits).translate(LINES)


class CalibrationFile(FolderFile):
    """calibration.json."""

    name, file = "calibration", CALIBRATION

    def add(self, folder: Path) -> None:
        """Adds a calibration."""
        features = [{"mean_log_prob": -i / 9, "length_misfit": -i % 7 / 9} for i in range(60)]
        fit_calibration(features, [1 / (1 + i) for i in range(60)], about={"target_language": "de"}).save(folder)

    def read(self) -> None:
        """Loads the model with it, and translates with it."""
        translator = Translator.load(self.model, "cpu", beam_size=2, max_length_ratio=0.5)
        for translation in translator.translate_all(LINES):
            if translation.confidence is not None and not 0 <= translation.confidence <= 1:
                raise AssertionError(translation.confidence)


class Optimizer(FolderFile):
    """optimizer.safetensors of a checkpoint."""

    name, file = "optimizer", "optimizer.safetensors"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        trained = load_model(self.model)
        self.net = build_model(trained.settings, trained.tokenizer)
        self.settings = trained.settings.train

    def read(self) -> None:
        """Restores an optimizer from it."""
        newest_checkpoint(self.folder)
        optimizer = build_optimizer(self.net, self.settings)
        set_optimizer_tensors(self.net, optimizer, load_tensors(self.path))


class State(FolderFile):
    """state.json of a checkpoint."""

    name, file = "state", "state.json"

    def read(self) -> None:
        """Looks for a checkpoint to go on from."""
        newest_checkpoint(self.folder)


class Manifest(FolderFile):
    """MANIFEST.json."""

    name, file = "manifest", MANIFEST

    def write(self, content: bytes) -> None:
        """Puts it in its place as it is."""
        self.path.write_bytes(content)

    def read(self) -> None:
        """Verifies the folder by it."""
        inspect_folder(self.model)
        verify_manifest(self.model)


class RunFiles(Target):
    """What a run folder holds beside models: metrics.jsonl and status.json."""

    name = "run"
    seeds = (
        b'{"step": 1, "seconds": 1.5, "train/loss": 2.25}\n{"step": 2, "seconds": 3, "valid/bleu": 1.0}\n',
        b'{"state": "finished", "step": 30, "time": "2026-01-01T00:00:00+00:00"}\n',
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "status.json"

    def read(self) -> None:
        """Reads it as either."""
        shutil.copyfile(self.path, self.folder / "metrics.jsonl")
        cut_metrics(self.folder / "metrics.jsonl", 1, 1)
        read_status(self.folder)


class Text(Target):
    """A text file, as input, as training text, and divided into shards."""

    name, suffix = "text", ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / f"text{self.suffix}"
        write_corpus(folder / "corpus")
        text = (folder / "corpus/valid.en").read_bytes()
        self.seeds = [
            self.packed(text),
            self.packed(text * 300),
            self.packed(b"\xef\xbb\xbfa\r\n\r\r\n\n\xe2\x80\xa8b"),
        ]

    def packed(self, text: bytes) -> bytes:
        """Returns a text as a file of this kind holds it."""
        return text

    def read(self) -> None:
        """Reads it in every way in which it is read; the lines of its parts must be its lines."""
        parts = [line for number in (1, 2, 3) for line in self._lines(part_of(self.path, number, 3)[0])]
        if parts != self._lines():
            raise AssertionError("the parts have other lines than the whole")
        for _ in read_lines(self.path):
            pass
        read_text(self.path)

    def _lines(self, span: Span | None = None) -> list[str]:
        with open_text(self.path, span) as text:
            return [line for chunk in text.chunks(100, 2**16) for line in chunk]


class Gzip(Text):
    """A text file compressed by gzip."""

    name, suffix = "gzip", ".gz"

    def packed(self, text: bytes) -> bytes:
        """Returns it compressed."""
        return gzip.compress(text, mtime=0)


class Zstd(Text):
    """A text file compressed by zstd."""

    name, suffix = "zstd", ".zst"

    def packed(self, text: bytes) -> bytes:
        """Returns it compressed."""
        from seq2seq.text.compression import compressed

        return compressed(text, Path("text.zst"))


class Tsv(Target):
    """A corpus with a pair on each line."""

    name = "tsv"
    seeds: Sequence[bytes] = (b"eins\tone\nzwei\ttwo\n\ndrei\tthree\n" * 20,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "pairs"

    def read(self) -> None:
        """Reads all pairs."""
        for _ in TsvCorpus(TsvFile(tsv="pairs"), self.folder, ("de", "en")):
            pass


class Jsonl(Tsv):
    """A corpus with an object on each line."""

    name = "jsonl"
    seeds = (
        b'{"de": "eins", "en": "one"}\n{"de": "zwei", "en": null}\n' * 20,
        b'{"translation": {"de": "\\u00e4", "en": "x"}, "n": [1, 2.5]}\n' * 20,
    )

    def read(self) -> None:
        """Reads all pairs."""
        for _ in JsonlCorpus(JsonlFile(jsonl="pairs"), self.folder, ("de", "en")):
            pass


class Journal(Target):
    """What stands beside a translation that is not finished, or beside a shard."""

    name = "journal"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "part").write_bytes(b"eins\n")
        self.path = folder / "part.shard.json"
        state = {"start": 0, "read": {"lines": 1, "bytes": 4, "sha256": "0" * 64}, "tally": {"lines": 1, "blank": 0}}
        job = {"shard": "1/1", "input_bytes": 4, "model": "0" * 64, "decode": {"beam_size": 5}}
        whole = {
            "format_version": 1,
            "finished": True,
            "bytes": 5,
            "sha256": sha256(folder / "part"),
            "state": state,
            "job": job,
        }
        self.seeds = [json.dumps(whole, indent=2).encode()]

    def read(self) -> None:
        """Reads it as both, and joins the shard."""
        read_journal(self.path)
        merge(self.folder / "whole", [self.folder / "part"])


class StoredSettings(Target):
    """The settings that a model folder holds."""

    name = "settings"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "settings.json"
        configs = [json.loads((each / "config.json").read_bytes()) for each in (TRANSLATION, LANGUAGE_MODEL)]
        self.seeds = [json.dumps(config["settings"]).encode() for config in configs]

    def write(self, content: bytes) -> None:
        """Keeps only what is JSON: another target has the rest."""
        try:
            self.values = json.loads(content)
        except (ValueError, RecursionError):
            self.values = {}

    def read(self) -> None:
        """Checks them."""
        settings_from_dict(self.values)


TARGETS: dict[str, type[Target]] = {
    kind.name: kind
    for kind in (
        RecipeFile, Override, StoredSettings, Manifest, Config, GPTConfig, TokenizerFile, SentencePieceFile, Characters,
        Weights, ShortlistFile, CalibrationFile, Optimizer, State, RunFiles, Text, Gzip, Zstd, Tsv, Jsonl, Journal,
    )
}  # fmt: skip
