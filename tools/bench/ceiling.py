"""The ceiling: how fast a step would be if it were nothing but its matrix products, at the speed at which they run.

All products of a training step, forward and backward, are measured alone: in the precision of the step, with the padded
rows of the batches, operands laid out as in training. Of that time each counts with the share of its work that real
tokens need. So a step that computes on padding, or does anything beside its products, stays below the ceiling.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from bench.plan import Plan, Sizes
from bench.turns import synchronize
from seq2seq.cli.common import prepare_torch
from seq2seq.data.batch import Batch, TokenBatch
from seq2seq.text.ids import PAD

LONG_ENOUGH = 3e-3  # seconds over which a product is measured, at least
MOST_REPEATS = 64
LARGE = {"cpu": 2048, "cuda": 8192}  # rows and columns of the product whose rate stands for the hardware


class Call(NamedTuple):
    """A product [n, rows, inner] times [n, inner, columns]; n is 1 where a plain product of matrices does it.

    `stored` says which operand is stored with its last two dimensions the other way round: none (nn), the first (tn)
    or the second (nt).
    """

    n: int
    rows: int
    inner: int
    columns: int
    stored: Literal["nn", "tn", "nt"]

    @property
    def flops(self) -> int:
        """Floating-point operations, additions and multiplications."""
        return 2 * self.n * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Product:
    """A product that occurs in a step.

    Attributes:
        name: of the part of the model that it belongs to.
        call: its shape, padding included.
        times: how often it comes in a step: once for each layer that has it.
        real: share of it that real tokens need.
    """

    name: str
    call: Call
    times: int
    real: float

    @property
    def flops(self) -> float:
        """Operations of a step that real tokens need."""
        return self.call.flops * self.times * self.real


class Side(NamedTuple):
    """Sentences of one side of a batch, padded to a width; lengths is [B] int64, in tokens."""

    width: int
    lengths: Tensor

    @property
    def padded(self) -> int:
        """Rows of the side."""
        return len(self.lengths) * self.width

    @property
    def real(self) -> float:
        """Share of the rows that are tokens."""
        return float(self.lengths.sum()) / self.padded


def step_products(sizes: Sizes, batch: Batch | TokenBatch) -> list[Product]:
    """Returns all matrix products of an optimizer step on a batch."""
    if isinstance(batch, TokenBatch):
        target = _side(batch.targets)
        products = list(_layer("layers", target, sizes))
    else:
        source, target = _side(batch.src), _side(batch.tgt_out)
        d_model, layers = sizes.d_model, sizes.layers
        products = [
            *_layer("encoder", source, sizes),
            *_layer("decoder", target, sizes),
            *projection("cross-attention projections", target, d_model, d_model, layers),
            *projection("cross-attention projections", source, d_model, 2 * d_model, layers),
            *attention("cross-attention products", target, source, sizes),
            *projection("cross-attention projections", target, d_model, d_model, layers),
        ]
    return [*products, *projection("output projection", target, sizes.d_model, sizes.vocab_size, 1)]


def projection(name: str, side: Side, inputs: int, outputs: int, times: int) -> Iterator[Product]:
    """Yields the products of a projection: forward, gradient of its input, gradient of its weight."""
    rows = side.padded
    yield Product(name, Call(1, rows, inputs, outputs, "nt"), times, side.real)
    yield Product(name, Call(1, rows, outputs, inputs, "nn"), times, side.real)
    yield Product(name, Call(1, outputs, rows, inputs, "tn"), times, side.real)


def attention(name: str, queries: Side, keys: Side, sizes: Sizes) -> Iterator[Product]:
    """Yields the products of attention, one for each head of each sentence, forward and backward.

    All pairs of tokens of a sentence count, also those that a causal mask hides, as is usual where the utilisation of
    hardware is told (Chowdhery et al. 2022, PaLM, appendix B).
    """
    n, t, s, e = len(queries.lengths) * sizes.heads, queries.width, keys.width, sizes.d_model // sizes.heads
    pairs = float((queries.lengths * keys.lengths).sum())
    calls = (
        Call(n, t, e, s, "nt"),  # scores
        Call(n, t, s, e, "nn"),  # weighted values
        Call(n, t, e, s, "nt"),  # gradient of the weights
        Call(n, s, t, e, "tn"),  # of the values
        Call(n, t, s, e, "nn"),  # of the queries
        Call(n, s, t, e, "tn"),  # of the keys
    )
    for call in calls:
        yield Product(name, call, sizes.layers, pairs / (len(queries.lengths) * t * s))


def _layer(name: str, side: Side, sizes: Sizes) -> Iterator[Product]:
    """Yields the products of self-attention and feed-forward of all layers."""
    d_model, layers = sizes.d_model, sizes.layers
    yield from projection(f"{name} self-attention projections", side, d_model, 3 * d_model, layers)
    yield from attention(f"{name} self-attention products", side, side, sizes)
    yield from projection(f"{name} self-attention projections", side, d_model, d_model, layers)
    yield from projection(f"{name} feed-forward", side, d_model, sizes.d_feedforward, layers)
    yield from projection(f"{name} feed-forward", side, sizes.d_feedforward, d_model, layers)


def _side(ids: Tensor) -> Side:
    return Side(ids.shape[1], (ids != PAD).sum(1))


class Ceiling:
    """Measures the products of a plan's batches; a turn returns the seconds in which they could be trained on."""

    def __init__(self, plan: Plan, precision: Literal["fp32", "bf16"]) -> None:
        os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "4096"  # no product is prepared while another one is timed
        prepare_torch(plan.threads)
        self.device = torch.device(plan.device)
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.products = [product for batch in plan.batches() for product in step_products(plan.sizes, batch)]
        self.seconds: defaultdict[Call, list[float]] = defaultdict(list)
        large = LARGE[self.device.type]
        self.large = Call(1, large, large, large, "nn")
        calls = [self.large, *(product.call for product in self.products)]
        size = max(call.n * call.inner * (call.rows + call.columns) for call in calls)
        self.numbers = torch.randn(size, device=self.device).to(self.dtype)

    def turn(self) -> float:
        """Measures each product once more; returns the seconds of all batches."""
        for call in {product.call: None for product in self.products}:
            self.seconds[call].append(self._measure(call))
        return sum(product.times * product.real * self.seconds[product.call][-1] for product in self.products)

    def facts(self) -> dict[str, Any]:
        """Returns operations of all batches, rates in operations per second, and the parts, the longest first."""
        parts: dict[str, dict[str, float]] = {}
        for product in self.products:
            part = parts.setdefault(product.name, {"flops": 0.0, "seconds": 0.0})
            part["flops"] += product.flops
            part["seconds"] += product.times * product.real * median(self.seconds[product.call])
        for part in parts.values():
            part["flops_per_second"] = part["flops"] / part["seconds"]
        return {
            "flops": sum(product.flops for product in self.products),
            "large_product": {
                "rows": self.large.rows,
                "flops_per_second": self.large.flops / median(self._measure(self.large) for _ in range(5)),
            },
            "parts": dict(sorted(parts.items(), key=lambda item: -item[1]["seconds"])),
        }

    def _measure(self, call: Call) -> float:
        """Returns the seconds of a product, in the mean of as many as take long enough to be measured."""
        multiply = self._multiply(call)
        multiply()
        repeats = 1
        while True:
            synchronize(self.device)
            started = time.perf_counter()
            for _ in range(repeats):
                multiply()
            synchronize(self.device)
            seconds = time.perf_counter() - started
            if seconds > LONG_ENOUGH or repeats >= MOST_REPEATS:
                return seconds / repeats
            repeats *= 4

    def _multiply(self, call: Call) -> Callable[[], Tensor]:
        n, rows, inner, columns, stored = call
        first, second = self.numbers[: n * rows * inner], self.numbers[-n * inner * columns :]
        a = first.view(n, inner, rows).mT if stored == "tn" else first.view(n, rows, inner)
        b = second.view(n, columns, inner).mT if stored == "nt" else second.view(n, inner, columns)
        return (lambda: torch.mm(a[0], b[0])) if n == 1 else (lambda: torch.bmm(a, b))
