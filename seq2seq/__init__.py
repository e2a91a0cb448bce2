"""seq2seq: machine translation and language models with the Transformer, from raw text to models and scores."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.decode.alignment import Aligner
    from seq2seq.decode.generator import Generator
    from seq2seq.decode.translator import Translator

__version__ = "0.1.0"
__all__ = ["Aligner", "Generator", "Translator", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on first use: torch takes a second, and `--help` needs none of it.
    if name == "Translator":
        from seq2seq.decode.translator import Translator

        return Translator
    if name == "Aligner":
        from seq2seq.decode.alignment import Aligner

        return Aligner
    if name == "Generator":
        from seq2seq.decode.generator import Generator

        return Generator
    raise AttributeError(f"module 'seq2seq' has no attribute {name!r}")
