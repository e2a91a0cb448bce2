"""The sizes of the models that are measured, and what training is measured on: batches that all systems are given."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from bench.workers import System
    from seq2seq.config import Settings
    from seq2seq.data.batch import Batch, TokenBatch

RECIPE, BATCHES = "recipe.json", "batches.safetensors"  # files of a plan's folder

DROPOUT, LABEL_SMOOTHING, CLIP_NORM = 0.1, 0.1, 1.0  # of all systems; a language model has no label smoothing
SEED = 1


@dataclass(frozen=True)
class Sizes:
    """A model: post-LN with ReLU, sinusoids and one tied vocabulary, or, with a context, GPT-2.

    Attributes:
        layers: of the encoder and of the decoder.
        context: tokens of a language model's window; 0: an encoder-decoder.
    """

    layers: int
    d_model: int
    heads: int
    d_feedforward: int
    vocab_size: int
    context: int = 0

    def model(self) -> dict[str, Any]:
        """Returns the settings of a model of these sizes, of either kind but for a language model's context."""
        names = ("layers", "d_model", "heads", "d_feedforward")
        return {**{name: getattr(self, name) for name in names}, "dropout": DROPOUT}


SIZES = {
    "tiny": Sizes(4, 128, 4, 256, 8000),
    "base": Sizes(6, 512, 8, 2048, 8000),
    "big": Sizes(6, 1024, 16, 4096, 8000),
    "gpt-10m": Sizes(6, 384, 6, 1536, 256, context=256),
    "gpt-124m": Sizes(12, 768, 12, 3072, 50257, context=1024),
}


@dataclass(frozen=True)
class Plan:
    """What each worker is told.

    Attributes:
        sizes: of the model.
        folder: holds our recipe, and the batches for those that cannot read it.
        device: cpu, cuda, cuda:1 ...
        threads: of the CPU; None: as many as torch takes.
        device_tokens: padded tokens of the longer side that a batch may hold.
        n_batches: of a turn.
    """

    sizes: Sizes
    folder: Path
    device: str
    threads: int | None
    device_tokens: int
    n_batches: int

    def build(self, name: str) -> "System":
        """Returns a system by its name, `family-precision`."""
        family, _, last = name.rpartition("-")
        precision = cast(Literal["fp32", "bf16"], last)
        if family == "ours":
            from bench.ours import Ours

            return Ours(self, precision)
        if family == "ceiling":
            from bench.ceiling import Ceiling

            return Ceiling(self, precision)
        from bench.peers import Peer

        return Peer(self, family, precision)

    def settings(self) -> "Settings":
        """Returns our recipe."""
        from seq2seq.config import settings_from_dict

        content = json.loads((self.folder / RECIPE).read_text(encoding="utf-8"))
        return settings_from_dict(content, RECIPE)

    def batches(self) -> "list[Batch | TokenBatch]":
        """Returns the batches as tensors on the CPU."""
        from safetensors.torch import load_file

        from seq2seq.data.batch import Batch, TokenBatch
        from seq2seq.text.ids import PAD

        tensors = load_file(self.folder / BATCHES)
        batches: list[Batch | TokenBatch] = []
        for i in range(self.n_batches):
            if self.sizes.context:
                targets = tensors[f"{i}.targets"]
                batches.append(TokenBatch(tensors[f"{i}.tokens"], targets, int((targets != PAD).sum())))
            else:
                src, tgt_in, tgt_out = (tensors[f"{i}.{name}"] for name in ("src", "tgt_in", "tgt_out"))
                batches.append(Batch(src, tgt_in, tgt_out, int((tgt_out != PAD).sum())))
        return batches
