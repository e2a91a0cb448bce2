"""Fitting what translations of a model are expected to be worth, and measuring whether it comes true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.decode.confidence import (
    Bin,
    calibration_error,
    cross_validated,
    features_of,
    fit_calibration,
    reliability,
)
from seq2seq.decode.translator import Translator
from seq2seq.errors import DataError, ModelError
from seq2seq.evaluate.metrics import sentence_chrf
from seq2seq.evaluate.page import render_page
from seq2seq.evaluate.reliability import reliability_svg
from seq2seq.files import add_file
from seq2seq.model.calibration import CALIBRATION
from seq2seq.model.device import choose_device
from seq2seq.model.folder import find_model, load_model, lock_of_run
from seq2seq.text.corpora import aligned_lines
from seq2seq.text.lines import is_blank


@dataclass(frozen=True)
class Measured:
    """What was expected of translations beside what came true.

    Attributes:
        confidences: of each, 0 to 1, by a calibration that was fitted on others.
        qualities: of each, 0 to 1: its chrF / 100.
        cross_validated: whether they are of the text that the model's calibration is fitted on.
        left_out: lines that were not counted: blank ones, and those that were split.
        doubt: why the model's calibration does not hold for how was translated; empty if it does.
    """

    confidences: list[float]
    qualities: list[float]
    cross_validated: bool
    left_out: int
    doubt: str = ""

    @property
    def bins(self) -> list[Bin]:
        """Of the reliability diagram."""
        return reliability(self.confidences, self.qualities)

    @property
    def facts(self) -> dict[str, str]:
        """What was measured, by name."""
        how = "cross-validated" if self.cross_validated else "by the model's calibration"
        error, rank = calibration_error(self.confidences, self.qualities), spearman(self.confidences, self.qualities)
        return {
            "translations": f"{len(self.qualities):,} ({self.left_out:,} lines left out)",
            "expected calibration error": f"{error:.4f} ({how})",
            "rank correlation with chrF": f"{rank:.3f} (Spearman)",
            "mean confidence": f"{np.mean(self.confidences):.4f}",
            "mean chrF / 100": f"{np.mean(self.qualities):.4f}",
            **({"note": self.doubt} if self.doubt else {}),
        }


def calibrate(
    path: Path, source: Path, reference: Path, device: str, options: Mapping[str, Any], check: bool = False
) -> Measured:
    """Translates a text, and keeps with a model how good its translations are, by how probable they are.

    Args:
        path: model folder, or run folder with a best model.
        source: raw text.
        reference: its translation.
        device: `auto`, `cpu`, `cuda` ...
        options: of `Translator.load`: decode settings that replace the recipe's, and `target_language`.
        check: measure the calibration that the model has; change nothing.

    Raises:
        DataError: a file cannot be read, lines do not correspond, or there are too few.
        ModelError: there is no usable translation model, or to check none that is calibrated for the language.
        RunError: the run is being trained.
    """
    folder = find_model(path)
    if check:
        return _measure(Translator.load(folder, device, **options), source, reference)
    with lock_of_run(folder):
        return _calibrate(folder, source, reference, device, options)


def _calibrate(folder: Path, source: Path, reference: Path, device: str, options: Mapping[str, Any]) -> Measured:
    decode = dict(options)
    language, seed = decode.pop("target_language", None), decode.pop("seed", None)
    trained = load_model(folder, choose_device(device), decode, calibrated=False)  # one of which nothing can be made
    trained.prepare()
    translator = Translator(trained, target_language=language, seed=seed)
    features, qualities, left_out = _translate(translator, source, reference)
    about = {
        "target_language": translator.language,
        "source": source.name,
        "reference": reference.name,
        "decode": translator.decode.model_dump(mode="json"),
    }
    try:
        calibration = fit_calibration(features, qualities, about=about)
        confidences = cross_validated(features, qualities)
    except ValueError as error:
        raise DataError(f"{source} | {reference}: {error}") from error
    add_file(folder, CALIBRATION, calibration.save)
    return Measured(confidences, qualities, True, left_out)


def _measure(translator: Translator, source: Path, reference: Path) -> Measured:
    calibration = translator.trained.calibration
    if calibration is None or calibration.about.get("target_language") != translator.language:
        raise ModelError(
            f"the model is not calibrated for {translator.language}; seq2seq-calibrate without --check does that"
        )
    features, qualities, left_out = _translate(translator, source, reference)
    return Measured([calibration(one) for one in features], qualities, False, left_out, translator.doubt)


def _translate(
    translator: Translator, source: Path, reference: Path
) -> tuple[list[dict[str, float]], list[float], int]:
    """Returns features and qualities of the translations of a text, and how many lines were left out."""
    pairs = list(aligned_lines(source, reference))
    found = translator.translate_stream(line for line, _ in pairs)
    counted = [
        (translation.searched[0], translation.text, wanted)
        for translation, (_, wanted) in zip(found, pairs, strict=True)
        if len(translation.searched) == 1 and not is_blank(wanted)
    ]
    if not counted:
        raise DataError(f"{source} | {reference}: no sentence pair to measure translations by")
    features = features_of(translator.tokenizer, [searched for searched, _, _ in counted])
    qualities = [min(1.0, sentence_chrf(text, [wanted])[0] / 100) for _, text, wanted in counted]
    return features, qualities, len(pairs) - len(counted)


def calibration_page(measured: Measured, model: str, command: str) -> str:
    """Returns the reliability diagram as a page that needs nothing else."""
    return render_page(
        "calibration.html",
        facts={"model": model, **measured.facts},
        diagram=reliability_svg(measured.bins, "Reliability of the confidence"),
        bins=[one for one in measured.bins if one.count],
        command=command,
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the rank correlation of two sequences, -1 to 1; 0 if one of them is constant."""
    ranks = [_ranks(np.asarray(values, dtype=np.float64)) for values in (a, b)]
    if any(values.std() == 0 for values in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the rank of each value; equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return found
