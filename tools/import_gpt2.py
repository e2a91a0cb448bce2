"""Turn a GPT-2 folder of transformers into a model folder.

    python tools/import_gpt2.py FOLDER OUTPUT

FOLDER holds config.json, model.safetensors, and tokenizer.json or vocab.json with merges.txt, as `save_pretrained`
writes them and as the hub keeps them. Needs the package `tokenizers`: pip install 'seq2seq[gpt2]'.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from seq2seq.config import GPTSettings, LanguageModelSettings
from seq2seq.errors import ModelError, Seq2SeqError, explain_error
from seq2seq.files import atomic_folder
from seq2seq.model.folder import TrainedGPT, save_model
from seq2seq.model.gpt import GPT
from seq2seq.model.weights import set_weights
from seq2seq.text.foreign import try_in_child
from seq2seq.text.gpt2 import GPT2Codec, library
from seq2seq.text.tokenizer import Tokenizer

ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu"}
# What our model does always, and a configuration can ask to be done otherwise.
FIXED = {
    "model_type": "gpt2",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
OUTSIDE = {"wte": "token_embedding", "wpe": "position_embedding", "ln_f": "norm", "lm_head": "output"}
INSIDE = {
    "ln_1": "self_attention_residual.norm",
    "attn.c_proj": "self_attention.out",
    "ln_2": "feed_forward_residual.norm",
    "mlp.c_fc": "feed_forward.inner",
    "mlp.c_proj": "feed_forward.outer",
}


def import_gpt2(folder: Path) -> tuple[GPT, Tokenizer]:
    """Returns the model and the tokenizer of a GPT-2 folder.

    Raises:
        ModelError: a file is missing or unreadable, or the model is of a kind that ours is not.
        Seq2SeqError: `tokenizers` is not installed.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings = gpt_settings(config)
        weights = load_file(folder / "model.safetensors")
        content = read_tokenizer(folder)
        codec = GPT2Codec(content)
        if codec.vocab_size != config["vocab_size"]:
            raise ModelError(f"the tokenizer has {codec.vocab_size} ids, the model {config['vocab_size']}")
        model = GPT(settings, codec.vocab_size)
        set_weights(model, our_weights(weights, codec.theirs, settings.tie_embeddings))
    except KeyError as error:
        raise ModelError(f"{folder}: not a usable GPT-2 folder: {error} is missing") from error
    except (OSError, ValueError, LookupError, SafetensorError, ModelError) as error:
        raise ModelError(f"{folder}: not a usable GPT-2 folder: {error}") from error
    try_in_child("tokenizers", content)
    return model.eval(), Tokenizer([content], "gpt2")


def gpt_settings(config: dict[str, Any]) -> GPTSettings:
    """Returns the settings of a config.json.

    Raises:
        ModelError: it asks for something that our model does not do.
        KeyError: a size is missing.
    """
    for key, value in FIXED.items():
        if config.get(key, value) != value:
            raise ModelError(f"config.json: {key} is {config[key]!r}, can only be {value!r}")
    activation = config.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        raise ModelError(f"config.json: activation_function {activation!r} is none of {', '.join(ACTIVATIONS)}")
    values = {
        "context": config["n_positions"],
        "layers": config["n_layer"],
        "d_model": config["n_embd"],
        "heads": config["n_head"],
        "d_feedforward": config.get("n_inner"),
        "dropout": config.get("resid_pdrop", 0.1),
        "attention_dropout": config.get("attn_pdrop", 0.1),
        "activation": ACTIVATIONS[activation],
        "tie_embeddings": config.get("tie_word_embeddings", True),
    }
    try:
        return GPTSettings.model_validate(values)
    except ValidationError as error:
        raise ModelError(f"config.json: {error}") from error


def our_weights(theirs: dict[str, Tensor], ids: Sequence[int], tied: bool) -> dict[str, Tensor]:
    """Returns GPT-2's weights by our canonical names and shapes.

    GPT-2 keeps matrices as [inputs, outputs], ours are [outputs, inputs]; its query, key and value are one matrix.

    Args:
        theirs: by their names, with or without `transformer.` in front.
        ids: [V], their id of each of our ids: the rows of embedding and output change places.
        tied: whether the output is the embedding, and a copy of it that stands in the file is passed over.
    """
    ours: dict[str, Tensor] = {}
    for name, value in theirs.items():
        *path, kind = name.removeprefix("transformer.").split(".")
        match path:
            case ["h", _, "attn"]:  # a causal mask, which old files hold
                continue
            case ["lm_head"] if tied:
                continue
            case ["wte" | "lm_head" as table]:
                ours[f"{OUTSIDE[table]}.{kind}"] = value.float()[list(ids)]
            case ["h", layer, "attn", "c_attn"]:
                parts = value.float().t().chunk(3)  # [3D, D] or, of biases, [3D]
                for part, separate in zip(parts, ("query", "key", "value"), strict=True):
                    ours[f"layers.{layer}.self_attention.{separate}.{kind}"] = part
            case ["h", layer, *inside]:
                ours[f"layers.{layer}.{INSIDE.get('.'.join(inside), name)}.{kind}"] = value.float().t()
            case _:
                ours[f"{OUTSIDE.get('.'.join(path), name)}.{kind}"] = value.float()
    return ours


def read_tokenizer(folder: Path) -> bytes:
    """Returns the content of tokenizer.json, made from vocab.json and merges.txt where there is none."""
    path = folder / "tokenizer.json"
    if path.exists():
        return path.read_bytes()
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    return str(library().ByteLevelBPETokenizer(vocabulary, merges).to_str()).encode()


def save_gpt2(output: Path, model: GPT, tokenizer: Tokenizer) -> None:
    """Writes a model folder."""
    values = {
        "task": "language_model",
        "output": str(output),
        "data": {"train": [{"dataset": "unknown"}], "valid": {"share": 0.1}},  # of no use, but a recipe has them
        "tokenizer": {"type": "gpt2"},
        "model": model.settings.model_dump(),
        "train": {"init_from": str(output)},
    }
    with atomic_folder(output) as folder:
        save_model(folder, TrainedGPT(model, tokenizer, LanguageModelSettings.model_validate(values)))


def main() -> None:
    """Reads one folder and writes the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path, help="a new folder")
    given = parser.parse_args()
    try:
        if given.output.exists():
            raise Seq2SeqError(f"{given.output}: exists already")
        save_gpt2(given.output, *import_gpt2(given.folder))
    except Exception as error:
        if (explained := explain_error(error)) is None:
            raise
        message, code = explained
        print(message, file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    main()
