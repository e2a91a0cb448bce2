"""Model folders from strangers: one clean error, before memory is taken and before anything is believed."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from seq2seq.config import GPTSettings
from seq2seq.errors import ModelError
from seq2seq.files import (
    LARGEST_HEAD,
    LARGEST_JSON,
    MANIFEST,
    atomic_folder,
    read_json,
    verify_manifest,
    write_manifest,
)
from seq2seq.model.folder import (
    TrainedGPT,
    TrainedModel,
    build_model,
    load_any,
    load_gpt,
    load_model,
    save_model,
)
from seq2seq.model.gpt import GPT
from seq2seq.text import foreign
from seq2seq.text.foreign import try_in_child
from seq2seq.text.shortlist import SHORTLIST
from seq2seq.text.tokenizer import Tokenizer
from seq2seq.train.checkpoint import newest_checkpoint

STORED = Path(__file__).parents[1] / "fixtures/format_1"
TRANSLATION, LANGUAGE_MODEL = STORED / "translation/checkpoints/step-00004000", STORED / "language_model/best"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(TRANSLATION, tmp_path / "model")


def refusal(folder: Path) -> str:
    """What loading the folder says, with a manifest that fits it: anybody can write one."""
    (folder / MANIFEST).unlink(missing_ok=True)
    write_manifest(folder)
    with pytest.raises(ModelError) as caught:
        load_any(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message.strip() and len(message) < 1000
    return message


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "tokenizer/../../outside", "a//b", ".", "", "\x1b[2J", "a\n", "x" * 300]
)
def test_no_file_outside_the_folder_is_named(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_text("secret")
    manifest = read_json(folder / MANIFEST)
    manifest["files"] = {name: {"bytes": 6, "sha256": "0" * 64}}
    del manifest["digest"]
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    with pytest.raises(ModelError, match="no name of a file in this folder"):
        verify_manifest(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("{" + " " * LARGEST_JSON + "}", "more than the 1,048,576 that such a file may have"),
        ("[]", "should be a valid dictionary"),
        ('{"settings": {}}', "settings_hash: Field required"),
        ("\x00", "Expecting value"),
        ("many corpora", "holds more than 20,000 values"),
    ],
)
def test_json_that_is_not_ours(folder: Path, text: str, says: str) -> None:
    if text == "many corpora":
        config = read_json(folder / "config.json")
        config["settings"]["data"]["train"] = [[]] * 250_000
        text = json.dumps(config)
    (folder / "config.json").write_text(text)
    assert re.search(says, refusal(folder))


@pytest.mark.parametrize("number", ["1e999", "-1", '"many"', "1.5", "null"])
def test_numbers_that_are_none(folder: Path, number: str) -> None:
    text = (folder / "config.json").read_text()
    longest = f'"max_source_length": {json.loads(text)["max_source_length"]}'
    assert longest in text
    (folder / "config.json").write_text(text.replace(longest, f'"max_source_length": {number}'))
    assert re.search("max_source_length: Input should be", refusal(folder))


@pytest.mark.parametrize(
    ("stored", "sizes", "says"),
    [
        (TRANSLATION, {"layers": 10**9}, "too few for 2,000,000,000 layers"),
        (TRANSLATION, {"decoder_layers": 10**9}, "too few for 1,000,000,001 layers"),
        (LANGUAGE_MODEL, {"layers": 10**9}, "too few for 1,000,000,000 layers"),
        (TRANSLATION, {"d_model": 2 * 10**18, "heads": 1}, "no model has these sizes|must have"),
        (TRANSLATION, {"d_feedforward": 10**12}, "must have"),
        (TRANSLATION, {"d_model": 96}, "must have"),
        (LANGUAGE_MODEL, {"d_feedforward": 10**30}, "no model has these sizes"),
    ],
)
def test_sizes_are_compared_before_a_model_is_built(
    tmp_path: Path, stored: Path, sizes: dict[str, int], says: str
) -> None:
    folder = shutil.copytree(stored, tmp_path / "model")
    config = read_json(folder / "config.json")
    config["settings"]["model"].update(sizes)
    change(folder / "config.json", settings=config["settings"])
    assert re.search(says, refusal(folder))


def test_many_names_do_not_make_many_layers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_json(folder / "config.json")
    config["settings"]["model"].update(encoder_layers=1, decoder_layers=30_000)
    change(folder / "config.json", settings=config["settings"])
    head = {f"{i:x}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(32_000)}
    content = json.dumps(head, separators=(",", ":")).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content)
    built = []
    monkeypatch.setattr("seq2seq.model.folder.build_model", lambda settings, tokenizer: built.append(settings.model) or
                        build_model(settings, tokenizer))  # fmt: skip
    assert re.search("holds 32000 weights, too few for 30,001 layers", refusal(folder))
    assert [model.stacks for model in built] == [(1, 1)]


@pytest.mark.parametrize("sizes", [{"encoder_layers": 3, "decoder_layers": 2}, {"layers": 2, "norm": "pre"}])
def test_models_of_several_layers_are_loaded(tmp_path: Path, sizes: dict[str, Any]) -> None:
    stored = load_model(TRANSLATION)
    settings = stored.settings.model_copy(update={"model": stored.settings.model.model_copy(update=sizes)})
    model = build_model(settings, stored.tokenizer)
    with atomic_folder(tmp_path / "model") as temporary:
        save_model(temporary, TrainedModel(model, stored.tokenizer, settings, 50))
    again = load_model(tmp_path / "model").model
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("sizes", [{"layers": 0}, {"layers": 3, "d_feedforward": 0}])
def test_language_models_of_any_number_of_layers_are_loaded(tmp_path: Path, sizes: dict[str, Any]) -> None:
    stored = load_gpt(LANGUAGE_MODEL)
    settings = stored.settings.model_copy(update={"model": stored.settings.model.model_copy(update=sizes)})
    model = build_model(settings, stored.tokenizer)
    with atomic_folder(tmp_path / "model") as temporary:
        save_model(temporary, TrainedGPT(model, stored.tokenizer, settings))
    again = load_gpt(tmp_path / "model").model
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E8M0", 1), ("F64", 8), ("U8", 1)])
def test_a_shortlist_of_other_numbers(folder: Path, dtype: str, size: int) -> None:
    names = ("frequent", "offsets", "targets")
    head = {name: {"dtype": dtype, "shape": [1], "data_offsets": [i * size, i * size + size]}
            for i, name in enumerate(names)}  # fmt: skip
    content = json.dumps(head).encode()
    (folder / SHORTLIST).write_bytes(struct.pack("<Q", len(content)) + content + bytes(size * len(names)))
    assert re.search("make it anew with seq2seq-shortlist", refusal(folder))


@pytest.mark.parametrize(
    ("stored", "limit", "says"),
    [
        (TRANSLATION, {"max_length_ratio": 1e300, "min_length": 10**15}, "decode.max_length_ratio: is 1e"),
        (LANGUAGE_MODEL, {"max_new_tokens": 10**15}, "decode.max_new_tokens: is 1000"),
    ],
)
def test_output_has_an_end(tmp_path: Path, stored: Path, limit: dict[str, Any], says: str) -> None:
    folder = shutil.copytree(stored, tmp_path / "model")
    config = read_json(folder / "config.json")
    config["settings"]["decode"].update(limit)
    change(folder / "config.json", settings=config["settings"])
    assert re.search(says, refusal(folder))


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_a_table_of_positions_is_as_large_as_what_is_read(positions: Literal["sinusoidal", "rotary"]) -> None:
    sizes = {"layers": 1, "d_model": 8, "heads": 2, "d_feedforward": 8}
    model = GPT(GPTSettings.model_validate({**sizes, "context": 10**12, "positions": positions}), 10)  # no weight of it
    assert model.hidden(torch.ones(1, 600, dtype=torch.long)).shape == (1, 600, 8)
    assert len(model.sinusoids.table) < 2000


Tensors = dict[str, torch.Tensor]


@pytest.mark.parametrize(
    ("disturb", "says"),
    [
        (lambda name, weights: weights | {name: weights[name].half()}, "has dtype F16, must have F32"),
        (lambda name, weights: weights | {name: weights[name].double()}, "has dtype F64, must have F32"),
        (lambda name, weights: weights | {name: weights[name][:-1].clone()}, "has shape .* must have"),
        (lambda name, weights: weights | {"more": torch.ones(3)}, "more: not part of this model"),
        (lambda name, weights: {key: value for key, value in weights.items() if key != name}, "missing"),
        (lambda name, weights: weights | {name: weights[name].clone().fill_(torch.nan)}, "not finite"),
        (lambda name, weights: weights | {name: weights[name].clone().index_fill_(0, torch.tensor(1), -torch.inf)},
         "not finite"),
    ],
)  # fmt: skip
def test_weights_that_are_not_the_models(folder: Path, disturb: Callable[[str, Tensors], Tensors], says: str) -> None:
    weights = load_file(folder / "model.safetensors")
    name = max(weights, key=lambda each: weights[each].numel())
    save_file(disturb(name, {key: value.clone() for key, value in weights.items()}), folder / "model.safetensors")
    assert re.search(f"model.safetensors: .*{says}", refusal(folder))


@pytest.mark.parametrize("size", [LARGEST_HEAD + 1, 2**63])
def test_a_head_that_is_too_large_is_not_read(folder: Path, size: int) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", size) + b"{" + b" " * 100)
    assert re.search("its head has .* bytes, more than", refusal(folder))


def test_an_optimizer_of_another_model(tmp_path: Path) -> None:
    from seq2seq.train.optimizer import build_optimizer, set_optimizer_tensors

    trained = load_any(TRANSLATION)
    optimizer = build_optimizer(trained.model, trained.settings.train)
    name = next(name for name, _ in trained.model.named_parameters())
    for tensors in ({"x/step": torch.ones(())}, {f"{name}/exp_avg": torch.ones(3)}, {f"{name}/step": torch.ones(3)},
                    {f"{name}/hook": torch.ones(())}, {"step": torch.ones(())}):  # fmt: skip
        with pytest.raises(ModelError, match="not part of this model's optimizer"):
            set_optimizer_tensors(trained.model, optimizer, tensors)
    assert not optimizer.state


@pytest.mark.parametrize(
    "progress",
    [
        {"step": "many"}, {"step": 1e400}, {"step": -1}, {"step": 10**30}, {"unknown": 1}, None, {"position": [1]},
        {"position": {"epoch": 0, "pool": -1}}, {"position": {"epoch": 10**30}}, {"position": {"rows": [[0, -1]]}},
    ],
)  # fmt: skip
def test_a_state_that_is_not_ours(tmp_path: Path, progress: object) -> None:
    run = tmp_path / "run"
    folder = shutil.copytree(TRANSLATION, run / "checkpoints/step-00004000")
    state = read_json(folder / "state.json")
    merged = {**state["progress"], **progress} if isinstance(progress, dict) else progress
    change(folder / "state.json", progress=merged)
    (folder / MANIFEST).unlink()
    write_manifest(folder)
    with pytest.raises(ModelError, match="not of this program's making"):
        newest_checkpoint(run)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"type": "pickle"}, "not a usable tokenizer"),
        ({"models": ["../config.json"]}, "models must be"),
        ({"models": ["shared.model", "shared.model"]}, "models must be"),
        ({"models": "shared.model"}, "models must be"),
        ({"type": "characters", "models": ["characters.txt"]}, "not a usable tokenizer"),
        ({"languages": ["de"]}, "is not the tag of de"),
        ({"lossless": True}, "do not match the hash"),
    ],
)
def test_a_tokenizer_that_is_not_what_it_says(folder: Path, values: dict[str, Any], says: str) -> None:
    change(folder / "tokenizer/tokenizer.json", **values)
    assert re.search(says, refusal(folder))


def test_a_tokenizer_that_is_too_large_is_not_read(folder: Path) -> None:
    with open(folder / "tokenizer/shared.model", "r+b") as file:
        file.truncate(2**25 + 1)
    assert re.search("more than the 33,554,432 that such a file may have", refusal(folder))


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "sentencepiece crashed on it: SIGSEGV"),
        ("import os; os.abort()", "sentencepiece crashed on it: SIGABRT"),
        ("import time; time.sleep(60)", "did not come to an end with it in 1 s"),
        ("raise RuntimeError('no such thing')", "does not take it: RuntimeError: no such thing"),
        ("import sys; sys.exit(3)", "does not take it: exit 3"),
    ],
)
def test_a_crash_of_a_library_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, program: str, says: str
) -> None:
    path = folder.parent / "child.py"
    path.write_text(program)
    monkeypatch.setattr(foreign, "PROGRAM", path)
    monkeypatch.setattr(foreign, "SECONDS", 1.0 if "sleep" in program else 30.0)
    monkeypatch.setattr(foreign, "_tried", set())
    assert re.search(says, refusal(folder))


def test_the_child_stands_whole_files_and_tells_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_tried", set())
    content = (TRANSLATION / "tokenizer/shared.model").read_bytes()
    try_in_child("sentencepiece", content)
    for wrong in (b"", b"\xff" * 100, content[: len(content) // 2]):
        with pytest.raises(ModelError, match="sentencepiece does not take it|crashed"):
            try_in_child("sentencepiece", wrong)
    monkeypatch.setattr(foreign, "PROGRAM", "/nowhere")  # what has been stood is not tried again
    try_in_child("sentencepiece", content)
    assert Tokenizer.load(TRANSLATION / "tokenizer").source_vocab_size == 300


def test_the_child_may_not_take_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = (foreign.PROGRAM).read_text().partition("def texts")[0]
    hungry = tmp_path / "child.py"
    hungry.write_text(limit + "\nlimit(1000)\nx = bytearray(200 * 2**20)\n")
    monkeypatch.setattr(foreign, "PROGRAM", hungry)
    with pytest.raises(ModelError, match="does not take it: MemoryError"):
        try_in_child("sentencepiece", b"content")
