"""The stored translation model, and what it is tried on."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from seq2seq.decode.translator import Translator
from seq2seq.model.folder import TrainedModel, find_model, load_model

FOLDER = Path(__file__).parents[1] / "fixtures/format_1/translation"
LINES: list[str] = [row["source"] for row in json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))]


@cache
def stored(**decode: Any) -> TrainedModel:
    """The model with some decode settings."""
    return load_model(find_model(FOLDER), decode=decode)


def translator(batch_size: int | None = None, *, options: dict[str, Any] | None = None, **decode: Any) -> Translator:
    """A translator with the model; options: of `Translator`, decode: settings."""
    return Translator(stored(**decode), batch_size, **options or {})
