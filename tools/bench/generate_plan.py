"""What generating is measured on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.workers import System

PACKAGES = {"transformers": "transformers"}
SYSTEMS = [f"{family}-{precision}" for family in ("ours", "transformers") for precision in ("fp32", "bf16")]
PROMPTS = "prompts.json"  # file of a plan's folder


@dataclass(frozen=True)
class GeneratePlan:
    """What each worker is told.

    Attributes:
        name: of the model, for the report.
        folder: holds the prompts, and the model in both formats.
        device: cpu, cuda, cuda:1 ...
        threads: of the CPU.
        prompt_tokens: of each text.
        new_tokens: of each text.
        temperature: 0: always the most probable token; else tokens are drawn.
        n_texts: of a turn.
        batch_size: texts at once.
    """

    name: str
    folder: Path
    device: str
    threads: int
    prompt_tokens: int
    new_tokens: int
    temperature: float
    n_texts: int = 1
    batch_size: int = 1

    @property
    def model(self) -> Path:
        """Our model folder."""
        return self.folder / "model"

    @property
    def gpt2(self) -> Path:
        """The folder of transformers."""
        return self.folder / "gpt2"

    def prompts(self) -> list[str]:
        """Returns the prompts of a turn."""
        content: list[str] = json.loads((self.folder / PROMPTS).read_text(encoding="utf-8"))
        return content[: self.n_texts]

    def build(self, name: str) -> "System":
        """Returns a system by its name, `family-precision`."""
        from bench.generate_systems import GPT2Generator, OurGenerator

        family, _, precision = name.partition("-")
        return OurGenerator(self, precision) if family == "ours" else GPT2Generator(self, precision)
