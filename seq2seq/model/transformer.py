"""The encoder-decoder Transformer of *Attention Is All You Need*."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from seq2seq.config import ModelSettings
from seq2seq.data.batch import Batch, PackedBatch
from seq2seq.model.attention import AnyLayout, Cache, Layout, PackedLayout, Seen
from seq2seq.model.cache import DecoderCache, Memory
from seq2seq.model.device import in_precision
from seq2seq.model.dropout import Dropout
from seq2seq.model.layers import DecoderLayer, SelfAttentionLayer
from seq2seq.model.linear import Linear, project
from seq2seq.model.loss import projected_loss, r_drop_loss
from seq2seq.model.positions import SinusoidalPositions
from seq2seq.text.ids import PAD


class Embedding(nn.Module):
    """Token embeddings times sqrt(D) plus positions, with dropout: sections 3.4, 3.5 and 5.4 of the paper."""

    def __init__(
        self, tokens: nn.Embedding, positions: SinusoidalPositions, dropout: float, rounded: bool = False
    ) -> None:
        super().__init__()
        self.rounded = rounded
        self.tokens = tokens
        self.positions = positions
        self.dropout = Dropout(dropout)

    def forward(self, ids: Tensor, positions: Tensor, longest: int) -> Tensor:
        """Maps ids [...] and their positions, which are below `longest`, both int64, to [..., D]."""
        vectors = self.positions(positions, longest)
        out = self.dropout(self.tokens(ids) * self.tokens.embedding_dim**0.5 + vectors)
        return in_precision(out) if self.rounded else out


class Transformer(nn.Module):
    """Encoder and decoder with tied embeddings.

    Args:
        settings: sizes, dropout, norm and activation.
        source_vocab_size: rows of the source embedding.
        target_vocab_size: V, rows of the target embedding and of the output.
        shared: whether both sides have one vocabulary; with `settings.tie_embeddings` all three matrices are then one.
    """

    def __init__(self, settings: ModelSettings, source_vocab_size: int, target_vocab_size: int, shared: bool) -> None:
        super().__init__()
        d_model, norm = settings.d_model, settings.norm
        positions = SinusoidalPositions(d_model)
        target = nn.Embedding(target_vocab_size, d_model)
        tied = shared and settings.tie_embeddings
        source = target if tied else nn.Embedding(source_vocab_size, d_model)
        # Behind each norm a row is as large as behind the first one: it need not be kept more precisely than a product.
        rounded = norm == "post"
        self.source_embedding = Embedding(source, positions, settings.dropout, rounded)
        self.target_embedding = Embedding(target, positions, settings.dropout, rounded)
        n_encoder, n_decoder = settings.stacks
        self.encoder = nn.ModuleList(SelfAttentionLayer(settings) for _ in range(n_encoder))
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(n_decoder))
        self.encoder_norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.decoder_norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.output = Linear(d_model, target_vocab_size, bias=False)
        if settings.tie_embeddings:
            self.output.weight = target.weight
        initialize(self)

    def forward(
        self, batch: Batch | PackedBatch, label_smoothing: float = 0.0, r_drop: float = 0.0
    ) -> tuple[Tensor, int]:
        """Returns the summed loss of a batch in nats and the number of target tokens it is the sum of.

        With `r_drop` above 0 each pair of a padded batch goes through the model twice, with different dropout; see
        `r_drop_loss`.
        """
        if isinstance(batch, PackedBatch):
            hidden = self._decode_packed(batch)  # [N, D]
            return projected_loss(hidden, self.output.weight, batch.tgt_out, label_smoothing), batch.n_tokens
        if r_drop:
            batch = batch.repeat(2)
        hidden = self.decode(batch.tgt_in, self.start(batch.src))  # [B, T, D]
        if r_drop:
            real = batch.tgt_out != PAD  # [B, T]
            logits = self.logits(hidden[real])
            logits = logits.view(2, -1, logits.shape[-1])  # [2, N, V]
            targets = batch.tgt_out[real][: logits.shape[1]]  # [N]
            return r_drop_loss(logits, targets, label_smoothing, r_drop), batch.n_tokens // 2
        loss = projected_loss(hidden.flatten(0, 1), self.output.weight, batch.tgt_out.flatten(), label_smoothing)
        return loss, batch.n_tokens

    def encode(self, src: Tensor, seen: Seen | None = None) -> Tensor:
        """Maps source ids [B, S] to the memory [B, S, D]; `seen` is given attention weights, see `Layout`."""
        positions = torch.arange(src.shape[1], device=src.device)
        return self._encode(self.source_embedding(src, positions, src.shape[1]), Layout.padded(src != PAD, seen))

    def _encode(self, x: Tensor, layout: AnyLayout) -> Tensor:
        for layer in self.encoder:
            x = layer(x, layout)
        memory: Tensor = self.encoder_norm(x)
        return memory

    def start(self, src: Tensor, seen: Seen | None = None) -> Memory:
        """Encodes source ids [B, S]; `seen` is given the encoder's attention weights, see `Layout`."""
        return Memory(self._keys_values(self.encode(src, seen)), Layout.padded(src != PAD))

    def _keys_values(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [cast(DecoderLayer, layer).cross_attention.keys_values(memory) for layer in self.decoder]

    def decode(self, tgt_in: Tensor, memory: Memory, seen: Seen | None = None) -> Tensor:
        """Maps target ids [B, T] to hidden rows [B, T, D]; `seen` is given weights of self-attention, see `Layout`."""
        length = tgt_in.shape[1]
        x = self.target_embedding(tgt_in, torch.arange(length, device=tgt_in.device), length)
        return self._decode(x, Layout.causal(length, tgt_in.device, seen=seen), memory)

    def step(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Maps the newest token of each beam, [B, K] int64, to hidden rows [B, K, D], by what is in the cache."""
        layout = cache.step()
        x = self.target_embedding(tokens, cache.positions[:, None].expand_as(tokens), cache.longest)
        return self._decode(x, layout, cache.memory, cache.layers)

    def _decode(self, x: Tensor, layout: AnyLayout, memory: Memory, caches: Sequence[Cache | None] = ()) -> Tensor:
        for layer, keys_values, cache in zip(
            self.decoder, memory.keys_values, caches or [None] * len(self.decoder), strict=True
        ):
            x = layer(x, layout, keys_values, memory.layout, cache)
        hidden: Tensor = self.decoder_norm(x)
        return hidden

    def _decode_packed(self, batch: PackedBatch) -> Tensor:
        """Returns the hidden rows [N, D] of all target tokens."""
        src, tgt = batch.src, batch.tgt_in
        memory = self._encode(self.source_embedding(src.ids, src.positions, src.longest), PackedLayout(src, src))
        x = self.target_embedding(tgt.ids, tgt.positions, tgt.longest)
        seen = Memory(self._keys_values(memory), PackedLayout(tgt, src))
        return self._decode(x, PackedLayout(tgt, tgt, causal=True), seen)

    def cross_attention(self, src: Tensor, tgt_in: Tensor) -> Tensor:
        """Returns how much each target position takes from each source position, in every layer and head.

        Args:
            src: [B, S] int64 source ids.
            tgt_in: [B, T] int64 target ids behind bos.

        Returns:
            [L, B, H, T, S] fp32, the lowest layer first: rows sum to 1, source padding has 0.
        """
        seen: list[Tensor] = []
        self.decode(tgt_in, replace(self.start(src), layout=Layout.padded(src != PAD, seen)))
        return torch.stack(seen)

    def logits(self, hidden: Tensor) -> Tensor:
        """Maps hidden rows [..., D] to scores of the vocabulary [..., V]."""
        return project(hidden, self.output)


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """Sets all parameters of a model.

    | parameter                         | distribution                                     |
    |-----------------------------------|--------------------------------------------------|
    | embeddings, tied or untied output | normal, deviation D^-0.5 (1 after scaling)       |
    | other matrices                    | uniform within 1 / sqrt(number of inputs)        |
    | biases                            | 0                                                |
    | layer norms                       | gain 1, bias 0                                   |

    The matrices are smaller than Glorot's: in post-LN layers the residual path must outweigh its branches at first
    (Liu et al. 2020, *Understanding the Difficulty of Training Transformers*).
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or name == "output":
            nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
