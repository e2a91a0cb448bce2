"""COMET, a learned metric that reads the source too: `pip install 'seq2seq[comet]'`.

Rei et al. 2020, COMET: A Neural Framework for MT Evaluation; the default model is that of Rei et al. 2022, COMET-22.
"""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

from seq2seq.errors import Seq2SeqError
from seq2seq.model.device import choose_device

MODEL = "Unbabel/wmt22-comet-da"

Lines = Sequence[str]


@dataclass(frozen=True)
class CometScores:
    """What COMET says of the translations of one system; with most models 0 to 1, and more is better.

    Attributes:
        sentences: of each line.
        signature: number of references, model, and version of the package.
    """

    sentences: list[float]
    signature: str


class Comet:
    """A COMET model.

    A model reads one reference. Of several, each is read by itself, and the score of a line is the mean, so that no
    reference is preferred. Models that estimate quality without references read source and translation alone.

    A checkpoint is a pickle, which may run any program: take one only from those whom you trust.

    Args:
        name: of a model on the Hugging Face hub, or the path of a checkpoint, `model.ckpt` or its model's folder.
        device: `auto`, `cpu`, `cuda` ...

    Raises:
        Seq2SeqError: the package is not installed, or the model can neither be found nor downloaded nor read.
    """

    def __init__(self, name: str = MODEL, device: str = "auto") -> None:
        comet = _library()
        chosen = choose_device(device)
        self._where = {"gpus": 1, "devices": [chosen.index or 0]} if chosen.type == "cuda" else {"gpus": 0}
        with _quiet():
            self._model = _load(comet, name)
        self._signature = f"model:{name}|version:{comet.__version__}"

    def score(self, source: Lines, hypotheses: Lines, references: Sequence[Lines]) -> CometScores:
        """Scores the translations of one system.

        Args:
            source: what was translated.
            hypotheses: a translation of each line.
            references: one list of references or several, each as long.
        """
        rows = [{"src": line, "mt": ours} for line, ours in zip(source, hypotheses, strict=True)]
        used = references if self._model.requires_references() else []
        data = [[row | {"ref": other} for row, other in zip(rows, lines, strict=True)] for lines in used] or [rows]
        with _quiet():
            found = [self._model.predict(samples, progress_bar=False, **self._where).scores for samples in data]
        sentences = [fmean(values) for values in zip(*found, strict=True)]
        return CometScores(sentences, f"nrefs:{len(used)}|{self._signature}")


def _library() -> ModuleType:
    """Returns the package `comet`, which is installed where it is asked for.

    Raises:
        Seq2SeqError: it is not installed, or another package has its name.
    """
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    try:
        with _quiet():
            comet = import_module("comet")
    except ImportError as error:
        raise Seq2SeqError(f"COMET needs one more package: pip install 'seq2seq[comet]' ({error})") from error
    finally:  # on import it begins to log for all of the program
        root.level, root.handlers[:] = before
    if not hasattr(comet, "load_from_checkpoint"):
        raise Seq2SeqError(
            f"the package {getattr(comet, '__file__', 'comet')} is not COMET: pip install 'seq2seq[comet]'"
        )
    return comet


def _load(comet: ModuleType, name: str) -> Any:
    """Returns a model.

    Raises:
        Seq2SeqError: it can neither be found nor downloaded nor read.
    """
    path = Path(name) / "checkpoints" / "model.ckpt" if Path(name).is_dir() else Path(name)
    if not path.is_file() and (path.is_absolute() or path.suffix == ".ckpt"):
        raise Seq2SeqError(f"COMET model {name}: there is no file {path}")
    try:
        if not path.is_file():
            path = Path(comet.download_model(name))
        return comet.load_from_checkpoint(str(path))
    except Exception as error:  # the package raises whatever its parts do, and hides why a download failed
        reason: BaseException = error
        while reason.__context__:
            reason = reason.__context__
        raise Seq2SeqError(
            f"COMET model {name}: neither in the cache of the Hugging Face hub nor on the hub, or unreadable\n"
            f"  what failed: {' '.join(str(reason).split())[:300] or type(reason).__name__}\n"
            "  Some models need a licence accepted on the hub. Without a network, give the path of a checkpoint, and\n"
            "  let the cache hold the encoder that its hparams.yaml names."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what COMET prints off stdout, where scores go, and mutes its warnings, which no user can mend."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
        yield
