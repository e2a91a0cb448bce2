"""How good a translation is likely to be, from what is known when its search ends: a calibrated confidence.

A model's own probabilities order translations, but say little about how good they are. On text with references, such
as the validation corpus, both are known; there a monotone map is fitted from score to quality (isotonic regression,
Zadrozny and Elkan 2002, by pooling adjacent violators), and kept with the model. It assumes no shape, as a logistic
curve would, but that more of the score is never worse.

Quality is any number from 0 to 1: of sentences' chrF / 100 the confidence is the expected one; of ones and zeros, such
as whether chrF reaches a threshold, it is a probability. A calibration holds for one model, one way of searching, and
text like that which it was fitted on: `doubt` says what of it is not so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seq2seq.config import DecodeSettings
from seq2seq.decode.context import own_lengths
from seq2seq.decode.translation import Searched
from seq2seq.model.calibration import Calibration, Features
from seq2seq.text.tokenizer import Tokenizer

GROUPS, LEAST_GROUP = 40, 5  # groups of examples that are fitted, at the most, and examples of each, at the least
FOLDS = 5
NO_SEARCH = {"batch_tokens", "precision"}  # decode settings that change nothing but rounding
BINS = 10  # of a reliability diagram

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Translations of like confidence.

    Attributes:
        low: least confidence.
        high: largest confidence.
        count: translations.
        confidence: mean; 0 if there is no translation.
        quality: mean; 0 if there is no translation.
    """

    low: float
    high: float
    count: int
    confidence: float
    quality: float


def fit_calibration(
    features: Sequence[Features],
    qualities: Sequence[float],
    quality: str = "chrF / 100",
    about: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fits a calibration.

    Args:
        features: of translations, the same names for each; of several the weights are fitted by least squares.
        qualities: of the same translations, 0 to 1.
        quality: what they are, in words.
        about: what is kept beside it, for JSON.

    Raises:
        ValueError: there are too few examples, they differ in their features, or something is not as it must be.
    """
    names, rows, targets = _examples(features, qualities)
    weights, scores, values = _fit(rows, targets)
    return Calibration(
        weights=dict(zip(names, weights.tolist(), strict=True)),
        scores=scores.tolist(),
        values=values.tolist(),
        quality=quality,
        examples=len(rows),
        error=calibration_error(_cross_validated(rows, targets), targets.tolist()),
        about=dict(about or {}),
    )


def cross_validated(features: Sequence[Features], qualities: Sequence[float]) -> list[float]:
    """Returns the confidence of each of some translations by a calibration that was fitted on others of them.

    Args:
        features: see `fit_calibration`.
        qualities: see there.

    Raises:
        ValueError: see there.
    """
    _, rows, targets = _examples(features, qualities)
    return _cross_validated(rows, targets)


def search_features(log_prob: float, tokens: int, source_tokens: int) -> dict[str, float]:
    """Returns the features that every search knows.

    Args:
        log_prob: summed log-probability of a translation, eos included, in nats.
        tokens: of the translation, eos included.
        source_tokens: eos included.

    Returns:
        `mean_log_prob`, nats per token, and `length_misfit`, minus the absolute logarithm of the ratio of lengths.
    """
    misfit = -abs(math.log(max(tokens, 1) / max(source_tokens, 1)))
    return {"mean_log_prob": log_prob / max(tokens, 1), "length_misfit": misfit}


def doubt(calibration: Calibration, language: str, decode: DecodeSettings, n_models: int = 1) -> str:
    """Returns why a calibration does not hold for translations, on one line; empty if it does.

    Args:
        calibration: see there.
        language: of the translations.
        decode: how they are searched for.
        n_models: that translate together.
    """
    if (made_for := calibration.about.get("target_language")) != language:
        return f"the model is calibrated for {made_for}, not for {language}"
    if n_models > 1:
        return "the model is calibrated alone, not together with others"
    recorded = calibration.about.get("decode")
    # What an older version does not know was as it is by default.
    made_with = DecodeSettings().model_dump(mode="json") | (recorded if isinstance(recorded, dict) else {})
    others = [
        f"{name} {made_with[name]!s:.40}, not {value}"
        for name, value in decode.model_dump(mode="json").items()
        if name not in NO_SEARCH and made_with[name] != value
    ]
    return f"the model is calibrated with {', with '.join(others)}" if others else ""


def features_of(tokenizer: Tokenizer, searched: Sequence[Searched]) -> list[dict[str, float]]:
    """Returns the features of what search has found for lines or parts of lines."""
    if not searched:
        return []
    lengths = own_lengths(tokenizer, [part.source for part in searched])
    rows = zip(searched, lengths, strict=True)
    return [search_features(part.log_prob, len(part.tokens) + 1, length) for part, length in rows]


def confidence_of(calibration: Calibration, tokenizer: Tokenizer, searched: Sequence[Searched]) -> float:
    """Returns the confidence of a line: of one that was split the mean of its parts, each by its tokens with eos."""
    values = [calibration(features) for features in features_of(tokenizer, searched)]
    return float(np.average(values, weights=[len(part.tokens) + 1 for part in searched]))


def isotonic(values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Returns the ascending sequence nearest to one of numbers, by weighted squares.

    Adjacent numbers that descend are pooled into their mean until none are left (Ayer et al. 1955).

    Args:
        values: the numbers.
        weights: of each, above 0; None: all the same.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight and numbers of each
    for value, weight in zip(values, weights or [1.0] * len(values), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, mass, n = pools.pop()
            total = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / total, total, n + pool[2])
        pools.append(pool)
    return [mean for mean, _, n in pools for _ in range(n)]


def reliability(confidences: Sequence[float], qualities: Sequence[float], bins: int = BINS) -> list[Bin]:
    """Returns what was expected beside what came true, for confidences in bins of equal width from 0 to 1."""
    expected, true = np.asarray(confidences, dtype=np.float64), np.asarray(qualities, dtype=np.float64)
    places = np.clip((expected * bins).astype(int), 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    means = [np.bincount(places, values, bins) / np.maximum(counts, 1) for values in (expected, true)]
    return [Bin(i / bins, (i + 1) / bins, int(counts[i]), float(means[0][i]), float(means[1][i])) for i in range(bins)]


def calibration_error(confidences: Sequence[float], qualities: Sequence[float], bins: int = BINS) -> float:
    """Returns the expected calibration error (Naeini et al. 2015), 0 to 1.

    It is the mean over all translations of how far, in their bin, mean confidence and mean quality are apart.
    """
    found = reliability(confidences, qualities, bins)
    return sum(one.count * abs(one.confidence - one.quality) for one in found) / max(1, len(confidences))


def _fit(rows: Values, targets: Values) -> tuple[Values, Values, Values]:
    """Returns the weights of features, and the scores and values at which the map bends."""
    weights = np.ones(1) if rows.shape[1] == 1 else _least_squares(rows, targets)
    scores = rows @ weights
    order = np.argsort(scores, kind="stable")
    scores, targets = scores[order], targets[order]
    size = max(LEAST_GROUP, -(-len(scores) // GROUPS))
    starts = np.arange(0, max(1, len(scores) - size + 1), size)  # a rest joins the last group
    starts = np.unique(np.searchsorted(scores, scores[starts]))  # equal scores stay together
    counts = np.diff(np.append(starts, len(scores)))
    means = np.add.reduceat(targets, starts) / counts
    fitted = np.array(isotonic(means.tolist(), counts.tolist()))
    pools = np.flatnonzero(np.diff(fitted, prepend=-1.0))
    masses = np.add.reduceat(counts, pools)
    centres = np.add.reduceat(np.add.reduceat(scores, starts), pools) / masses
    return weights, centres, np.clip(fitted[pools], 0.0, 1.0)


def _least_squares(rows: Values, targets: Values) -> Values:
    """Returns the weights of a linear model; 0 for a feature that is always the same."""
    spread = rows.std(axis=0)
    scale = np.where(spread > 0, spread, np.inf)
    weights, *_ = np.linalg.lstsq((rows - rows.mean(axis=0)) / scale, targets - targets.mean(), rcond=1e-6)
    result: Values = weights / scale
    return result


def _cross_validated(rows: Values, targets: Values) -> list[float]:
    """Returns the confidence of each example by a map that was fitted on others."""
    confidences = np.zeros(len(rows))
    folds = np.arange(len(rows)) % FOLDS
    for fold in range(FOLDS):
        weights, scores, values = _fit(rows[folds != fold], targets[folds != fold])
        confidences[folds == fold] = np.interp(rows[folds == fold] @ weights, scores, values)
    return confidences.tolist()


def _examples(features: Sequence[Features], qualities: Sequence[float]) -> tuple[list[str], Values, Values]:
    """Returns the names of features, the features as [examples, names], and the qualities.

    Raises:
        ValueError: they cannot be fitted.
    """
    names = sorted(features[0]) if features else []
    rows, targets = _matrix(features, names), _checked_qualities(qualities)
    if len(rows) != len(targets):
        raise ValueError(f"{len(rows)} translations cannot have {len(targets)} qualities")
    if len(rows) < FOLDS:
        raise ValueError(f"{len(rows)} translations are too few: it takes {FOLDS}, and some hundreds to be of use")
    return names, rows, targets


def _matrix(features: Sequence[Features], names: Sequence[str]) -> Values:
    """Returns features as [examples, names]."""
    if not names or any(one.keys() != set(names) for one in features):
        raise ValueError("each translation needs the same features, at least one")
    rows = np.array([[one[name] for name in names] for one in features], dtype=np.float64)
    if not np.isfinite(rows).all():
        raise ValueError("features must be finite")
    return rows


def _checked_qualities(qualities: Sequence[float]) -> Values:
    values = np.asarray(qualities, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("qualities must be from 0 to 1")
    return values
