import torch
from torch import nn

from seq2seq.model.attention import KeyValueCache, Layout, MultiHeadAttention, attend


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


def test_beams_share_the_memory_of_their_sentence() -> None:
    torch.manual_seed(1)
    attention = MultiHeadAttention(16, 2)
    memory, x = torch.randn(2, 5, 16), torch.randn(6, 1, 16)
    layout = Layout.padded(torch.arange(5) < torch.tensor([[5], [3]]))
    shared = attention.attend_to(attention.keys_values(memory), x, layout)
    copied = Layout.padded(torch.arange(5) < torch.tensor([[5]] * 3 + [[3]] * 3))
    expected = attention.attend_to(attention.keys_values(memory.repeat_interleave(3, 0)), x, copied)
    torch.testing.assert_close(shared, expected)


def test_cached_equals_uncached_and_follows_its_rows() -> None:
    torch.manual_seed(1)
    attention = MultiHeadAttention(16, 2)
    x = torch.randn(3, 4, 16)
    expected = attention(x, Layout.causal(4, x.device))
    cache = KeyValueCache()
    attention(x[:, :2], Layout.causal(2, x.device), cache)
    cache.reorder(torch.tensor([2, 0]))
    attention(x[[2, 0], 2:3], Layout(), cache)
    last = attention(x[[2, 0], 3:], Layout(), cache)
    torch.testing.assert_close(last[:, 0], expected[[2, 0], 3])


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
