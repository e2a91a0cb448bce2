"""The layers of a Transformer.

Letters in shapes, here and everywhere: B batch, S source length, T target length, D model width, H heads, E head
width, F feed-forward width, V vocabulary, K beam, L layers, N rows (sentences times beams). Tensors are batch first;
masks are bool, True = may attend.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.config import GPTSettings, ModelSettings
from seq2seq.model.attention import KeyValueCache, Layout, MultiHeadAttention

WORDS = 2**16  # distinct values of the 16-bit random words that decide about dropout on a CPU

Activation = Literal["relu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
}


def dropout(x: Tensor, probability: float) -> Tensor:
    """Zeroes entries with a probability and scales the others so that the expectation stays exactly the same.

    On a CPU the probability is rounded to a multiple of 2^-16, so that one 64-bit random word decides about four
    entries: several times cheaper than one Bernoulli draw each.

    Args:
        x: [...] float.
        probability: of an entry becoming zero, in [0, 1).
    """
    if x.device.type != "cpu":
        return F.dropout(x, probability)
    dropped = round(probability * WORDS)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    keep = words.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - WORDS // 2
    return x * keep.to(x.dtype).mul_(WORDS / (WORDS - dropped))


class Dropout(nn.Module):
    """`dropout` in training, nothing otherwise."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Returns [...] like `x`."""
        return dropout(x, self.probability) if self.training and self.probability else x


class FeedForward(nn.Module):
    """Two projections with an activation between them: *Attention Is All You Need*, equation 2."""

    def __init__(self, d_model: int, d_feedforward: int, activation: Activation) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_feedforward)
        self.outer = nn.Linear(d_feedforward, d_model)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., D] to [..., D]."""
        out: Tensor = self.outer(self.activation(self.inner(x)))  # [..., D] -> [..., F] -> [..., D]
        return out


class Residual(nn.Module):
    """A sublayer with its residual connection, dropout and layer norm.

    post: norm(x + dropout(sublayer(x))), section 5.4 of *Attention Is All You Need*;
    pre: x + dropout(sublayer(norm(x))), which needs one more norm behind the last layer.
    """

    def __init__(self, d_model: int, dropout: float, norm: Literal["post", "pre"]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.pre = norm == "pre"

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Maps [..., D] to [..., D]."""
        if self.pre:
            out: Tensor = x + self.dropout(sublayer(self.norm(x)))
        else:
            out = self.norm(x + self.dropout(sublayer(x)))
        return out


class SelfAttentionLayer(nn.Module):
    """Self-attention and feed-forward: a layer of the encoder or, with a causal layout, of a GPT.

    Where the settings give the feed-forward sublayer no width, there is none.
    """

    def __init__(self, settings: ModelSettings | GPTSettings) -> None:
        super().__init__()
        d_model, dropout, norm = settings.d_model, settings.dropout, settings.norm
        d_feedforward = 4 * d_model if settings.d_feedforward is None else settings.d_feedforward
        self.self_attention = MultiHeadAttention(d_model, settings.heads, settings.attention_dropout)
        self.feed_forward = FeedForward(d_model, d_feedforward, settings.activation) if d_feedforward else None
        self.self_attention_residual = Residual(d_model, dropout, norm)
        self.feed_forward_residual = Residual(d_model, dropout, norm) if d_feedforward else None

    def forward(
        self, x: Tensor, layout: Layout, cache: KeyValueCache | None = None, rotation: Tensor | None = None
    ) -> Tensor:
        """Maps [B, T, D] to [B, T, D].

        Args:
            x: rows, behind the cached ones if there are any.
            layout: which position may attend to which.
            cache: keys and values of earlier positions.
            rotation: [T, E] sinusoids of rotary positions; see `positions.rotate`.
        """
        x = self.self_attention_residual(x, lambda rows: self.self_attention(rows, layout, cache, rotation))
        return self.feed(x)

    def feed(self, x: Tensor) -> Tensor:
        """Maps [..., D] to [..., D]: the feed-forward sublayer, if there is one."""
        if self.feed_forward_residual is None:
            return x
        out: Tensor = self.feed_forward_residual(x, self.feed_forward)
        return out


class DecoderLayer(SelfAttentionLayer):
    """Self-attention, attention to the source, and feed-forward."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.cross_attention = MultiHeadAttention(settings.d_model, settings.heads, settings.attention_dropout)
        self.cross_attention_residual = Residual(settings.d_model, settings.dropout, settings.norm)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        layout: Layout,
        memory: tuple[Tensor, Tensor],
        memory_layout: Layout,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Maps [N, T, D] to [N, T, D].

        Args:
            x: target rows; N is B or, with `cache`, a multiple of it (the beams of each sentence).
            layout: which target position may attend to which.
            memory: keys and values of the source, two [B, H, S, E].
            memory_layout: which source positions are real.
            cache: keys and values of earlier target positions.
        """
        x = self.self_attention_residual(x, lambda rows: self.self_attention(rows, layout, cache))
        x = self.cross_attention_residual(x, lambda rows: self.cross_attention.attend_to(memory, rows, memory_layout))
        return self.feed(x)
