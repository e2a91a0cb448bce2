"""The same text has the same log-probabilities in transformers' GPT-2 and in what it is turned into."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import text_recipe
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from seq2seq.config import settings_from_dict
from seq2seq.errors import ModelError
from seq2seq.files import verify_manifest
from seq2seq.model.folder import load_gpt
from seq2seq.model.gpt import GPT
from seq2seq.text.ids import EOS
from seq2seq.text.tokenizer import CUT, Tokenizer
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

TOOL = Path(__file__).resolve().parents[2] / "tools/import_gpt2.py"
END = "<|endoftext|>"
TEXT = "The old dog sees the cat.\n\n  Where? À la maison, 家 \U0001f600 õ!"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(TOOL.parent))
    try:
        import import_gpt2
    finally:
        sys.path.remove(str(TOOL.parent))
    return import_gpt2


def write_gpt2(folder: Path, **changes: Any) -> Any:
    """Writes a small GPT-2 with random weights and returns it."""
    bpe = tokenizers.ByteLevelBPETokenizer()
    bpe.train_from_iterator([TEXT] * 3, vocab_size=280, special_tokens=[END], show_progress=False)
    sizes = {"vocab_size": bpe.get_vocab_size(), "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes | changes)).eval()
    torch.manual_seed(1)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, mean=0.5 if parameter.dim() == 1 else 0.0, std=0.3)
    theirs.save_pretrained(folder)
    bpe.save(str(folder / "tokenizer.json"))
    return theirs


@torch.no_grad()
def log_probs(theirs: Any, folder: Path, model: GPT, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Returns ours and theirs of the text, for each of its tokens, then of all tokens that could stand in its place."""
    library = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    end = library.convert_tokens_to_ids(END)
    rows = [EOS, *tokenizer.encode_target([TEXT])[0].tolist()], [end, *library(TEXT)["input_ids"], end]
    ids = [torch.tensor(row) for row in rows]
    logits = model.logits(model.hidden(ids[0][None]))[0], theirs(ids[1][None]).logits[0]
    both = []
    for row, scores in zip(ids, logits, strict=True):
        all_tokens = scores.log_softmax(-1)[:-1]
        both.append(torch.cat([all_tokens.gather(1, row[1:, None]), all_tokens.sort().values], dim=1))
    return both[0], both[1]


@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_word_embeddings": False}, {"n_inner": 24, "activation_function": "relu"}],
)
def test_same_text_same_log_probabilities(tool: ModuleType, tmp_path: Path, changes: dict[str, Any]) -> None:
    theirs = write_gpt2(tmp_path, **changes)
    model, tokenizer = tool.import_gpt2(tmp_path)
    torch.testing.assert_close(*log_probs(theirs, tmp_path, model, tokenizer), atol=1e-5, rtol=1e-5)


def test_old_files_are_read_too(tool: ModuleType, tmp_path: Path) -> None:
    theirs = write_gpt2(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = {name.removeprefix("transformer."): value for name, value in load_file(path).items()}
    mask = torch.ones(1, 1, 64, 64).tril()
    save_file(weights | {"h.0.attn.bias": mask, "h.1.attn.masked_bias": torch.tensor(-1e4)}, path)
    content = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    bpe = json.loads(content)["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(bpe["vocab"]), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in bpe["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (tmp_path / "tokenizer.json").unlink()
    model, tokenizer = tool.import_gpt2(tmp_path)
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    torch.testing.assert_close(*log_probs(theirs, tmp_path, model, tokenizer), atol=1e-5, rtol=1e-5)


def test_the_folder_written_is_read_back(tool: ModuleType, tmp_path: Path) -> None:
    theirs = write_gpt2(tmp_path / "gpt2")
    command = [sys.executable, str(TOOL), str(tmp_path / "gpt2"), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verify_manifest(tmp_path / "model")
    found = load_gpt(tmp_path / "model")
    expected = log_probs(theirs, tmp_path / "gpt2", found.model, found.tokenizer)
    torch.testing.assert_close(*expected, atol=1e-5, rtol=1e-5)
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_training_goes_on_from_an_imported_model(tool: ModuleType, tmp_path: Path) -> None:
    theirs = write_gpt2(tmp_path / "gpt2")
    tool.save_gpt2(tmp_path / "model", *tool.import_gpt2(tmp_path / "gpt2"))
    model = {"context": 64, "layers": 2, "d_model": 16, "heads": 4, "attention_dropout": 0.1}
    steps = {"init_from": str(tmp_path / "model"), "max_steps": 2, "average_last": 0, "learning_rate": 1e-9}
    recipe = text_recipe(tmp_path, model=model, tokenizer={"type": "gpt2"}, train=steps)
    train(settings_from_dict({**recipe, "model": model}, "test"), Ranks(torch.device("cpu")))
    tuned = load_gpt(tmp_path / "run/best")
    close = log_probs(theirs, tmp_path / "gpt2", tuned.model, tuned.tokenizer)
    torch.testing.assert_close(*close, atol=1e-3, rtol=1e-3)


def test_long_text_has_the_tokens_of_the_whole(tool: ModuleType, tmp_path: Path) -> None:
    write_gpt2(tmp_path)
    _, tokenizer = tool.import_gpt2(tmp_path)
    text = "".join(f"{TEXT}{' ' * (i % 3)}\n{chr(10) * (i % 4)}{' ' * (i % 2)}the dog\r\n\tsees" for i in range(50))
    assert len(CUT.split(text)) > 30
    (ids,), (whole,) = tokenizer.encode_texts([text]), tokenizer.encode_target([text])
    assert ids.tolist() == whole.tolist()
    assert tokenizer.decode_text(ids[:-1]) == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt_neo"}, "model_type is 'gpt_neo', can only be 'gpt2'"),
        ({"activation_function": "tanh"}, "'tanh' is none of gelu_new"),
        ({"n_head": 3}, r"heads \(3\) must divide d_model \(16\)"),
        ({"vocab_size": 300}, "the tokenizer has 280 ids, the model 300"),
        ({"n_layer": 3}, "weight layers.2.*: missing"),
        ({"n_layer": None}, "not a usable GPT-2 folder: 'n_layer'"),
    ],
)
def test_what_does_not_fit_is_named(tool: ModuleType, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_gpt2(tmp_path)
    path = tmp_path / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        tool.import_gpt2(tmp_path)
