"""Our encoder-decoder as a model of CTranslate2, weights copied."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.ctranslate2_system import vocabularies
from seq2seq.model.attention import MultiHeadAttention
from seq2seq.model.folder import TrainedModel
from seq2seq.model.layers import DecoderLayer, SelfAttentionLayer
from seq2seq.model.positions import sinusoids


def save_ctranslate2(trained: TrainedModel, longest: int, folder: Path, quantization: str) -> None:
    """Writes a model as CTranslate2's converters do.

    Args:
        trained: our model.
        longest: tokens of the longest sentence that it is to read or write.
        folder: a new one.
        quantization: number format of the matrices: float32, bfloat16, int8 ...
    """
    specs = importlib.import_module("ctranslate2.specs")
    model, settings = trained.model, trained.settings.model
    spec = specs.TransformerSpec.from_config(
        (len(model.encoder), len(model.decoder)),
        settings.heads,
        pre_norm=settings.norm == "pre",
        activation={"relu": specs.Activation.RELU, "gelu": specs.Activation.GELU}[settings.activation],
    )
    positions = sinusoids(torch.arange(longest), settings.d_model)
    for stack, layers, embedding, embeddings in (
        (spec.encoder, model.encoder, model.source_embedding, spec.encoder.embeddings[0]),
        (spec.decoder, model.decoder, model.target_embedding, spec.decoder.embeddings),
    ):
        embeddings.weight = _values(embedding.tokens.weight)
        stack.position_encodings.encodings = _values(positions)
        for theirs, ours in zip(stack.layer, cast(Iterable[SelfAttentionLayer], layers), strict=True):
            _set_layer(theirs, ours)
    if settings.norm == "pre":
        _set_norm(spec.encoder.layer_norm, model.encoder_norm)
        _set_norm(spec.decoder.layer_norm, model.decoder_norm)
    spec.decoder.projection.weight = _values(model.output.weight)
    source, target = vocabularies(trained.tokenizer)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir()
    spec.save(str(folder))


def _set_layer(theirs: Any, ours: SelfAttentionLayer) -> None:
    _set_norm(theirs.self_attention.layer_norm, ours.self_attention_residual.norm)
    qkv, out = theirs.self_attention.linear
    _set_linear(qkv, ours.self_attention.qkv.weight, ours.self_attention.qkv.bias)
    _set_linear(out, ours.self_attention.out.weight, ours.self_attention.out.bias)
    if isinstance(ours, DecoderLayer):
        _set_norm(theirs.attention.layer_norm, ours.cross_attention_residual.norm)
        _set_cross_attention(theirs.attention, ours.cross_attention)
    assert ours.feed_forward is not None and ours.feed_forward_residual is not None
    _set_norm(theirs.ffn.layer_norm, ours.feed_forward_residual.norm)
    for linear, projection in (
        (theirs.ffn.linear_0, ours.feed_forward.inner),
        (theirs.ffn.linear_1, ours.feed_forward.outer),
    ):
        _set_linear(linear, projection.weight, projection.bias)


def _set_cross_attention(theirs: Any, ours: MultiHeadAttention) -> None:
    """Sets the projections of the query, of key and value together, and of what comes out."""
    width = ours.out.out_features
    query, key_value, out = theirs.linear
    _set_linear(query, ours.qkv.weight[:width], ours.qkv.bias[:width])
    _set_linear(key_value, ours.qkv.weight[width:], ours.qkv.bias[width:])
    _set_linear(out, ours.out.weight, ours.out.bias)


def _set_linear(theirs: Any, weight: Tensor, bias: Tensor) -> None:
    theirs.weight, theirs.bias = _values(weight), _values(bias)


def _set_norm(theirs: Any, ours: nn.Module) -> None:
    theirs.gamma, theirs.beta = _values(ours.get_parameter("weight")), _values(ours.get_parameter("bias"))


def _values(tensor: Tensor) -> Any:
    return tensor.detach().float().cpu().numpy()
