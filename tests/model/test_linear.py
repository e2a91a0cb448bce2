"""Projections, against torch's own."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seq2seq.config import GPTSettings, ModelSettings
from seq2seq.errors import Seq2SeqError
from seq2seq.model import linear as module
from seq2seq.model.device import autocast, choose_precision, product_dtype
from seq2seq.model.gpt import GPT
from seq2seq.model.linear import Int8Product, Linear, prepare_for_decoding, project
from seq2seq.model.transformer import Transformer
from seq2seq.model.weights import canonical_weights

CPU = torch.device("cpu")


def int8_works() -> bool:
    try:
        return choose_precision("int8", CPU, 1, 1) == "int8"
    except Seq2SeqError:
        return False


needs_int8 = pytest.mark.skipif(not int8_works(), reason="this CPU multiplies no 8-bit integers")


@pytest.mark.parametrize("rows", [1, 32, 33])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("prepared", [False, True])
def test_projections_of_few_rows_and_of_parts_are_those_of_torch(rows: int, precision: str, prepared: bool) -> None:
    torch.manual_seed(0)
    part = range(8, 24)
    linear, x = Linear(24, 40), torch.randn(rows, 1, 24)
    halves = Linear(24, 40, parts=(part,))
    halves.load_state_dict(linear.state_dict())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        expected = linear(x)
        some = F.linear(x, linear.weight[8:24], linear.bias[8:24])
        if prepared:
            linear.prepare(precision, keep=False)  # type: ignore[arg-type]
            halves.prepare(precision, keep=True)  # type: ignore[arg-type]
        for found, wanted in (
            (project(x, linear), expected),
            (project(x, linear, then="relu"), expected.relu()),
            (project(x, halves, part), some),
        ):
            assert found.dtype == wanted.dtype
            torch.testing.assert_close(found, wanted)


@needs_int8
@pytest.mark.parametrize("rows", [1, 5, 320])
def test_int8_is_the_exact_product_of_the_rounded_rows(rows: int) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(48, 64), torch.randn(48), torch.randn(rows, 2, 64)
    weight[3], x[0, 0] = 0.0, 0.0
    weight[:, 5] *= 30  # rows are divided by their largest entry

    def rounded(matrix: torch.Tensor) -> torch.Tensor:
        scales = matrix.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
        return (matrix / scales).round() * scales

    found = Int8Product(weight, bias)(x, "none")
    expected = rounded(x).double() @ rounded(weight).double().t() + bias
    torch.testing.assert_close(found.double(), expected, atol=2e-3, rtol=1e-5)
    unbiased = Int8Product(weight, None)(x, "relu")
    torch.testing.assert_close(unbiased.double(), (expected - bias).relu(), atol=2e-3, rtol=1e-5)
    before = x.clone()
    with autocast("int8", CPU):
        rounded_sum = Int8Product(weight, bias)(x, "none")
        assert rounded_sum.dtype == product_dtype(x)
    torch.testing.assert_close(rounded_sum.double(), expected, atol=0.5, rtol=2e-2)
    assert torch.equal(x, before)


def build(kind: str) -> nn.Module:
    torch.manual_seed(0)
    norm: Any = "pre" if "pre" in kind else "post"
    if "gpt" in kind:
        return GPT(GPTSettings(layers=2, d_model=32, heads=2, context=16, dropout=0.0, norm=norm), 50).eval()
    tied = "untied" not in kind
    sizes = ModelSettings(layers=2, d_model=32, heads=2, d_feedforward=64, dropout=0.0, tie_embeddings=tied, norm=norm)
    return Transformer(sizes, 50, 50, shared=tied).eval()


def run(model: nn.Module) -> torch.Tensor:
    ids = torch.randint(4, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    hidden = model.hidden(ids) if isinstance(model, GPT) else model.decode(ids, model.start(ids))  # type: ignore[operator]
    return model.logits(hidden).float()  # type: ignore[no-any-return, operator]


@pytest.mark.parametrize("kind", ["tied", "untied", "tied pre", "gpt", "gpt pre"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("int8", marks=needs_int8)])
def test_prepared_models_compute_the_same_and_hold_less(
    kind: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INT8_ENTRIES", 2000)  # some of the matrices
    model = build(kind)
    n = sum(parameter.numel() for parameter in model.parameters())
    with torch.inference_mode(), autocast(precision, CPU):  # type: ignore[arg-type]
        expected = run(build(kind)) if precision != "int8" else run_in_fp32(build(kind))
        prepare_for_decoding(model, precision)  # type: ignore[arg-type]
        found = run(model)
    error = (found - expected).norm() / expected.norm()
    assert error < {"fp32": 1e-5, "bf16": 2e-2, "int8": 5e-2}[precision]
    assert error > 0 or precision != "int8"
    assert sum(parameter.numel() for parameter in model.parameters()) == n
    prepare_for_decoding(model, precision)  # type: ignore[arg-type]  # once more changes nothing
    with pytest.raises(ValueError, match="prepared for decoding can only decode"):
        canonical_weights(model)
    held = [m.weight.device.type for m in model.modules() if isinstance(m, Linear)]
    assert held.count("cpu") == 1  # the output's, which may be the embedding's too


def run_in_fp32(model: nn.Module) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return run(model)


def test_int8_is_refused_where_it_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Seq2SeqError, match="int8 needs a CPU with VNNI"):
        choose_precision("int8", torch.device("meta"), 512, 1)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    with pytest.raises(Seq2SeqError, match="int8 needs a CPU with VNNI"):
        choose_precision("int8", CPU, 512, 1)
