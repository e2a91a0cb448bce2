"""The layers of a Transformer.

Letters in shapes, here and everywhere: B batch, S source length, T target length, D model width, H heads, E head
width, F feed-forward width, V vocabulary, K beam, L layers, N rows (sentences times beams), P positions read before,
C positions that a cache has room for, M packed rows of keys. Tensors are batch first; masks are bool, True = may
attend, but for those of decoding, which are added.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.config import GPTSettings, ModelSettings
from seq2seq.model.attention import AnyLayout, Cache, MultiHeadAttention
from seq2seq.model.dropout import Dropout, kept
from seq2seq.model.linear import Linear, project

Activation = Literal["relu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
}


class FeedForward(nn.Module):
    """Two projections with an activation between them: *Attention Is All You Need*, equation 2."""

    def __init__(self, d_model: int, d_feedforward: int, activation: Activation) -> None:
        super().__init__()
        self.inner = Linear(d_model, d_feedforward)
        self.outer = Linear(d_feedforward, d_model)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., D] to [..., D]."""
        if self.activation == "relu":
            hidden = project(x, self.inner, then="relu")  # [..., F]
        else:
            hidden = ACTIVATIONS[self.activation](project(x, self.inner))
        return project(hidden, self.outer)


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
        elif x.device.type == "cpu" and not torch.compiler.is_compiling():  # a compiler does it in one go by itself
            out = add_and_norm(x, sublayer(x), self.norm, self.dropout.probability if self.training else 0.0)
        else:
            out = self.norm(x + self.dropout(sublayer(x)))
        return out


def add_and_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, probability: float) -> Tensor:
    """Returns norm(x + dropout(y)), all [..., D], in the dtype of x, on a CPU: in one go, which holds less."""
    if not torch.is_grad_enabled() and not probability:  # a function with a gradient costs more than a small product
        total = x + y.to(x.dtype)
        return torch.native_layer_norm(total, [x.shape[-1]], norm.weight, norm.bias, norm.eps)[0]
    out: Tensor = _AddAndNorm.apply(x, y, norm.weight, norm.bias, norm.eps, probability)  # type: ignore[no-untyped-call]
    return out


class _AddAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, eps: float, probability: float) -> Tensor:
        y = y.to(x.dtype)
        mask, ctx.factor = kept(y, probability) if probability else (None, 1.0)
        total = x + y if mask is None else torch.addcmul(x, y, mask, value=ctx.factor)
        out, mean, deviation = torch.native_layer_norm(total, [x.shape[-1]], weight, bias, eps)
        ctx.save_for_backward(total, mask, weight, bias, mean, deviation)
        return out

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        total, mask, weight, bias, mean, deviation = ctx.saved_tensors
        dx, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            outer[0].contiguous(), total, [total.shape[-1]], mean, deviation, weight, bias, [True, True, True]
        )
        dy = dx if mask is None else (dx * mask).mul_(ctx.factor)
        return dx, dy, d_weight, d_bias, None, None


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
        self, x: Tensor, layout: AnyLayout, cache: Cache | None = None, rotation: Tensor | None = None
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
        self.cross_attention = MultiHeadAttention(
            settings.d_model, settings.heads, settings.attention_dropout, cross=True
        )
        self.cross_attention_residual = Residual(settings.d_model, settings.dropout, settings.norm)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        layout: AnyLayout,
        memory: tuple[Tensor, Tensor],
        memory_layout: AnyLayout,
        cache: Cache | None = None,
    ) -> Tensor:
        """Maps [B, T, D] to [B, T, D].

        Args:
            x: target rows; with `cache` the newest ones of the beams of a sentence.
            layout: which target position may attend to which.
            memory: keys and values of the source, two [B, H, S, E].
            memory_layout: which source positions are real.
            cache: keys and values of earlier target positions.
        """
        x = self.self_attention_residual(x, lambda rows: self.self_attention(rows, layout, cache))
        x = self.cross_attention_residual(x, lambda rows: self.cross_attention.attend_to(memory, rows, memory_layout))
        return self.feed(x)
