"""The settings classes: defaults, ranges and checks between keys, used from Python."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from seq2seq.config import (
    DataSettings,
    DecodeSettings,
    HubDataset,
    ModelSettings,
    ParallelFiles,
    TokenizerSettings,
    TrainSettings,
    TranslationSettings,
)


def make_data(**changes: Any) -> DataSettings:
    values: dict[str, Any] = {
        "source_language": "en",
        "target_language": "de",
        "train": [ParallelFiles(source="a", target="b")],
        "valid": HubDataset(dataset="wmt/wmt14"),
    }
    return DataSettings(**{**values, **changes})


def test_sections_are_built_from_python_and_frozen() -> None:
    settings = TranslationSettings(output="runs/x", data=make_data())
    assert isinstance(settings.data.train[0], ParallelFiles)
    assert isinstance(settings.data.valid, HubDataset)
    assert settings.train.batch_tokens == 25_000
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ModelSettings(heads=7), r"heads \(7\) must divide d_model \(512\)"),
        (lambda: ModelSettings(d_model=100), r"heads \(8\) must divide d_model \(100\)"),
        (lambda: ModelSettings(d_model=511, heads=1), "multiple of 2"),
        (lambda: ModelSettings(dropout=1.0), "less than or equal to 0.9"),
        (lambda: TrainSettings(keep_checkpoints=3), r"keep_checkpoints \(3\) must be at least average_last \(5\)"),
        (lambda: TrainSettings(average_last=6), r"keep_checkpoints \(5\) must be at least average_last \(6\)"),
        (lambda: TrainSettings(schedule="noam", warmup_steps=0), "noam needs warmup_steps of at least 1"),
        (lambda: TrainSettings(min_learning_rate=1e-3), r"\(0.001\) must be at most learning_rate \(0.0007\)"),
        (lambda: TrainSettings(learning_rate=float("nan")), "finite"),
        (lambda: DecodeSettings(beam_size=1001), "less than or equal to 1000"),
        (lambda: TokenizerSettings(vocab_size=15), "greater than or equal to 16"),
        (lambda: make_data(train=[]), "at least 1 item"),
        (lambda: make_data(source_language="e"), "match pattern"),
    ],
)
def test_values_that_cannot_be_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build()


@pytest.mark.parametrize("code", ["en", "no", "pt-BR", "zh-Hans", "eng_Latn", "deu"])
def test_language_codes(code: str) -> None:
    assert make_data(source_language=code).source_language == code


def test_zero_and_one_average_nothing_and_need_one_checkpoint() -> None:
    assert TrainSettings(keep_checkpoints=1, average_last=0).average_last == 0
    assert TrainSettings(keep_checkpoints=1, average_last=1).average_last == 1
