"""Parsers of what lies in model folders and checkpoints."""

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fuzz.target import LANGUAGE_MODEL, TRANSLATION, Target
from seq2seq import Generator, Translator
from seq2seq.decode.confidence import fit_calibration
from seq2seq.evaluate.doctor.folder import inspect_folder
from seq2seq.files import MANIFEST, verify_manifest, write_manifest
from seq2seq.model.calibration import CALIBRATION
from seq2seq.model.folder import build_model, load_any, load_model
from seq2seq.model.weights import load_tensors
from seq2seq.text.shortlist import SHORTLIST, Shortlist
from seq2seq.text.tokenizer import contents_hash
from seq2seq.train.checkpoint import newest_checkpoint
from seq2seq.train.optimizer import build_optimizer, set_optimizer_tensors

LINES = ["a b c", "the old dog sees a small house .", "", "\u2581 \ue000 \U0001f600"]


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
