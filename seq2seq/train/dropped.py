"""Which pairs a recipe leaves out."""

from pathlib import Path

from seq2seq.config import TranslationSettings
from seq2seq.errors import DataError
from seq2seq.files import whole_file
from seq2seq.text.lines import json_line
from seq2seq.train.initial import initial_tokenizer
from seq2seq.train.monitor import logging_to
from seq2seq.train.prepare import prepare


def write_dropped(settings: TranslationSettings, path: Path) -> int:
    """Writes the training pairs that are left out, and why, as JSON objects, one on each line; returns their number.

    Args:
        settings: the recipe; its data are prepared and stay in the cache.
        path: of the file.

    Raises:
        DataError: a corpus cannot be used, or is streamed: its pairs are not known before they are trained on.
    """
    if settings.data.streaming:
        raise DataError("a streamed corpus has no list of dropped pairs; the log counts them")
    with logging_to(None, speak=True):
        stores = prepare(settings, initial_tokenizer(settings)).stores
    written = 0
    with whole_file(path) as file:
        for store in stores:
            for row in store.dropped():
                file.write(json_line({"corpus": store.name, **row}).encode() + b"\n")
                written += 1
    return written
