"""Our language model as transformers' GPT2LMHeadModel, weights copied."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.marian_model import quiet_transformers
from seq2seq.config import GPTSettings
from seq2seq.model.folder import TrainedGPT
from seq2seq.model.gpt import GPT
from seq2seq.text.ids import EOS

ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}
NAMES = {
    "self_attention.qkv": "attn.c_attn",
    "self_attention.out": "attn.c_proj",
    "self_attention_residual.norm": "ln_1",
    "feed_forward.inner": "mlp.c_fc",
    "feed_forward.outer": "mlp.c_proj",
    "feed_forward_residual.norm": "ln_2",
}


def gpt2_config(settings: GPTSettings, vocab_size: int, **changes: Any) -> Any:
    """Returns the configuration of a GPT2LMHeadModel with the sizes of ours.

    Args:
        settings: of our model, which is GPT-2 as far as it can choose.
        vocab_size: V.
        **changes: other keys of a `GPT2Config`.
    """
    transformers = importlib.import_module("transformers")
    values = {
        "vocab_size": vocab_size,
        "n_positions": settings.context,
        "n_embd": settings.d_model,
        "n_layer": settings.layers,
        "n_head": settings.heads,
        "n_inner": settings.d_feedforward,
        "activation_function": ACTIVATIONS[settings.activation],
        "embd_pdrop": settings.dropout,
        "resid_pdrop": settings.dropout,
        "attn_pdrop": settings.attention_dropout,
        "bos_token_id": EOS,
        "eos_token_id": EOS,
    }
    return transformers.GPT2Config(**values | changes)


def gpt2_pairs(ours: GPT, theirs: nn.Module) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Yields parameters of ours and of a GPT2LMHeadModel, or of GPT's OpenAIGPTLMHeadModel, that correspond.

    Also yields whether theirs are transposed.
    """
    root = theirs.get_submodule("transformer")
    top = ("wte", "wpe", "ln_f") if hasattr(root, "wte") else ("tokens_embed", "positions_embed", "")
    for module, name in zip((ours.token_embedding, ours.position_embedding, ours.norm), top, strict=True):
        yield from ((value, root.get_parameter(f"{name}.{kind}"), False) for kind, value in module.named_parameters())
    for name, value in ours.layers.named_parameters():
        number, rest = name.split(".", 1)
        inside, kind = rest.rsplit(".", 1)
        yield value, root.get_parameter(f"h.{number}.{NAMES[inside]}.{kind}"), value.dim() == 2


@torch.no_grad()
def copy_to_gpt2(ours: GPT, theirs: nn.Module) -> None:
    """Copies our weights into a GPT2LMHeadModel, or an OpenAIGPTLMHeadModel, of the same sizes."""
    for value, other, transposed in gpt2_pairs(ours, theirs):
        other.copy_(value.T if transposed else value)


def save_gpt2(trained: TrainedGPT, folder: Path) -> None:
    """Writes a model as `save_pretrained` of transformers does, into a new folder."""
    transformers = quiet_transformers()
    config = gpt2_config(trained.settings.model, trained.tokenizer.target_vocab_size)
    theirs = transformers.GPT2LMHeadModel(config)
    copy_to_gpt2(trained.model, theirs)
    theirs.save_pretrained(folder)
