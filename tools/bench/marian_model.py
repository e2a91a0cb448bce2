"""Our encoder-decoder as transformers' MarianMTModel, weights copied."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.config import ModelSettings
from seq2seq.errors import Seq2SeqError
from seq2seq.model.folder import TrainedModel
from seq2seq.model.transformer import Transformer
from seq2seq.model.weights import FUSED
from seq2seq.text.ids import BOS, EOS, PAD

NAMES = {  # ours, theirs, and which axis of a matrix is the stream of width D that goes through all layers
    "self_attention.out": ("self_attn.out_proj", 0),
    "cross_attention.out": ("encoder_attn.out_proj", 0),
    "self_attention_residual.norm": ("self_attn_layer_norm", 0),
    "cross_attention_residual.norm": ("encoder_attn_layer_norm", 0),
    "feed_forward.inner": ("fc1", 1),
    "feed_forward.outer": ("fc2", 0),
    "feed_forward_residual.norm": ("final_layer_norm", 0),
}


class Pair(NamedTuple):
    """A parameter of theirs and what corresponds to it.

    Attributes:
        ours: parameter, such as a fused query, key and value.
        rows: those of its rows that correspond.
        theirs: parameter.
        stream: which of its axes has the entries of the stream, in theirs in another order; None: none.
    """

    ours: Tensor
    rows: slice
    theirs: Tensor
    stream: int | None

    def arranged(self, values: Tensor) -> Tensor:
        """Returns values of our parameter, such as its gradient, as they stand in theirs.

        Ours interleave the sinusoids' sines and cosines, Marian has all sines in front. Each entry of the stream goes
        where Marian adds what we add to it.
        """
        part = values[self.rows]
        if self.stream is None:
            return part
        even = torch.arange(0, part.shape[self.stream], 2, device=part.device)
        return part.index_select(self.stream, torch.cat([even, even + 1]))


def quiet_transformers() -> Any:
    """Returns the module, told to show no progress."""
    transformers = importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    return transformers


def marian_config(settings: ModelSettings, vocab_size: int, **changes: Any) -> Any:
    """Returns the configuration of a MarianMTModel with the sizes of ours and one tied vocabulary.

    Args:
        settings: of our model.
        vocab_size: V.
        **changes: other keys of a `MarianConfig`.
    """
    transformers = importlib.import_module("transformers")
    values = {
        "vocab_size": vocab_size,
        "d_model": settings.d_model,
        "encoder_layers": settings.encoder_layers or settings.layers,
        "decoder_layers": settings.decoder_layers or settings.layers,
        "encoder_attention_heads": settings.heads,
        "decoder_attention_heads": settings.heads,
        "encoder_ffn_dim": settings.d_feedforward,
        "decoder_ffn_dim": settings.d_feedforward,
        "dropout": settings.dropout,
        "activation_function": settings.activation,
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "forced_eos_token_id": EOS,
        "decoder_start_token_id": BOS,
    }
    return transformers.MarianConfig(**values | changes)


def marian_pairs(ours: Transformer, theirs: nn.Module) -> Iterator[Pair]:
    """Yields the parameters of both models that correspond; sinusoids, which are not trained, are none of them."""
    everything = slice(None)
    for name, value in ours.named_parameters():
        if name == "source_embedding.tokens.weight":
            yield Pair(value, everything, theirs.get_parameter("model.shared.weight"), 1)
            continue
        stack, number, rest = name.split(".", 2)
        inside, kind = rest.rsplit(".", 1)
        layer = theirs.get_submodule(f"model.{stack}.layers.{number}")
        if FUSED in name:
            attention = "self_attn" if inside.startswith("self") else "encoder_attn"
            width = len(value) // 3
            for i, part in enumerate("qkv"):
                parameter = layer.get_parameter(f"{attention}.{part}_proj.{kind}")
                yield Pair(value, slice(i * width, (i + 1) * width), parameter, 1 if value.dim() == 2 else None)
            continue
        called, stream = NAMES[inside]
        inner = stream >= value.dim()  # the bias of a projection out of the stream
        yield Pair(value, everything, layer.get_parameter(f"{called}.{kind}"), None if inner else stream)


@torch.no_grad()
def copy_to_marian(ours: Transformer, theirs: Any) -> None:
    """Copies our weights into a MarianMTModel of the same sizes."""
    for pair in marian_pairs(ours, theirs):
        pair.theirs.copy_(pair.arranged(pair.ours))
    theirs.final_logits_bias.zero_()


def save_marian(trained: TrainedModel, longest: int, folder: Path) -> None:
    """Writes a model as `save_pretrained` of transformers does.

    Args:
        trained: our model.
        longest: tokens of the longest sentence that it is to read or write.
        folder: a new one.

    Raises:
        Seq2SeqError: the model is of a kind that MarianMTModel is not.
    """
    settings = trained.settings.model
    if settings.norm != "post" or not settings.tie_embeddings or not trained.tokenizer.shared:
        raise Seq2SeqError("MarianMTModel has its norms behind the residual sums and one vocabulary, tied")
    transformers = quiet_transformers()
    config = marian_config(settings, trained.tokenizer.target_vocab_size, max_position_embeddings=longest)
    theirs = transformers.MarianMTModel(config)
    copy_to_marian(trained.model, theirs)
    theirs.save_pretrained(folder)
