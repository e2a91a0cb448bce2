"""Scaled dot-product attention: the one place that knows which row may see which and which kernel is fastest."""

import inspect
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq.data.batch import Rows
from seq2seq.model.dropout import dropout as drop
from seq2seq.model.linear import Linear, project
from seq2seq.model.positions import rotate

# A finite "minus infinity": a row that may attend to nothing gets uniform weights instead of NaN.
MASKED = -1e30

LONG = 2**22  # weights of one head and sentence from which on a CPU does not write them down, unless it trains


class Seen(Protocol):
    """Who looks at attention weights; a list keeps them."""

    def append(self, weights: Tensor, /) -> None:
        """Takes the weights of the next layer, [B, H, queries, keys] fp32."""


@dataclass(frozen=True)
class Layout:
    """Which queries may attend to which keys in a padded batch.

    Attributes:
        mask: broadcastable to [B, H, queries, keys]: bool, True = may attend, or fp32, 0 or MASKED, added to scores;
            None: all may, unless `is_causal`.
        seen: is given the weights of every layer that attends by this layout, [B, H, queries, keys] fp32 before
            dropout, in the order in which they run; None: nobody looks.
        is_causal: whether there are as many keys as queries, and query t may attend to keys 0 to t, neither more nor
            less: what a kernel can be told without a mask. `mask`, where there is one, says the same.
    """

    mask: Tensor | None = None
    seen: Seen | None = None
    is_causal: bool = False

    @classmethod
    def padded(cls, real: Tensor, seen: Seen | None = None) -> "Layout":
        """Keys [B, S] bool, True = a real token: every query may attend to the real tokens of its sentence."""
        return cls(real[:, None, None, :], seen)

    @classmethod
    def causal(cls, length: int, device: torch.device, past: int = 0, seen: Seen | None = None) -> "Layout":
        """Query t of `length` may attend to the `past` keys before them all and to keys 0 to t of their own.

        Padding on the right needs no mask: no real token looks that far. On a GPU a whole sentence needs none at all;
        on a CPU a very long one must do without, as its mask alone would fill the memory.
        """
        told = (device.type != "cpu" or length * length > LONG) and not past
        mask = None if told else _lower_triangle(length, past, device)
        return cls(mask, seen, is_causal=not past)


def _lower_triangle(length: int, past: int, device: torch.device) -> Tensor:
    """Returns the mask [T, past + T] of T queries that see the keys before them all and those up to their own."""
    return torch.ones(length, past + length, dtype=torch.bool, device=device).tril(past)


@dataclass(frozen=True)
class PackedLayout:
    """Which rows of queries and of keys are the same sentence's, where sentences stand one behind the other.

    Attributes:
        queries: where the sentences are among the queries.
        keys: where they are among the keys.
        causal: whether query t of a sentence may attend to its keys 0 to t only.
    """

    queries: Rows
    keys: Rows
    causal: bool = False


AnyLayout = Layout | PackedLayout


def attend(q: Tensor, k: Tensor, v: Tensor, layout: AnyLayout, dropout: float = 0.0) -> Tensor:
    """Computes softmax(q k^T / sqrt(E)) v: *Attention Is All You Need*, equation 1.

    On a CPU the products and the softmax stand apart: at sentence lengths that is several times faster, forward and
    backward, than the fused kernel. Elsewhere, and for what is `LONG`, the fused kernel is used, except where somebody
    looks at the weights, which it never writes down. It is given no mask where it can be told that attention is causal:
    FlashAttention takes none.

    Args:
        q: [B, H, T, E] float; packed: [N, H, E].
        k: [B, H, S, E] float; packed: [M, H, E].
        v: as k.
        layout: which query may attend to which key.
        dropout: probability of dropping an attention weight, in [0, 1); packed: 0.

    Returns:
        As q, in the dtype of v. A query that may attend to nothing gets finite numbers.
    """
    if isinstance(layout, PackedLayout):
        return (_attend_packed if q.device.type == "cuda" else attend_by_sentence)(q, k, v, layout)
    is_long = q.shape[2] * k.shape[2] > LONG and not torch.is_grad_enabled()
    if (q.device.type != "cpu" or is_long) and layout.seen is None:
        mask = None if layout.is_causal else layout.mask
        if mask is not None and mask.is_floating_point():
            mask = mask.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, layout.is_causal)
    weights = attention_weights(q, k, layout)
    if layout.seen is not None:
        layout.seen.append(weights.float())
    return (drop(weights, dropout) if dropout else weights) @ v  # [B, H, T, E]


def attend_by_sentence(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout) -> Tensor:
    """`attend` for packed rows, one sentence after another: what other kernels are compared with."""
    sides = ((q, layout.queries), (k, layout.keys), (v, layout.keys))
    out = []
    for sentence in zip(*(torch.split(rows, where.offsets.diff().tolist()) for rows, where in sides), strict=True):
        query, key, value = (rows.transpose(0, 1)[None] for rows in sentence)  # [1, H, T, E], twice [1, H, S, E]
        own = Layout.causal(query.shape[2], q.device) if layout.causal else Layout()
        out.append(attend(query, key, value, own)[0].transpose(0, 1))  # [T, H, E]
    return torch.cat(out)


def _attend_packed(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout) -> Tensor:
    """`attend` for packed rows with FlashAttention's kernel for sentences of various lengths, in 16 bits."""
    from torch.nn.attention.varlen import varlen_attn

    causal: dict[str, Any] = {}
    if layout.causal:
        causal = {"is_causal": True} if _varlen_names_causal() else {"window_size": (-1, 0)}
    queries, keys = layout.queries, layout.keys
    return cast(Tensor, varlen_attn(q, k, v, queries.offsets, keys.offsets, queries.longest, keys.longest, **causal))


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _varlen_names_causal() -> bool:
    """Says whether `varlen_attn` has an argument for causal attention, which depends on torch's version."""
    from torch.nn.attention.varlen import varlen_attn

    return "is_causal" in inspect.signature(varlen_attn).parameters


def attention_weights(q: Tensor, k: Tensor, layout: Layout) -> Tensor:
    """Computes softmax(q k^T / sqrt(E)).

    Args:
        q: [B, H, T, E] float.
        k: [B, H, S, E] float.
        layout: which query may attend to which key.

    Returns:
        [B, H, T, S]: each row sums to 1, with 0 where the query may not attend. A query that may attend to nothing has
        uniform weights.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # [B, H, T, S]
    mask = layout.mask
    if mask is None and layout.is_causal:
        mask = _lower_triangle(q.shape[2], 0, q.device)
    if mask is not None:
        scores = scores + mask if mask.is_floating_point() else scores.masked_fill(~mask, MASKED)
    # In bf16 too the softmax is computed in fp32 inside the kernel; only its result is rounded.
    weights: Tensor = scores.softmax(dim=-1)
    return weights.to(q.dtype)


class Cache(Protocol):
    """What self-attention sees of the keys and values that it has computed before."""

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Appends those of T entries, two [B, H, T, E], and returns all there are, [B, H, P + T, E]."""


class MultiHeadAttention(nn.Module):
    """Multi-head attention with biases: *Attention Is All You Need*, section 3.2.2.

    The projections of query, key and value are stored as one matrix, in this order, so that self-attention needs
    one product; `model/folder.py` keeps their canonical names separate in files.

    Args:
        d_model: D.
        heads: H.
        dropout: probability of dropping an attention weight.
        cross: whether it attends to a memory, rather than to its own rows.
    """

    def __init__(self, d_model: int, heads: int, dropout: float = 0.0, cross: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query, self.key_value = range(d_model), range(d_model, 3 * d_model)  # rows of the matrix
        self.qkv = Linear(d_model, 3 * d_model, parts=(self.query, self.key_value) if cross else ())
        self.out = Linear(d_model, d_model)

    def forward(
        self, x: Tensor, layout: AnyLayout, cache: Cache | None = None, rotation: Tensor | None = None
    ) -> Tensor:
        """Self-attention of rows [B, T, D], behind the cached ones if there are any; returns [B, T, D]; packed: [N, D].

        With `rotation`, [T, E], queries and keys are turned by their positions; the cache holds turned keys.
        """
        q, k, v = (self._split(part) for part in project(x, self.qkv).chunk(3, dim=-1))
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if cache is not None:
            k, v = cache.extend(k, v)
        return self._merge(attend(q, k, v, layout, self.dropout if self.training else 0.0))

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Returns keys and values of a [B, S, D] memory, two [B, H, S, E]: computed once for all target positions.

        Packed, of [M, D], two [M, H, E].
        """
        k, v = project(memory, self.qkv, self.key_value).chunk(2, dim=-1)
        return self._split(k), self._split(v)

    def attend_to(self, memory: tuple[Tensor, Tensor], x: Tensor, layout: AnyLayout) -> Tensor:
        """Cross-attention of rows [B, T, D] to the keys and values that `keys_values` returned; packed: [N, D]."""
        q = project(x, self.qkv, self.query)
        return self._merge(attend(self._split(q), *memory, layout, self.dropout if self.training else 0.0))

    def _split(self, x: Tensor) -> Tensor:
        heads = x.view(*x.shape[:-1], self.heads, -1)  # [B, T, H, E]; packed: [N, H, E]
        return heads.transpose(1, 2) if x.dim() == 3 else heads  # [B, H, T, E]

    def _merge(self, x: Tensor) -> Tensor:
        heads = x.transpose(1, 2) if x.dim() == 4 else x
        return project(heads.flatten(-2), self.out)  # [B, T, D]; packed: [N, D]
