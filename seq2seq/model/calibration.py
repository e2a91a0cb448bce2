"""What is kept with a model so that its translations come with a confidence: a map from score to quality.

It is fitted by decode/confidence.py, and kept in calibration.json of the model folder.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError, model_validator

from seq2seq.config import first_fault
from seq2seq.errors import ModelError
from seq2seq.files import read_json, write_json

CALIBRATION = "calibration.json"
FORMAT_VERSION = 1
FEATURES = ("length_misfit", "mean_log_prob")  # that every search knows

Features = Mapping[str, float]  # such as `mean_log_prob`; higher values of a single feature must mean higher quality
Share = Annotated[float, Field(ge=0, le=1)]


class Calibration(BaseModel, strict=True, frozen=True, extra="forbid", allow_inf_nan=False):
    """A monotone map from features of a translation to its expected quality.

    Attributes:
        weights: of each feature; their weighted sum is the score.
        scores: ascending, where the map bends.
        values: expected quality there, 0 to 1, ascending; linear in between and constant beyond.
        quality: what is expected, in words.
        examples: translations that it was fitted on.
        error: expected calibration error, 0 to 1, cross-validated.
        about: what it holds for: `target_language`, how was searched and on which corpus.
    """

    weights: Annotated[dict[str, float], Field(min_length=1)]
    scores: Annotated[list[float], Field(min_length=1)]
    values: list[Share]
    quality: str
    examples: NonNegativeInt
    error: Share
    about: dict[str, Any]

    def __call__(self, features: Features) -> float:
        """Returns the expected quality of a translation, 0 to 1; the least if its score is not a number.

        Args:
            features: those that it was fitted with; others are not looked at.

        Raises:
            KeyError: one is missing.
        """
        score = sum(weight * features[name] for name, weight in self.weights.items())
        value = float(np.interp(score, self.scores, self.values))
        return self.values[0] if math.isnan(score) or math.isnan(value) else value

    def save(self, folder: Path) -> None:
        """Writes it into a folder; into a model folder by `files.add_file`, which keeps the manifest true."""
        write_json(folder / CALIBRATION, {"format_version": FORMAT_VERSION, **self.model_dump()})

    @classmethod
    def load(cls, folder: Path) -> "Calibration":
        """Reads that of a model folder.

        Raises:
            ModelError: it is unreadable, of another format version, or no map of features that are known.
        """
        path = folder / CALIBRATION
        try:
            record = dict(read_json(path))
            if (version := record.pop("format_version", None)) != FORMAT_VERSION:
                raise ValueError(f"format version {version!r}; this program reads version {FORMAT_VERSION}")
            calibration = cls.model_validate(record)
            if not calibration.weights.keys() <= set(FEATURES):
                raise ValueError(f"weights: only {' and '.join(FEATURES)} are known")
        except (OSError, ValueError, TypeError, OverflowError) as error:
            fault = first_fault(error) if isinstance(error, ValidationError) else str(error)
            raise ModelError(f"{path}: not usable: {fault}; make it anew with seq2seq-calibrate") from error
        return calibration

    @model_validator(mode="after")
    def _is_monotone(self) -> "Calibration":
        ascending = self.scores == sorted(self.scores) and self.values == sorted(self.values)
        if len(self.scores) != len(self.values) or not ascending:
            raise ValueError("it is no monotone map")
        return self
