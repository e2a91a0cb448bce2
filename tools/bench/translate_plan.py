"""What translating is measured on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.workers import System

PACKAGES = {"transformers": "transformers", "ctranslate2": "ctranslate2"}
SYSTEMS = [
    *(f"ours-{precision}" for precision in ("fp32", "bf16", "int8")),
    *(f"transformers-{precision}" for precision in ("fp32", "bf16")),
    *(f"ctranslate2-{precision}" for precision in ("float32", "bfloat16", "int8")),
]
LINES = "lines.json"  # file of a plan's folder
NO_ROOM = 1e-9  # tokens for each token of the source, where lengths are forced


@dataclass(frozen=True)
class TranslatePlan:
    """What each worker is told.

    Attributes:
        name: of the model, for the report.
        folder: holds the lines, and the model in the peers' formats.
        model: our model folder.
        language: translated into.
        device: cpu, cuda, cuda:1 ...
        threads: of the CPU.
        n_lines: lines of a turn.
        longest: tokens of the longest line that is read or may be written, eos counted.
        forced: tokens of each translation, eos not counted; None: as many as the model finds right.
        length_penalty: power of the length, eos counted, by which scores are divided.
        beam_size: hypotheses that are followed.
        batch_size: sentences at once.
    """

    name: str
    folder: Path
    model: Path
    language: str
    device: str
    threads: int
    n_lines: int
    longest: int
    forced: int | None
    length_penalty: float
    beam_size: int = 1
    batch_size: int = 1

    def limits(self) -> dict[str, int]:
        """Returns the lines, and for each the tokens that its translation may have, eos not counted."""
        content: dict[str, int] = json.loads((self.folder / LINES).read_text(encoding="utf-8"))
        return content

    def peer(self, name: str) -> Path:
        """Returns the folder of a peer's model."""
        return self.folder / ("marian" if name.startswith("transformers-") else name)

    def decode(self, precision: str) -> dict[str, Any]:
        """Returns our decode settings.

        Forced lengths are left to EXTRA_LENGTH, the tokens that a translation may have whatever its source.
        """
        settings = {
            "beam_size": self.beam_size,
            "length_norm": "length",
            "length_penalty": self.length_penalty,
            "batch_tokens": self.batch_size * self.longest,
            "precision": precision,
        }
        return settings | ({"max_length_ratio": NO_ROOM, "min_length": self.forced} if self.forced else {})

    def build(self, name: str) -> "System":
        """Returns a system by its name, `family-precision`."""
        family, _, precision = name.partition("-")
        if family == "ours":
            from bench.translate_systems import OurTranslator

            return OurTranslator(self, precision)
        if family == "transformers":
            from bench.translate_systems import MarianTranslator

            return MarianTranslator(self, name)
        from bench.ctranslate2_system import CTranslate2Translator

        return CTranslate2Translator(self, name)
