"""Confidence: what is expected comes true, more of the score is never worse, and small cases are exact."""

import json
import math
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from conftest import make_pairs
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.config import DecodeSettings, TokenizerSettings
from seq2seq.decode.confidence import (
    FOLDS,
    calibration_error,
    confidence_of,
    cross_validated,
    doubt,
    features_of,
    fit_calibration,
    isotonic,
    reliability,
    search_features,
)
from seq2seq.decode.translation import Searched
from seq2seq.errors import ModelError
from seq2seq.files import add_file, atomic_folder, verify_manifest
from seq2seq.model.calibration import CALIBRATION, Calibration
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import Tokenizer


def draw(n: int, seed: int = 0) -> tuple[list[dict[str, float]], list[float]]:
    """Features of which two matter, and qualities whose expectation is a curve of them."""
    random = np.random.default_rng(seed)
    rows = [{"mean_log_prob": -float(random.gamma(2, 0.5)), "min_log_prob": -float(random.gamma(2, 1.5)),
             "noise": float(random.normal())} for _ in range(n)]  # fmt: skip
    means = np.array([math.exp(row["mean_log_prob"] + 0.2 * row["min_log_prob"]) for row in rows])
    return rows, random.beta(8 * means + 0.1, 8 * (1 - means) + 0.1).tolist()


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([], None, []),
        ([0.3], None, [0.3]),
        ([1, 2, 3], None, [1, 2, 3]),
        ([3, 2, 1], None, [2, 2, 2]),
        ([1, 3, 2, 4], None, [1, 2.5, 2.5, 4]),
        ([4, 1, 1, 5, 3], None, [2, 2, 2, 4, 4]),
        ([1, 0], [3.0, 1.0], [0.75, 0.75]),
        ([0, 3, 0], [1.0, 1.0, 2.0], [0, 1, 1]),
        ([2, 2, 1], None, [5 / 3, 5 / 3, 5 / 3]),
    ],
)
def test_small_sequences_are_exact(values: list[float], weights: list[float] | None, expected: list[float]) -> None:
    assert isotonic(values, weights) == pytest.approx(expected)


@given(values=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_no_other_ascending_sequence_is_nearer(values: list[float]) -> None:
    def distance(others: tuple[float, ...] | list[float]) -> float:
        return sum((value - other) ** 2 for value, other in zip(values, others, strict=True))

    found = isotonic(values)
    assert found == sorted(found)
    grid = (row for row in product(np.linspace(0, 3, 7).tolist(), repeat=len(values)) if list(row) == sorted(row))
    assert distance(found) <= min(map(distance, grid)) + 1e-9


def test_what_is_expected_comes_true() -> None:
    rows, qualities = draw(2000)
    calibration = fit_calibration(rows, qualities)
    others, true = draw(2000, seed=1)
    confidences = [calibration(row) for row in others]
    assert calibration_error(confidences, true) < 0.04
    assert calibration.error < 0.04
    assert calibration_error([math.exp(row["mean_log_prob"]) for row in others], true) > 0.1  # of bare probabilities
    alone = fit_calibration([{"mean_log_prob": row["mean_log_prob"]} for row in rows], qualities)
    errors = [np.mean([(c(row) - q) ** 2 for row, q in zip(others, true, strict=True)]) for c in (calibration, alone)]
    assert errors[0] < errors[1] < np.var(true)
    assert abs(calibration.weights["noise"]) < 0.1 * abs(calibration.weights["mean_log_prob"])


def test_more_of_the_score_is_never_worse() -> None:
    random = np.random.default_rng(2)
    features = [{"mean_log_prob": float(value)} for value in random.normal(size=200).round(1)]
    calibration = fit_calibration(features, random.random(200).tolist())
    confidences = [calibration({"mean_log_prob": score}) for score in np.linspace(-5, 5, 99)]
    assert all(0 <= one <= other <= 1 for one, other in pairwise(confidences))
    assert calibration({"mean_log_prob": -math.inf}) == calibration({"mean_log_prob": math.nan}) == confidences[0]


def test_a_step_is_found_exactly() -> None:
    features = [{"mean_log_prob": -10.0 + i} for i in range(20)]
    calibration = fit_calibration(features, [0.0] * 10 + [1.0] * 10, quality="chrF >= 50")
    assert (calibration.scores, calibration.values) == ([-5.5, 4.5], [0.0, 1.0])
    assert calibration({"mean_log_prob": -0.5}) == pytest.approx(0.5)
    assert (calibration.quality, calibration.examples, calibration.weights) == ("chrF >= 50", 20, {"mean_log_prob": 1})


def test_scores_that_say_nothing_give_the_mean() -> None:
    calibration = fit_calibration([{"a": 1.0, "b": 2.0}] * 10, [0.2, 0.4] * 5)
    assert calibration({"a": 1.0, "b": 2.0, "other": 3.0}) == pytest.approx(0.3)
    descending = fit_calibration([{"a": float(i)} for i in range(10)], [1.0] * 5 + [0.0] * 5)
    assert descending.values == [0.5]


def test_calibration_error_of_small_cases() -> None:
    assert calibration_error([], []) == 0
    assert calibration_error([0.25, 0.25], [0.0, 0.5]) == 0
    assert calibration_error([0.9, 0.1], [0.5, 0.1]) == pytest.approx(0.2)
    bins = reliability([0.0, 0.05, 1.0], [0.0, 0.1, 0.5])
    assert [one.count for one in bins] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[0].confidence, bins[0].quality, bins[9].quality) == (0.025, 0.05, 0.5)


def test_what_cannot_be_calibrated_is_refused() -> None:
    row = {"a": 1.0}
    for features, qualities, message in (
        ([], [], "same features"),
        ([row] * (FOLDS - 1), [0.5] * (FOLDS - 1), "4 translations are too few: it takes 5"),
        ([row] * 9, [0.5] * 8, "9 translations cannot have 8 qualities"),
        ([row] * 8 + [{"b": 1.0}], [0.5] * 9, "same features"),
        ([{}] * 9, [0.5] * 9, "same features"),
        ([{"a": math.nan}] * 9, [0.5] * 9, "finite"),
        ([row] * 9, [50.0] * 9, "from 0 to 1"),
        ([row] * 9, [math.nan] * 9, "from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_calibration(features, qualities)


def test_it_is_kept_with_the_model(tmp_path: Path) -> None:
    rows, qualities = draw(100)
    found = [{"mean_log_prob": row["mean_log_prob"], "length_misfit": -abs(row["noise"])} for row in rows]
    calibration = fit_calibration(found, qualities, about={"beam_size": 5})
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "config.json").write_text("{}")
    add_file(tmp_path / "model", CALIBRATION, calibration.save)
    assert CALIBRATION in verify_manifest(tmp_path / "model")
    loaded = Calibration.load(tmp_path / "model")
    assert loaded == calibration
    assert [loaded(row) for row in found] == [calibration(row) for row in found]


def test_each_is_judged_by_the_others() -> None:
    rows, qualities = draw(50)
    confidences = cross_validated(rows, qualities)
    others = [i for i in range(50) if i % FOLDS]
    fitted = fit_calibration([rows[i] for i in others], [qualities[i] for i in others])
    assert [confidences[i] for i in range(0, 50, FOLDS)] == pytest.approx([fitted(row) for row in rows[::FOLDS]])
    assert fit_calibration(rows, qualities).error == pytest.approx(calibration_error(confidences, qualities))


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2}, {"values": [0.9, 0.1]}, {"values": []}, {"scores": "ab"}, {"values": [0.0, 2.0]},
        {"weights": {"mean_log_prob": None}}, {"weights": {"unknown": 1.0}}, {"weights": []}, {"weights": {}},
        {"error": "high"}, {"unknown": 1}, {"scores": [1.0, math.nan]}, {"scores": [0, 10**400]}, {"scores": [True, 2]},
        {"examples": -1}, {"about": None}, {"scores": [], "values": []},
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    calibration(scores=[0.0, 1.0]).save(tmp_path)
    assert Calibration.load(tmp_path)({"mean_log_prob": 0.5}) == 0.5
    record = json.loads((tmp_path / CALIBRATION).read_text())
    for text in (json.dumps({**record, **change}), "[1]", "1", "\x00", "[" * 10**5, " " * 2**21):
        (tmp_path / CALIBRATION).write_text(text)
        with pytest.raises(ModelError, match=f"{CALIBRATION}: not usable: .*; make it anew with seq2seq-calibrate"):
            Calibration.load(tmp_path)


def calibration(scores: list[float], weight: float = 1.0) -> Calibration:
    return Calibration(
        weights={"mean_log_prob": weight}, scores=scores, values=[0.1, 0.9], quality="chrF / 100", examples=10,
        error=0.1, about={},
    )  # fmt: skip


@pytest.mark.parametrize(("low", "high", "weight"), [(-1e308, 1e308, 1.0), (-1.0, 1.0, 1e308), (-1e308, 1e308, 1e308)])
def test_of_huge_numbers_comes_a_confidence_too(low: float, high: float, weight: float) -> None:
    huge = calibration([low, high], weight)
    for score in (-1e9, -1.0, 0.0, 1.0, 1e9, math.inf, -math.inf, math.nan):
        assert 0.1 <= huge({"mean_log_prob": score}) <= 0.9


def test_it_holds_for_one_language_and_one_search() -> None:
    decode = DecodeSettings(beam_size=4)
    found = calibration([0.0, 1.0]).model_copy(
        update={"about": {"target_language": "de", "decode": decode.model_dump(mode="json")}}
    )
    assert doubt(found, "de", decode) == ""
    assert doubt(found, "de", decode.model_copy(update={"precision": "int8", "batch_tokens": 7})) == ""
    assert doubt(found, "fr", decode) == "the model is calibrated for de, not for fr"
    assert doubt(found, "de", decode, 2) == "the model is calibrated alone, not together with others"
    assert doubt(found, "de", DecodeSettings()) == "the model is calibrated with beam_size 4, not 5"
    for record in (None, 5, {}, {"unknown": 1, "beam_size": 5}):  # of older versions, of newer ones, and of strangers
        other = found.model_copy(update={"about": {"target_language": "de", "decode": record}})
        assert doubt(other, "de", DecodeSettings()) == ""
        assert doubt(other, "de", decode) == "the model is calibrated with beam_size 5, not 4"
    hostile = found.model_copy(update={"about": {"target_language": "de", "decode": {"beam_size": ["x" * 999]}}})
    assert len(doubt(hostile, "de", decode)) < 100
    assert doubt(calibration([0.0, 1.0]), "de", decode) == "the model is calibrated for None, not for de"


def test_parts_count_by_their_tokens() -> None:
    ids = np.array([5, 6, EOS])
    tokenizer = Tokenizer.train(make_pairs(50), TokenizerSettings(vocab_size=60))
    parts = [Searched(ids, [7, 8], 0.0), Searched(ids, [7] * 8, -9.0)]
    assert [row["mean_log_prob"] for row in features_of(tokenizer, parts)] == [0.0, -1.0]
    assert confidence_of(calibration([-1.0, 0.0]), tokenizer, parts) == pytest.approx((3 * 0.9 + 9 * 0.1) / 12)
    assert features_of(tokenizer, []) == []


def test_features_of_a_search() -> None:
    assert search_features(-6.0, 4, 4) == {"mean_log_prob": -1.5, "length_misfit": 0}
    longer, shorter = search_features(-6.0, 8, 4), search_features(-6.0, 2, 4)
    assert longer["length_misfit"] == pytest.approx(shorter["length_misfit"]) == pytest.approx(-math.log(2))
