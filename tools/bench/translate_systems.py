"""Our translator, and transformers' with the same weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.decoding import Answer, Decoding, batches
from bench.marian_model import quiet_transformers
from bench.translate_peer import PeerTranslator
from bench.translate_plan import TranslatePlan
from seq2seq.cli.common import prepare_torch
from seq2seq.data.batch import pad_rows
from seq2seq.decode import searcher
from seq2seq.decode.translator import Translator
from seq2seq.text.ids import BOS, EOS, PAD, UNK


class OurTranslator(Decoding):
    """The whole of `Translator`, set up as the command sets it up."""

    def __init__(self, plan: TranslatePlan, precision: str) -> None:
        prepare_torch(plan.threads)
        if plan.forced:
            searcher.EXTRA_LENGTH = plan.forced  # the longest translation follows from the source otherwise
        self.translator = Translator.load(plan.model, plan.device, plan.batch_size, **plan.decode(precision))
        super().__init__(list(plan.limits()), plan.batch_size)

    def answer(self, lines: Sequence[str]) -> list[Answer]:
        """Returns a translation of each line."""
        found = self.translator.translate_all(lines)
        return [Answer(translation.text, len(translation.candidates[0].tokens) + 1) for translation in found]


class MarianTranslator(PeerTranslator):
    """transformers' MarianMTModel, loaded and asked as its users do."""

    def __init__(self, plan: TranslatePlan, name: str) -> None:
        super().__init__(plan)
        torch.set_num_threads(plan.threads)
        transformers = quiet_transformers()
        dtype = torch.bfloat16 if name.endswith("bf16") else torch.float32
        self.model = transformers.MarianMTModel.from_pretrained(plan.peer(name), dtype=dtype).to(plan.device).eval()
        beams = {"early_stopping": True, "length_penalty": plan.length_penalty} if plan.beam_size > 1 else {}
        self.config = transformers.GenerationConfig(
            num_beams=plan.beam_size,
            min_new_tokens=plan.forced,
            suppress_tokens=[PAD, UNK, BOS],
            pad_token_id=PAD,
            eos_token_id=EOS,
            forced_eos_token_id=EOS,
            decoder_start_token_id=BOS,
            **beams,
        )

    def search(self, sources: Sequence[list[int]], limits: Sequence[int]) -> list[list[int]]:
        """Returns the ids of a translation of each source."""
        found: list[list[int]] = [[] for _ in sources]
        for chosen in batches(sources, self.batch_size):
            longest = max(limits[i] for i in chosen)
            for i, row in zip(chosen, self._generate([sources[i] for i in chosen], longest + 1), strict=True):
                found[i] = row
        return found

    @torch.inference_mode()
    def _generate(self, sources: Sequence[list[int]], longest: int) -> list[list[int]]:
        src = pad_rows([np.array(source) for source in sources]).to(self.plan.device)
        self.config.max_new_tokens = longest
        out: Any = self.model.generate(src, attention_mask=(src != PAD).long(), generation_config=self.config)
        rows: list[list[int]] = out[:, 1:].tolist()  # without bos
        return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]
