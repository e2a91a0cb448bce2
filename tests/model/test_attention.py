from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seq2seq.model import attention
from seq2seq.model.attention import MASKED, Layout, MultiHeadAttention, attend, attention_weights
from seq2seq.model.dropout import dropout


def test_attention_equals_torch() -> None:
    torch.manual_seed(1)
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    ours = MultiHeadAttention(32, 4)
    with torch.no_grad():
        ours.qkv.weight.copy_(theirs.in_proj_weight)
        ours.qkv.bias.copy_(theirs.in_proj_bias.normal_())
        ours.out.weight.copy_(theirs.out_proj.weight)
        ours.out.bias.copy_(theirs.out_proj.bias.normal_())
    x, memory = torch.randn(3, 5, 32), torch.randn(3, 7, 32)
    real = torch.arange(7) < torch.tensor([[7], [2], [5]])
    expected = theirs(x, memory, memory, key_padding_mask=~real)[0]
    torch.testing.assert_close(ours.attend_to(ours.keys_values(memory), x, Layout.padded(real)), expected)
    causal = torch.ones(5, 5).triu(1).bool()
    expected = theirs(x, x, x, attn_mask=causal)[0]
    torch.testing.assert_close(ours(x, Layout.causal(5, x.device)), expected)


def test_a_mask_that_is_added_is_a_mask_that_is_true() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 2, 3, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    seen = torch.rand(2, 1, 3, 5) < 0.6
    seen[:, :, :, 0] = True
    added = torch.zeros(seen.shape).masked_fill(~seen, MASKED)
    torch.testing.assert_close(attend(q, k, v, Layout(added)), attend(q, k, v, Layout(seen)))


def test_row_that_may_attend_to_nothing_gives_finite_numbers_and_gradients() -> None:
    q, k, v = (torch.randn(2, 2, 3, 4, requires_grad=True) for _ in range(3))
    out = attend(q, k, v, Layout.padded(torch.zeros(2, 3, dtype=torch.bool)))
    out.sum().backward()
    assert out.isfinite().all()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in (q, k, v))


def test_plain_products_equal_the_fused_kernel() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 2, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    fused = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
    torch.testing.assert_close(attend(q, k, v, Layout.padded(mask)), fused)


def test_weights_are_those_that_torch_computes() -> None:
    torch.manual_seed(1)
    ours = MultiHeadAttention(32, 4)
    nn.init.normal_(ours.qkv.bias)
    x, memory = torch.randn(3, 5, 32), torch.randn(3, 7, 32)
    real = torch.arange(7) < torch.tensor([[7], [2], [5]])
    layout = Layout(Layout.padded(real).mask, seen=[])
    out = ours.attend_to(ours.keys_values(memory), x, layout)
    expected, weights = F.multi_head_attention_forward(
        x.transpose(0, 1), memory.transpose(0, 1), memory.transpose(0, 1), 32, 4, ours.qkv.weight, ours.qkv.bias,
        None, None, False, 0.0, ours.out.weight, ours.out.bias, key_padding_mask=~real, average_attn_weights=False,
    )  # fmt: skip
    assert layout.seen is not None and len(layout.seen) == 1
    torch.testing.assert_close(layout.seen[0], weights)
    torch.testing.assert_close(out, expected.transpose(0, 1))


def test_looking_at_self_attention_changes_nothing() -> None:
    torch.manual_seed(1)
    attention, x = MultiHeadAttention(16, 2), torch.randn(3, 4, 16)
    layout = Layout(Layout.causal(4, x.device).mask, seen=[])
    assert torch.equal(attention(x, layout), attention(x, Layout(layout.mask)))
    assert layout.seen is not None
    assert layout.seen[0].shape == (3, 2, 4, 4)
    assert torch.equal(layout.seen[0], layout.seen[0].tril())


def test_weights_times_values_are_the_output_and_masked_keys_get_nothing() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 2, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    real = torch.arange(5) < torch.tensor([[5], [2]])
    weights = attention_weights(q, k, Layout.padded(real))
    assert torch.equal(weights @ v, attend(q, k, v, Layout.padded(real)))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 3))
    assert not weights[1, :, :, 2:].any()


def test_weights_that_are_seen_are_fp32_and_without_dropout() -> None:
    q = torch.randn(1, 1, 4, 8, dtype=torch.bfloat16)
    layout = Layout(seen=[])
    attend(q, q, q, layout, dropout=0.9)
    assert layout.seen is not None
    assert layout.seen[0].dtype == torch.float32
    torch.testing.assert_close(layout.seen[0].sum(-1), torch.ones(1, 1, 4), atol=0.02, rtol=0)


def test_weights_are_dropped_with_our_words_on_a_cpu() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(2, 2, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    weights = attention_weights(q, k, Layout())
    torch.manual_seed(2)
    expected = dropout(weights, 0.25) @ v
    torch.manual_seed(2)
    assert torch.equal(attend(q, k, v, Layout(), dropout=0.25), expected)
    assert not torch.equal(expected, weights @ v)


@pytest.mark.parametrize(
    ("layout", "is_causal"),
    [
        (lambda device: Layout.causal(4, device), True),
        (lambda device: Layout.causal(4, device, past=3), False),
        (lambda device: Layout.padded(torch.tensor([[True, True, False, False], [True] * 4], device=device)), False),
        (lambda device: Layout(), False),
    ],
)
def test_fused_kernel_is_told_what_is_causal(
    layout: Callable[[torch.device], Layout], is_causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU's kernel is given, seen on a device without numbers, gives on a CPU what we compute there."""
    torch.manual_seed(1)
    cpu, told = layout(torch.device("cpu")), list[tuple[Any, ...]]()
    keys = 7 if cpu.mask is not None and cpu.mask.shape[-1] == 7 else 4
    q, k, v = torch.randn(2, 2, 4, 8), torch.randn(2, 2, keys, 8), torch.randn(2, 2, keys, 8)
    fused = F.scaled_dot_product_attention
    with monkeypatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", lambda q, *others: told.append(others) or q)
        attend(q.to("meta"), k.to("meta"), v.to("meta"), layout(torch.device("meta")), dropout=0.1)
    ((_, _, mask, probability, causal),) = told
    assert (causal, probability) == (is_causal, 0.1)
    assert mask is None if is_causal or cpu.mask is None else mask.shape == cpu.mask.shape
    torch.testing.assert_close(fused(q, k, v, None if is_causal else cpu.mask, 0.0, causal), attend(q, k, v, cpu))


def test_causal_weights_are_the_same_without_a_mask() -> None:
    """A layout made for a GPU has no mask; where somebody looks at the weights, the triangle is made."""
    torch.manual_seed(1)
    q, k = torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    assert Layout.causal(5, torch.device("meta")).mask is None
    assert torch.equal(
        attention_weights(q, k, Layout(is_causal=True)), attention_weights(q, k, Layout.causal(5, q.device))
    )


def test_long_sentences_need_no_product_of_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a length the fused kernel computes the same, without a mask of that size, unless something is trained."""
    torch.manual_seed(1)
    q, k, v = (torch.randn(2, 2, 40, 16) for _ in range(3))
    real = torch.ones(2, 40, dtype=torch.bool)
    real[1, 30:] = False

    def attended() -> list[torch.Tensor]:
        return [attend(q, k, v, layout) for layout in (Layout.padded(real), Layout.causal(40, q.device))]

    plain = attended()
    monkeypatch.setattr(attention, "LONG", 1599)
    trains = attended()
    monkeypatch.setattr(attention, "attention_weights", _never)
    with torch.no_grad():
        fused = attended()
    assert Layout.causal(40, q.device).mask is None
    for one, other, third in zip(plain, fused, trains, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one, third)


def _never(*_: object) -> torch.Tensor:
    raise AssertionError("the weights were written down")
