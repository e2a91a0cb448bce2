"""Language models in the loop: exact resume, exact validation, and what each part is trained on."""

import gc
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Stop, crash_at, make_text, text_recipe
from safetensors.torch import load_file

from seq2seq.config import LanguageModelSettings, Settings, settings_from_dict
from seq2seq.data.pools import Position
from seq2seq.errors import ModelError, RecipeError, RunError
from seq2seq.model.folder import TrainedGPT, load_gpt, load_model
from seq2seq.text.ids import EOS
from seq2seq.train.distributed import Ranks
from seq2seq.train.language_model import LONGEST, LanguageModelTask, _lines
from seq2seq.train.loop import Trainer, train
from seq2seq.train.perplexity import TextValidator

CPU = Ranks(torch.device("cpu"))


class Memory:
    """Documents in memory."""

    name, weight, fingerprint = "memory", 1.0, "hash"

    def __init__(self, documents: list[str]) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[str]:
        return iter(self.documents)


def settings(folder: Path, output: str = "run", **sections: dict[str, Any]) -> LanguageModelSettings:
    recipe = {**text_recipe(folder, **sections), "output": str(folder / output)}
    found: Settings = settings_from_dict(recipe, "test")
    assert isinstance(found, LanguageModelSettings)
    return found


def events(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def write_stream(folder: Path) -> dict[str, Any]:
    """Documents in two files of a local dataset; returns the data section that streams them."""
    import datasets

    (folder / "data/hub").mkdir(parents=True)
    rows = [{"text": make_text(3, seed=i)} for i in range(120)]
    for i in range(2):
        datasets.Dataset.from_list(rows[i::2]).to_parquet(folder / f"data/hub/train-0000{i}-of-00002.parquet")
    (folder / "data/valid.txt").write_text(make_text(20, seed=999))
    more = {"text": "train.txt", "documents": "lines", "weight": 0.5}
    return {"train": [{"dataset": "hub", "streaming": True}, more], "valid": {"text": "valid.txt"}}


@pytest.mark.parametrize("streaming", [False, True])
def test_resumed_equals_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    from seq2seq.data import blocks
    from seq2seq.text import tokenizer

    monkeypatch.setattr(blocks, "POOL_TOKENS", 700)
    monkeypatch.setattr(blocks, "POOL_STEPS", 4)
    monkeypatch.setattr(tokenizer, "GROUP", 200)
    sections: dict[str, Any] = {"train": {"ema_decay": 0.9, "checkpoint_every": 5}}
    if streaming:
        sections["data"] = write_stream(tmp_path)
    train(settings(tmp_path, "whole", **sections), CPU)
    broken = settings(tmp_path, "broken", **sections)
    for step in (8, 17):
        with pytest.raises(Stop), monkeypatch.context() as patch:
            crash_at(patch, step)
            train(broken, CPU)
    train(broken, CPU)
    for file in ("model", "optimizer", "ema"):
        name = f"checkpoints/step-00000020/{file}.safetensors"
        whole, again = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert whole.keys() == again.keys()
        assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert events(tmp_path / "whole") == events(tmp_path / "broken")
    state = json.loads((tmp_path / "broken/checkpoints/step-00000020/state.json").read_text())
    assert (state["progress"]["position"]["pool"] > 1) == streaming


def test_a_stream_is_closed_when_training_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def watched(*args: Any) -> Any:
        opened.append(open(*args))  # noqa: SIM115
        return opened[-1]

    sections = {"data": write_stream(tmp_path), "tokenizer": {"type": "bytes"}, "train": {"max_steps": 3}}
    monkeypatch.setattr("datasets.utils.file_utils.xopen", watched)
    gc.disable()  # nothing may wait for it
    try:
        train(settings(tmp_path, "whole", **sections), CPU)
        assert len(opened) > 1
        assert all(file.closed for file in opened)
        opened.clear()
        with pytest.raises(Stop), monkeypatch.context() as patch:
            crash_at(patch, 1)
            train(settings(tmp_path, "broken", **sections), CPU)
        assert len(opened) > 1
        assert all(file.closed for file in opened)
    finally:
        gc.enable()


def test_cutting_a_step_does_not_change_its_gradient(tmp_path: Path) -> None:
    gradients = []
    for device_tokens in (1000, 16):
        changed = settings(tmp_path, model={"dropout": 0.0}, train={"device_tokens": device_tokens})
        trainer = Trainer(changed, CPU, None)
        step = next(iter(trainer.data.steps(Position())))
        for i in range(len(step.micro_batches)):
            trainer.task.loss(step.batch(i)).backward()
        gradients.append([p.grad for p in trainer.model.parameters() if p.grad is not None])
        cut = len(step.micro_batches)
    assert cut == 10
    norm = torch.nn.utils.get_total_norm(gradients[0])
    difference = torch.nn.utils.get_total_norm([a - b for a, b in zip(*gradients, strict=True)])
    assert difference / norm < 1e-6


@pytest.mark.parametrize("device_tokens", [16, 1000])
def test_validation_is_the_mean_over_all_tokens(tmp_path: Path, device_tokens: int) -> None:
    trainer = Trainer(settings(tmp_path, train={"device_tokens": device_tokens}), CPU, None)
    assert isinstance(trainer.trained, TrainedGPT)
    text = make_text(300)
    last = text[int(0.9 * len(text)) :]
    ids = [EOS, *trainer.trained.tokenizer.encode_texts([last])[0].tolist()]
    nats, model = 0.0, trainer.trained.model.eval()
    with torch.no_grad():
        for i in range(1, len(ids)):
            window = ids[(i - 1) // 16 * 16 : i]  # side by side: each begins where the one before has ended
            log_probs = F.log_softmax(model.logits(model.hidden(torch.tensor([window])))[0, -1], dim=-1)
            nats -= float(log_probs[ids[i]])
    found = trainer.validator.measure()
    values = found.values()
    assert values["loss"] == pytest.approx(nats / (len(ids) - 1), rel=1e-6)
    assert values["perplexity"] == pytest.approx(math.exp(values["loss"]))
    assert values["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(last.encode()), rel=1e-6)
    assert len(found.samples) == 1
    assert found.samples[0]["prompt"].startswith(last[:3])
    assert found.samples == trainer.validator.measure().samples


@pytest.mark.parametrize("device_tokens", [16, 40, 1000])
def test_validation_over_several_texts(tmp_path: Path, device_tokens: int) -> None:
    """Some are shorter than a window, and each has a last window that is."""
    texts = [make_text(40, seed=size)[:size] for size in (200, 5, 1, 131)]
    text_recipe(tmp_path)
    for i, text in enumerate(texts):
        (tmp_path / f"data/{i}.txt").write_text(text)
    valid = [{"text": f"{i}.txt"} for i in range(len(texts))]
    more = {"data": {"valid": valid}, "tokenizer": {"type": "bytes"}}
    trainer = Trainer(settings(tmp_path, **more, train={"device_tokens": device_tokens, "valid_samples": 9}), CPU, None)
    validator = trainer.validator
    assert isinstance(validator, TextValidator)
    nats, model = 0.0, validator.trained.model.eval()
    with torch.no_grad():
        for text in texts:
            ids = [EOS, *validator.trained.tokenizer.encode_texts([text])[0].tolist()]
            for start in range(0, len(ids) - 1, 16):
                window = torch.tensor([ids[start : start + 17]])
                log_probs = F.log_softmax(model.logits(model.hidden(window[:, :-1])), dim=-1)
                nats -= float(log_probs.gather(2, window[:, 1:, None]).sum())
    n_bytes = sum(map(len, texts))
    found = validator.measure()
    assert found.scores.loss == pytest.approx(nats / (n_bytes + len(texts)), rel=1e-6)
    assert found.scores.bits_per_byte == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-6)
    assert len(found.samples) == 9
    assert found.samples[0]["prompt"].startswith(texts[0][:3])
    assert found.samples[8]["prompt"].startswith(
        texts[3][91:95]
    )  # 8/9 of all places, of which each text has 4 less than tokens


def test_what_is_tested_is_neither_sampled_nor_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(settings(tmp_path), CPU, None)
    monkeypatch.setattr("seq2seq.train.perplexity.written", lambda *_: pytest.fail("written"))
    assert set(trainer.validator.test().values) == {"loss", "perplexity", "bits_per_byte"}


def test_nothing_is_trained_on_the_validation_text(tmp_path: Path) -> None:
    text_recipe(tmp_path)
    (tmp_path / "data/other.txt").write_text("abc" * 300 + "xyz" * 33 + "x")
    task = LanguageModelTask(settings(tmp_path, data={"train": [{"text": "other.txt"}]}), None)
    assert task.tokenizer.target_vocab_size == 4 + 3
    assert [store.counts["bytes"] for store in (*task.stores, *task.valid)] == [900, 100]


def test_a_run_reports_tests_and_says_what_it_is(tmp_path: Path) -> None:
    text_recipe(tmp_path)
    (tmp_path / "data/test.txt").write_text(make_text(20, seed=5))
    changed = settings(tmp_path, data={"test": {"text": "test.txt"}})
    train(changed, CPU)
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert status["state"] == "finished"
    (tested,) = status["tests"]
    assert tested["name"].endswith("data/test.txt")
    for name, unit in (("loss", "nats per token"), ("perplexity", "per token"), ("bits_per_byte", "bits per UTF-8")):
        assert tested["metrics"][name]["score"] == status[f"test/{name}"]
        assert tested["metrics"][name]["signature"].startswith(unit)
    assert status["best_loss"] == min(
        row.get(f"{w}/loss", 99) for row in events(tmp_path / "run") for w in ("valid", "average")
    )
    assert load_gpt(tmp_path / "run/best").settings == changed
    with pytest.raises(ModelError, match="is a language model"):
        load_model(tmp_path / "run/best")


def test_bytes_are_not_learnt_from_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = []
    monkeypatch.setattr("seq2seq.train.prepare.log.info", lambda message, *values: log.append(message % values))
    characters = LanguageModelTask(settings(tmp_path, tokenizer={"vocab_size": 30}), None)
    assert log == ["training the tokenizer (characters, at most 30 tokens)"]
    assert characters.vocabulary() == str(characters.tokenizer.target_vocab_size)
    monkeypatch.setattr("seq2seq.train.language_model._lines", lambda _: pytest.fail("read"))
    task = LanguageModelTask(settings(tmp_path, tokenizer={"type": "bytes"}), None)
    assert task.tokenizer.target_vocab_size == 260
    assert len(log) == 1


def test_long_lines_are_cut_for_the_tokenizer(tmp_path: Path) -> None:
    words = [f"{word}{i % 10}" for i, word in enumerate(make_text(1000, seed=3).split())]
    text = "\n" + " ".join(words) + "\n\n" + "x" * 25_000 + "\n" + "end " * 3000 + "end"
    found = list(_lines([Memory([text, "", "more"])]))
    assert "".join(found) == text + "more"
    assert max(map(len, found)) == LONGEST
    assert [line for line in found if line.startswith("x")] == ["x" * 10_000, "x" * 10_000, "x" * 5_000 + "\n"]
    assert all(line.startswith(" ") for line in found[2 : found.index("\n", 2)])
    assert found[-1] == "more"
    files = {"train": [{"text": "train.txt"}], "valid": {"text": "valid.txt"}}
    changed = settings(tmp_path, data=files, tokenizer={"type": "sentencepiece", "vocab_size": 300})
    (tmp_path / "data/train.txt").write_text(" ".join(words * 8))  # SentencePiece itself leaves out lines so long
    (tmp_path / "data/valid.txt").write_text(make_text(5))
    task = LanguageModelTask(changed, None)
    assert task.tokenizer.target_vocab_size == 300
    assert [name.split()[0] for name, _ in task.facts()] == ["corpus", "validation"]


def test_fine_tuning_takes_weights_and_tokenizer_along(tmp_path: Path) -> None:
    train(settings(tmp_path), CPU)
    before = load_gpt(tmp_path / "run/best")
    (tmp_path / "data/other.txt").write_text(make_text(100, seed=7))
    more = {"init_from": str(tmp_path / "run"), "freeze": ["*embedding*"], "max_steps": 3, "average_last": 0}
    tuned = settings(tmp_path, "tuned", data={"train": [{"text": "other.txt"}]}, train=more)
    train(tuned, CPU)
    after = load_gpt(tmp_path / "tuned/best")
    assert after.tokenizer.hash() == before.tokenizer.hash()
    assert torch.equal(after.model.token_embedding.weight, before.model.token_embedding.weight)
    changed = (a - b for a, b in zip(after.model.parameters(), before.model.parameters(), strict=True))
    assert max(float(difference.detach().abs().max()) for difference in changed) > 0


def test_models_of_another_task_are_no_start(tmp_path: Path, corpus: Path) -> None:
    from conftest import tiny_recipe

    train(settings(tmp_path), CPU)
    recipe = tiny_recipe(corpus, train={"init_from": str(tmp_path / "run")})
    with pytest.raises(RecipeError, match="is a model for task language_model"):
        train(settings_from_dict({**recipe, "output": str(tmp_path / "other")}, "test"), CPU)


def test_changed_text_is_refused(tmp_path: Path) -> None:
    train(settings(tmp_path), CPU)
    longer = settings(tmp_path, train={"max_steps": 22})
    (tmp_path / "data/train.txt").write_text(make_text(301))
    with pytest.raises(RunError, match="the training or validation text is not what it was"):
        train(longer, CPU, frozenset({"train.max_steps"}))
