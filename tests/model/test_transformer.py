"""Parity with torch.nn.Transformer and transformers' MarianMTModel by copied weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.marian_model import copy_to_marian, marian_config, marian_pairs
from seq2seq.config import ModelSettings
from seq2seq.data.batch import Batch
from seq2seq.model.attention import Layout, MultiHeadAttention
from seq2seq.model.layers import DecoderLayer, SelfAttentionLayer
from seq2seq.model.loss import projected_loss
from seq2seq.model.transformer import Transformer
from seq2seq.text.ids import BOS, EOS, PAD

V, D, H, F_WIDTH, L = 40, 16, 4, 32, 2


@pytest.fixture
def batch() -> Batch:
    random = np.random.default_rng(1)
    rows = [np.append(random.integers(4, V, n), EOS) for n in (6, 3, 1, 9, 5, 2)]
    return Batch.from_ids(rows[:3], rows[3:])


def sizes(**changes: Any) -> ModelSettings:
    values = {"layers": L, "d_model": D, "heads": H, "d_feedforward": F_WIDTH, "dropout": 0.0}
    return ModelSettings.model_validate(values | changes)


def build(norm: str = "post", activation: str = "relu", shared: bool = True, tie: bool = True) -> Transformer:
    torch.manual_seed(7)
    settings = sizes(norm=norm, activation=activation, tie_embeddings=tie)
    model = Transformer(settings, V, V, shared)
    for parameter in model.parameters():  # biases and gains are otherwise 0 and 1, which hides mistakes
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5, std=0.3)
    return model


def pairs_with_torch(ours: Transformer, theirs: nn.Transformer) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields parameters of ours and theirs that correspond."""

    def attention(a: MultiHeadAttention, b: nn.MultiheadAttention) -> Iterator[tuple[Tensor, Tensor]]:
        yield from ((a.qkv.weight, b.in_proj_weight), (a.qkv.bias, b.in_proj_bias))
        yield from ((a.out.weight, b.out_proj.weight), (a.out.bias, b.out_proj.bias))

    def modules(a: nn.Module, b: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(a.parameters(), b.parameters(), strict=True)

    def layer(a: SelfAttentionLayer, b: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        yield from attention(a.self_attention, b.self_attn)
        yield from modules(a.feed_forward.inner, b.linear1)
        yield from modules(a.feed_forward.outer, b.linear2)
        yield from modules(a.self_attention_residual.norm, b.norm1)
        last = b.norm2
        if isinstance(a, DecoderLayer):
            yield from attention(a.cross_attention, b.multihead_attn)
            yield from modules(a.cross_attention_residual.norm, b.norm2)
            last = b.norm3
        yield from modules(a.feed_forward_residual.norm, last)

    for stack in ("encoder", "decoder"):
        for a, b in zip(getattr(ours, stack), getattr(theirs, stack).layers, strict=True):
            yield from layer(a, b)
        if getattr(theirs, stack).norm is not None:
            yield from modules(getattr(ours, f"{stack}_norm"), getattr(theirs, stack).norm)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("norm", "activation"), [("post", "relu"), ("pre", "gelu")])
def test_parity_with_torch(norm: str, activation: str, batch: Batch) -> None:
    ours = build(norm, activation, shared=False, tie=False)
    theirs = nn.Transformer(D, H, L, L, F_WIDTH, 0.0, activation, batch_first=True, norm_first=norm == "pre")
    if norm == "post":  # torch adds final norms that post-LN does not have
        theirs.encoder.norm = theirs.decoder.norm = None
    matched = list(pairs_with_torch(ours, theirs))
    with torch.no_grad():
        for a, b in matched:
            b.copy_(a)
    src, tgt = (
        embedding.tokens(ids) * D**0.5 + embedding.positions(torch.arange(ids.shape[1]), ids.shape[1])
        for embedding, ids in ((ours.source_embedding, batch.src), (ours.target_embedding, batch.tgt_in))
    )
    padding = batch.src == PAD
    causal = nn.Transformer.generate_square_subsequent_mask(batch.tgt_in.shape[1])
    hidden = theirs(
        src, tgt, tgt_mask=causal, src_key_padding_mask=padding, memory_key_padding_mask=padding, tgt_is_causal=True
    )
    real = batch.tgt_out != PAD
    logits = hidden @ ours.output.weight.T
    our_logits = ours.logits(ours.decode(batch.tgt_in, ours.start(batch.src)))
    torch.testing.assert_close(our_logits[real], logits[real], atol=1e-5, rtol=0)
    loss = F.cross_entropy(logits[real], batch.tgt_out[real], reduction="sum", label_smoothing=0.1)
    our_loss, n_tokens = ours(batch, 0.1)
    assert n_tokens == int(real.sum())
    torch.testing.assert_close(our_loss / n_tokens, loss / n_tokens, atol=1e-6, rtol=0)
    expected = torch.autograd.grad(loss / n_tokens, [b for _, b in matched])
    found = torch.autograd.grad(our_loss / n_tokens, [a for a, _ in matched])
    for ours_grad, theirs_grad in zip(found, expected, strict=True):
        torch.testing.assert_close(ours_grad, theirs_grad, atol=1e-5, rtol=1e-5)


def test_parity_with_marian(batch: Batch) -> None:
    transformers = pytest.importorskip("transformers")
    ours = build()
    theirs = transformers.MarianMTModel(marian_config(sizes(), V, attn_implementation="eager"))
    copy_to_marian(ours, theirs)
    out = theirs.train()(input_ids=batch.src, attention_mask=batch.src != PAD, decoder_input_ids=batch.tgt_in)
    real = batch.tgt_out != PAD
    our_logits = ours.logits(ours.decode(batch.tgt_in, ours.start(batch.src)))
    torch.testing.assert_close(our_logits[real], out.logits[real], atol=1e-5, rtol=0)
    loss = F.cross_entropy(out.logits[real], batch.tgt_out[real])
    our_loss, n_tokens = ours(batch)
    torch.testing.assert_close(our_loss / n_tokens, loss, atol=1e-6, rtol=0)
    loss.backward()
    (our_loss / n_tokens).backward()
    pairs = list(marian_pairs(ours, theirs))
    assert sum(pair.theirs.numel() for pair in pairs) == sum(p.numel() for p in ours.parameters())
    for pair in pairs:
        assert pair.ours.grad is not None
        torch.testing.assert_close(pair.arranged(pair.ours.grad), pair.theirs.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shared", "tie", "matrices"), [(True, True, 1), (False, True, 2), (True, False, 3)])
def test_tied_embeddings(shared: bool, tie: bool, matrices: int) -> None:
    model = build(shared=shared, tie=tie)
    assert sum(p.shape == (V, D) for p in model.parameters()) == matrices
    assert (model.output.weight is model.target_embedding.tokens.weight) == tie


def test_wider_padding_changes_nothing(batch: Batch) -> None:
    model = build()
    wider = Batch(*(F.pad(t, (0, 13), value=PAD) for t in (batch.src, batch.tgt_in, batch.tgt_out)), batch.n_tokens)
    torch.testing.assert_close(model(wider)[0], model(batch)[0], atol=1e-5, rtol=1e-6)


def test_batched_equals_single(batch: Batch) -> None:
    model = build()
    together = model.decode(batch.tgt_in, model.start(batch.src))
    for i in range(len(batch.src)):
        src = batch.src[i : i + 1, : int((batch.src[i] != PAD).sum())]
        length = int((batch.tgt_out[i] != PAD).sum())
        alone = model.decode(batch.tgt_in[i : i + 1, :length], model.start(src))
        torch.testing.assert_close(together[i, :length], alone[0], atol=1e-5, rtol=1e-5)


def test_all_pad_source_is_finite() -> None:
    model = build()
    batch = Batch(torch.full((2, 3), PAD), torch.tensor([[BOS, 5]] * 2), torch.tensor([[5, EOS]] * 2), 4)
    loss, _ = model(batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_cross_attention_of_each_layer(norm: str, batch: Batch) -> None:
    model = build(norm).eval()
    weights = model.cross_attention(batch.src, batch.tgt_in)
    assert weights.shape == (L, len(batch.src), H, batch.tgt_in.shape[1], batch.src.shape[1])
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    padding = batch.src == PAD
    assert padding.any()
    assert not weights.permute(1, 4, 0, 2, 3)[padding].any()
    for i in range(len(batch.src)):
        src = batch.src[i : i + 1, : int((~padding[i]).sum())]
        length = int((batch.tgt_out[i] != PAD).sum())
        alone = model.cross_attention(src, batch.tgt_in[i : i + 1, :length])
        torch.testing.assert_close(weights[:, i, :, :length, : src.shape[1]], alone[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_cross_attention_is_what_the_lowest_layer_multiplies_values_with(norm: str, batch: Batch) -> None:
    model = build(norm).eval()
    weights = model.cross_attention(batch.src, batch.tgt_in)[0]
    memory, layer = model.start(batch.src), model.decoder[0]
    assert isinstance(layer, DecoderLayer)
    causal = Layout.causal(batch.tgt_in.shape[1], batch.src.device)
    length = batch.tgt_in.shape[1]
    x = model.target_embedding(batch.tgt_in, torch.arange(length), length)
    x = layer.self_attention_residual(x, lambda rows: layer.self_attention(rows, causal))
    rows = layer.cross_attention_residual.norm(x) if norm == "pre" else x
    expected = layer.cross_attention.attend_to(memory.keys_values[0], rows, memory.layout)
    heads = weights @ memory.keys_values[0][1]  # [B, H, T, E]
    torch.testing.assert_close(layer.cross_attention.out(heads.transpose(1, 2).flatten(2)), expected)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_packed_is_padded(norm: str, batch: Batch) -> None:
    model = build(norm)
    found, n = model(batch.packed(), 0.1)
    expected, again = model(batch, 0.1)
    assert n == again
    torch.testing.assert_close(found, expected)
    for a, b in zip(*(torch.autograd.grad(x, list(model.parameters())) for x in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_causality() -> None:
    model = build().eval()
    src = torch.tensor([[5, 6, EOS]])
    a, b = torch.tensor([[BOS, 7, 8, 9]]), torch.tensor([[BOS, 7, 8, 20]])
    with torch.no_grad():
        first, second = (model.decode(ids, model.start(src)) for ids in (a, b))
    assert torch.equal(first[:, :3], second[:, :3])
    assert not torch.equal(first[:, 3], second[:, 3])


def test_positions_grow_with_the_input() -> None:
    model = build().eval()
    long = torch.full((1, 1500), 5)
    with torch.no_grad():
        memory = model.encode(long)
    assert memory.shape == (1, 1500, D)
    assert memory.isfinite().all()


def test_label_smoothing_by_hand() -> None:
    logits, targets, epsilon = torch.randn(6, 9), torch.tensor([7, 3, 8, 1, 1, 4]), 0.3
    log_probs = logits.log_softmax(-1)
    smooth = torch.full((6, 9), epsilon / 9)
    smooth[torch.arange(6), targets] += 1 - epsilon
    found = projected_loss(logits, torch.eye(9), targets, epsilon)
    torch.testing.assert_close(found, -(smooth * log_probs).sum())
