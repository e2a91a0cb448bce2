"""All parsers of the program that are fuzzed, each with good files of its kind."""

import gzip
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from fuzz.folders import (
    CalibrationFile,
    Characters,
    Config,
    GPTConfig,
    Manifest,
    Optimizer,
    SentencePieceFile,
    ShortlistFile,
    State,
    TokenizerFile,
    Weights,
)
from fuzz.target import FIXTURES, LANGUAGE_MODEL, TRANSLATION, Target
from inject.corpus import write_corpus, write_recipe
from seq2seq.config import JsonlFile, TsvFile, load_recipe, settings_from_dict
from seq2seq.decode.partial import read_journal
from seq2seq.decode.shards import merge
from seq2seq.evaluate.leaderboard import make_leaderboard
from seq2seq.evaluate.runs import read_run
from seq2seq.evaluate.training_report import make_training_report, render_training_report
from seq2seq.files import sha256
from seq2seq.text.corpora import JsonlCorpus, TsvCorpus
from seq2seq.text.inputs import Span, open_text, part_of
from seq2seq.text.lines import read_lines, read_text
from seq2seq.train.monitor import cut_metrics, read_status

RECIPES = Path(__file__).parents[2] / "recipes"


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


class RunPages(Target):
    """A file of a run folder that reports and leaderboards read."""

    name, share = "run-pages", 0.2
    files: ClassVar[dict[str, bytes]] = {
        "recipe.yaml": (FIXTURES / "translation/recipe.yaml").read_bytes(),
        "status.json": b'{"state": "finished", "step": 30, "time": "2026-01-01T00:00:00+00:00", "best_bleu": 31.5, '
        b'"best_step": 30, "test/bleu": 30.5, "tests": [{"name": "a | b", "direction": "en-de", "lines": 9, '
        b'"exact": 0.5, "metrics": {"BLEU": {"score": 30.5, "signature": "nrefs:1"}}}]}',
        "metrics.jsonl": b'{"step": 10, "seconds": 1.5, "train/loss": 2.25, "train/learning_rate": 0.1}\n'
        b'{"step": 30, "seconds": 3, "valid/loss": 2.0, "valid/bleu": 31.5}\n{"step": 30, "test/bleu": 30.5}\n',
        "samples.jsonl": b'{"step": 30, "valid/samples": [{"source": "a", "reference": "b", "translation": "c"}]}\n',
        "run.json": b'{"starts": [{"time": "2026-01-01T00:00:00+00:00", "step": 0, "command": ["seq2seq-train", "x"], '
        b'"seed": 1, "ranks": 1, "device": "cpu", "versions": {"python": "3.11.7"}, "platform": "Linux", '
        b'"conditions": {"threads": 2}, "git": {"commit": "abc", "changed": false}, '
        b'"data": [{"file": "a", "bytes": 9, "sha256": "abc"}]}]}',
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run = folder / "runs/run"
        self.run.mkdir(parents=True)
        self.seeds = list(self.files.values())

    def write(self, content: bytes) -> None:
        """Puts a file in the place of the good one that it begins like."""
        place = max(self.files, key=lambda name: _alike(self.files[name], content))
        for name, whole in self.files.items():
            (self.run / name).write_bytes(content if name == place else whole)

    def read(self) -> None:
        """Shows the run on both pages."""
        board = make_leaderboard(self.run.parent)
        json.dumps(board.record())
        board.html(self.folder / "board.html", "command")
        render_training_report(make_training_report(read_run(self.run)), "command")


def _alike(one: bytes, other: bytes) -> int:
    """Returns how many bytes two files share from their beginning on."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


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
        Weights, ShortlistFile, CalibrationFile, Optimizer, State, RunFiles, RunPages, Text, Gzip, Zstd, Tsv,
        Jsonl, Journal,
    )
}  # fmt: skip
