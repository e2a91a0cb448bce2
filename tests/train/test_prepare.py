"""What training reads is prepared once, and found again by the versions to come."""

from collections.abc import Callable
from pathlib import Path

from seq2seq.config import TranslationSettings, load_recipe
from seq2seq.files import fingerprint
from seq2seq.text.corpora import open_corpus
from seq2seq.train.prepare import prepare


def test_tokenizers_lie_where_they_have_always_lain(recipe_file: Callable[..., Path], corpus: Path) -> None:
    settings = load_recipe(recipe_file(tokenizer={"sample_alpha": 0.1})).settings
    assert isinstance(settings, TranslationSettings)
    prepare(settings)
    read = open_corpus(settings.data.train[0], settings.data).fingerprint
    trained_by = {
        "type": "sentencepiece",
        "model": "unigram",
        "vocab_size": 60,
        "shared": True,
        "character_coverage": 1.0,
        "training_lines": 1_000_000,
        "lossless": False,
    }
    name = f"tokenizer-{fingerprint([2, read, trained_by, []])[:32]}"
    assert [path.name for path in (corpus / "cache").glob("tokenizer-*")] == [name]
