"""Attention weights of all layers and heads: compared with torch's own attention with copied weights."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from tiny_models import HEADS, LAYERS, PAIRS, build, language_model
from torch import Tensor, nn

from seq2seq.decode.attention import Attention, attention_of_pairs, attention_of_text
from seq2seq.model.attention import MultiHeadAttention
from seq2seq.model.folder import TrainedModel
from seq2seq.model.layers import DecoderLayer, SelfAttentionLayer
from seq2seq.text.ids import BOS


def some_pairs(trained: TrainedModel, n: int = 5) -> tuple[list[Any], list[Any]]:
    sources, targets = zip(*PAIRS[:n], strict=True)
    return trained.tokenizer.encode_source(sources), trained.tokenizer.encode_target(targets)


def torchs(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(ours.out.in_features, ours.heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    return theirs.eval()


def look(ours: MultiHeadAttention, x: Tensor, memory: Tensor, kept: list[Tensor], causal: bool = False) -> Tensor:
    """Returns what torch's attention returns, and keeps its weights, [H, queries, keys]."""
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
    out, weights = torchs(ours)(x, memory, memory, attn_mask=mask, average_attn_weights=False)
    kept.append(weights[0])
    return cast(Tensor, out)


@torch.no_grad()
def expected(trained: TrainedModel, source: Any, target: Any) -> list[Tensor]:
    """Goes through the layers of a model for a pair by torch's attention; returns three [L, H, queries, keys]."""
    model = trained.model.eval()
    src, tgt_in = torch.tensor([source.tolist()]), torch.tensor([[BOS, *target[:-1].tolist()]])
    kinds: tuple[list[Tensor], ...] = ([], [], [])
    memory = model.source_embedding(src, torch.arange(src.shape[1]), src.shape[1])
    for each in model.encoder:
        layer = cast(SelfAttentionLayer, each)
        memory = layer.self_attention_residual(memory, lambda x, a=layer.self_attention: look(a, x, x, kinds[0]))
        memory = layer.feed(memory)
    memory = model.encoder_norm(memory)
    x = model.target_embedding(tgt_in, torch.arange(tgt_in.shape[1]), tgt_in.shape[1])
    for each in model.decoder:
        deep = cast(DecoderLayer, each)
        x = deep.self_attention_residual(x, lambda x, a=deep.self_attention: look(a, x, x, kinds[1], causal=True))
        x = deep.cross_attention_residual(x, lambda x, a=deep.cross_attention: look(a, x, memory, kinds[2]))
        x = deep.feed(x)
    return [torch.stack(kind) for kind in kinds]


def kinds_of(found: Attention) -> list[Tensor]:
    return [found.encoder, found.decoder, found.cross]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_weights_are_those_of_torchs_attention_pair_by_pair(norm: str) -> None:
    trained = build(norm)
    sources, targets = some_pairs(trained)
    assert len({len(ids) for ids in sources}) > 2
    for found, source, target in zip(attention_of_pairs(trained, sources, targets), sources, targets, strict=True):
        assert found.cross.shape == (LAYERS, HEADS, len(target), len(source))
        for ours, theirs in zip(kinds_of(found), expected(trained, source, target), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(ours.sum(-1), torch.ones(ours.shape[:-1]))
        assert not found.decoder.triu(1).any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_prepared_models_look_where_unprepared_ones_do(precision: str) -> None:
    exact, prepared = build(), build(precision=precision)
    prepared.prepare()
    pairs = some_pairs(exact)
    tolerance = 1e-5 if precision == "fp32" else 0.05
    for a, b in zip(attention_of_pairs(exact, *pairs), attention_of_pairs(prepared, *pairs), strict=True):
        for ours, theirs in zip(kinds_of(a), kinds_of(b), strict=True):
            assert theirs.dtype == torch.float32
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


def test_a_language_models_weights_are_torchs() -> None:
    trained, ids = language_model("learned"), [3, 4, 6, 5, 9, 8, 4]
    found = attention_of_text(trained, ids)
    kept: list[Tensor] = []
    with torch.no_grad():
        model = trained.model.eval()
        x = model.embed(torch.tensor([ids]), torch.arange(len(ids)), len(ids))
        for each in model.layers:
            layer = cast(SelfAttentionLayer, each)
            x = layer.self_attention_residual(x, lambda x, a=layer.self_attention: look(a, x, x, kept, causal=True))
            x = layer.feed(x)
    torch.testing.assert_close(found, torch.stack(kept), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", ["learned", "rotary", "sinusoidal", "none"])
def test_a_language_model_sees_no_later_token(positions: str) -> None:
    trained = language_model(positions)
    found = attention_of_text(trained, np.arange(4, 13))
    assert found.shape == (2, 2, 9, 9)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 2, 9))
    assert not found.triu(1).any() and found.tril().gt(0).sum() == 4 * 45
    torch.testing.assert_close(attention_of_text(trained, np.arange(4, 9)), found[:, :, :5, :5])
    assert attention_of_text(trained, [4]).tolist() == [[[[1.0]]] * 2] * 2
    trained.prepare()
    torch.testing.assert_close(attention_of_text(trained, np.arange(4, 13)), found, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="13 tokens do not fit into a window of 12"):
        attention_of_text(trained, [4] * 13)
