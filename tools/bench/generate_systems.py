"""Our generator, and transformers' with the same weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.decoding import Answer, Decoding, batches
from bench.generate_plan import GeneratePlan
from bench.marian_model import quiet_transformers
from seq2seq.cli.common import prepare_torch
from seq2seq.data.batch import pad_rows
from seq2seq.decode.generator import Generator
from seq2seq.text.ids import BOS, EOS, PAD, UNK
from seq2seq.text.tokenizer import Tokenizer


class Endless(Tokenizer):
    """A tokenizer of texts that never end."""

    @property
    def unspoken(self) -> tuple[int, ...]:
        """Ids that no text holds."""
        return (*super().unspoken, EOS)


class OurGenerator(Decoding):
    """The whole of `Generator`, set up as the command sets it up."""

    def __init__(self, plan: GeneratePlan, precision: str) -> None:
        prepare_torch(plan.threads)
        self.new_tokens = plan.new_tokens
        room = plan.batch_size * (plan.prompt_tokens + plan.new_tokens + 1)
        settings = {"temperature": plan.temperature, "precision": precision, "batch_tokens": room}
        self.generator = Generator.load(plan.model, plan.device, plan.batch_size, **settings)
        self.generator.tokenizer = Endless.load(plan.model / "tokenizer")
        super().__init__(plan.prompts(), plan.batch_size)

    def answer(self, lines: Sequence[str]) -> list[Answer]:
        """Returns a continuation of each prompt."""
        found = self.generator.generate(lines, max_new_tokens=self.new_tokens)
        return [Answer(continuation.text, len(continuation.ids)) for (continuation,) in found]


class GPT2Generator(Decoding):
    """transformers' GPT2LMHeadModel, loaded and asked as its users do."""

    def __init__(self, plan: GeneratePlan, precision: str) -> None:
        torch.set_num_threads(plan.threads)
        self.device = plan.device
        self.tokenizer = Tokenizer.load(plan.model / "tokenizer")
        transformers = quiet_transformers()
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.model = transformers.GPT2LMHeadModel.from_pretrained(plan.gpt2, dtype=dtype).to(plan.device).eval()
        drawn = {"do_sample": True, "temperature": plan.temperature, "top_k": 0} if plan.temperature else {}
        self.config = transformers.GenerationConfig(
            min_new_tokens=plan.new_tokens,
            max_new_tokens=plan.new_tokens,
            suppress_tokens=[PAD, UNK, BOS],
            pad_token_id=PAD,
            eos_token_id=EOS,
            **drawn,
        )
        super().__init__(plan.prompts(), plan.batch_size)

    def answer(self, lines: Sequence[str]) -> list[Answer]:
        """Returns a continuation of each prompt."""
        rows = [ids[:-1].tolist() for ids in self.tokenizer.encode_texts(lines)]
        found: list[list[int]] = [[] for _ in rows]
        for chosen in batches(rows, self.batch_size):
            for i, row in zip(chosen, self._generate([rows[i] for i in chosen]), strict=True):
                found[i] = row
        return [Answer(self.tokenizer.decode_text(row), len(row)) for row in found]

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[list[int]]) -> list[list[int]]:
        tokens = pad_rows([np.array(prompt) for prompt in prompts]).to(self.device)  # all are of one length
        mask = torch.ones_like(tokens)
        out: Any = self.model.generate(tokens, attention_mask=mask, generation_config=self.config)
        rows: list[list[int]] = out[:, tokens.shape[1] :].tolist()
        return rows
