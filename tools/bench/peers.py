"""The others: transformers and torch.nn.Transformer, configured like ours and trained by a plain loop.

They are given the batches as tensors. What is dropped out, where the norms stand, what is tied and what the loss counts
are as in ours; the rest is what one gets by default, in a process that nothing of ours has set up.
"""

import importlib
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.gpt2_model import gpt2_config
from bench.marian_model import marian_config
from bench.plan import CLIP_NORM, DROPOUT, LABEL_SMOOTHING, SEED, Plan, Sizes
from bench.turns import Trained
from seq2seq.config import GPTSettings, ModelSettings
from seq2seq.data.batch import Batch, TokenBatch
from seq2seq.model.device import autocast
from seq2seq.model.positions import sinusoids
from seq2seq.text.ids import PAD

LONGEST = 512  # positions of an encoder-decoder
LEARNING_RATE = 1e-5


class Peer(Trained):
    """A peer's model with torch's fused AdamW."""

    def __init__(self, plan: Plan, family: str, precision: Literal["fp32", "bf16"]) -> None:
        if plan.threads:
            torch.set_num_threads(plan.threads)
        super().__init__(plan.n_batches, torch.device(plan.device))
        self.batches = plan.batches()
        self.precision = precision
        torch.manual_seed(SEED)
        self.model = build_peer(plan.sizes, family).to(self.device).train()
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.n_parameters = sum(parameter.numel() for parameter in self.parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, fused=True)

    def take(self, numbers: Sequence[int]) -> None:
        """Takes optimizer steps on batches, by their numbers."""
        for number in numbers:
            self._step(self.batches[number].to(self.device))

    def _step(self, batch: Batch | TokenBatch) -> None:
        with autocast(self.precision, self.device):
            loss: Tensor = self.model(batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def build_peer(sizes: Sizes, family: str) -> nn.Module:
    """Returns a peer's model, which maps a batch to its mean loss.

    Args:
        sizes: of the model.
        family: `torch`, `transformers`, or `transformers-eager`, which has plain products for attention instead of
            torch's `scaled_dot_product_attention`.
    """
    if family == "torch":
        return TorchTransformer(sizes)
    attention = "eager" if family == "transformers-eager" else "sdpa"
    return GPT2(sizes, attention) if sizes.context else Marian(sizes, attention)


class Marian(nn.Module):
    """transformers' MarianMTModel."""

    def __init__(self, sizes: Sizes, attention: str) -> None:
        super().__init__()
        transformers = importlib.import_module("transformers")
        settings = ModelSettings(**sizes.model())
        config = marian_config(
            settings, sizes.vocab_size, max_position_embeddings=LONGEST, attn_implementation=attention
        )
        self.model = transformers.MarianMTModel(config)

    def forward(self, batch: Batch) -> Tensor:
        """Returns the mean loss of the real target tokens."""
        mask = (batch.src != PAD).long()
        out = self.model(batch.src, attention_mask=mask, decoder_input_ids=batch.tgt_in, use_cache=False)
        return _loss(out.logits, batch.tgt_out, LABEL_SMOOTHING)


class GPT2(nn.Module):
    """transformers' GPT2LMHeadModel."""

    def __init__(self, sizes: Sizes, attention: str) -> None:
        super().__init__()
        transformers = importlib.import_module("transformers")
        settings = GPTSettings(**sizes.model(), context=sizes.context)
        config = gpt2_config(settings, sizes.vocab_size, attn_implementation=attention)
        self.model = transformers.GPT2LMHeadModel(config)

    def forward(self, batch: TokenBatch) -> Tensor:
        """Returns the mean loss of the targets."""
        return _loss(self.model(batch.tokens, use_cache=False).logits, batch.targets)


class TorchTransformer(nn.Module):
    """torch.nn.Transformer with embeddings, positions and an output projection."""

    positions: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        d_model, layers = sizes.d_model, sizes.layers
        self.embedding = nn.Embedding(sizes.vocab_size, d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        self.register_buffer("positions", sinusoids(torch.arange(LONGEST), d_model), persistent=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.transformer = nn.Transformer(
            d_model, sizes.heads, layers, layers, sizes.d_feedforward, DROPOUT, batch_first=True
        )
        self.transformer.encoder.norm = self.transformer.decoder.norm = None  # post-LN has no norms at the end
        for module in self.transformer.modules():  # it drops attention weights and inner activations too
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
            if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                module.dropout.p = 0.0

    def forward(self, batch: Batch) -> Tensor:
        """Returns the mean loss of the real target tokens."""
        padding, length = batch.src == PAD, batch.tgt_in.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=padding.device).triu(1)
        hidden = self.transformer(
            self._embed(batch.src),
            self._embed(batch.tgt_in),
            tgt_mask=later,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
            tgt_is_causal=True,
        )
        return _loss(F.linear(hidden, self.embedding.weight), batch.tgt_out, LABEL_SMOOTHING)

    def _embed(self, ids: Tensor) -> Tensor:
        scaled = self.embedding(ids) * self.embedding.embedding_dim**0.5
        embedded: Tensor = self.dropout(scaled + self.positions[: ids.shape[1]])
        return embedded


def _loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Returns the mean loss over the real tokens of a padded batch, logits [B, T, V] and targets [B, T]."""
    rows = logits.flatten(0, 1)
    return F.cross_entropy(rows, targets.flatten(), ignore_index=PAD, label_smoothing=label_smoothing)
