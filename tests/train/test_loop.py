"""The loop: exact resume, and gradients that do not depend on how a step is cut."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Stop, crash_at, make_pairs
from safetensors.torch import load_file
from torch import Tensor

from seq2seq.config import Settings, load_recipe
from seq2seq.data.pools import Position
from seq2seq.errors import DivergedError, ModelError, RunError
from seq2seq.files import fingerprint, write_json
from seq2seq.train.distributed import Ranks
from seq2seq.train.interruption import Interrupted
from seq2seq.train.loop import Trainer, train
from seq2seq.train.monitor import read_status
from seq2seq.train.update import Updater

CPU = Ranks(torch.device("cpu"))
Write = Callable[..., Path]


def load(path: Path, *overrides: str) -> Settings:
    return load_recipe(path, overrides).settings


def tensors(run: Path, step: int) -> dict[str, Tensor]:
    folder = run / "checkpoints" / f"step-{step:08d}"
    both = load_file(folder / "model.safetensors") | load_file(folder / "optimizer.safetensors")
    return {name: value.clone() for name, value in both.items()}  # what is loaded is still mapped to the file


def events(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[tuple[float, float]]:
    return [(row["step"], row["train/loss"]) for row in events(run) if "train/loss" in row]


def signal_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Sends SIGTERM to this process in the step behind `step`."""
    real = Updater.take

    def interrupted(self: Updater, plan: Any, number: int) -> Any:
        if number == step + 1:
            signal.raise_signal(signal.SIGTERM)
        return real(self, plan, number)

    monkeypatch.setattr(Updater, "take", interrupted)


def test_resumed_equals_never_stopped(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe_file()
    train(load(path, f"output={corpus / 'whole'}"), CPU)
    broken = load(path, f"output={corpus / 'broken'}")
    for step in (13, 17):  # after the checkpoint at 10, between two log events, twice
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            with pytest.raises(Stop):
                train(broken, CPU)
        assert read_status(corpus / "broken")["state"] == "failed"
    train(broken, CPU)
    expected, found = tensors(corpus / "whole", 20), tensors(corpus / "broken", 20)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert losses(corpus / "broken") == losses(corpus / "whole")
    samples = [(corpus / name / "samples.jsonl").read_text() for name in ("whole", "broken")]
    assert samples[0] == samples[1]
    whole = [json.loads(line) for line in samples[0].splitlines()]
    assert [(row["step"], *row) for row in whole] == [(10, "step", "valid/samples"), (20, "step", "valid/samples"),
                                                      (20, "step", "average/samples")]  # fmt: skip
    sources = [[sample["source"] for sample in list(row.values())[1]] for row in whole]
    assert len(sources[0]) == 4 and sources[0] == sources[1] == sources[2]
    assert [step for step, _ in losses(corpus / "whole")] == [3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("streaming", [False, True])
def test_resume_is_exact_with_all_that_varies(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    """Subword sampling, noise, tags, a moving average, R-Drop; and a corpus that is streamed."""
    import datasets

    pairs = [{"text": source, "other": target} for source, target in make_pairs(400)]
    for i in range(2):
        folder = corpus / "data/hub"
        folder.mkdir(exist_ok=True)
        datasets.Dataset.from_list(pairs[i::2]).to_parquet(folder / f"train-0000{i}-of-00002.parquet")
    hub = {"dataset": "hub", "source_column": "text", "target_column": "other", "streaming": streaming}
    back = {"source": "train.de", "target": "train.en", "source_language": "de", "target_language": "en"}
    path = recipe_file(
        data={"train": [hub, back], "tags": True, "noise": {"typing_errors": 0.2, "upper_case": 0.1}},
        tokenizer={"sample_alpha": 0.3},
        train={"ema_decay": 0.9, "r_drop": 1.0, "max_steps": 16, "checkpoint_every": 8, "best_metric": "loss"},
    )
    train(load(path, f"output={corpus / 'whole'}"), CPU)
    broken = load(path, f"output={corpus / 'broken'}")
    with pytest.raises(Stop), monkeypatch.context() as patch:
        crash_at(patch, 13)
        train(broken, CPU)
    train(broken, CPU)
    whole, again = tensors(corpus / "whole", 16), tensors(corpus / "broken", 16)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    whole, again = (load_file(corpus / name / "best/model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    averages = [load_file(corpus / name / "checkpoints/step-00000016/ema.safetensors") for name in ("whole", "broken")]
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])
    assert any(not torch.equal(averages[0][name], tensors(corpus / "whole", 16)[name]) for name in averages[0])
    assert losses(corpus / "broken") == losses(corpus / "whole")


def test_several_micro_batches_a_step_give_the_gradient_of_one(recipe_file: Write) -> None:
    gradients = []
    for device_tokens in (100_000, 64):
        settings = load(recipe_file(model={"dropout": 0.0}), f"train.device_tokens={device_tokens}")
        trainer = Trainer(settings, CPU, None)
        step = next(trainer.data.steps(Position()))
        for i in range(len(step.micro_batches)):
            loss, _ = trainer.model(step.batch(i), 0.1)
            loss.backward()
        gradients.append([p.grad for p in trainer.model.parameters()])
        cut = len(step.micro_batches)
    assert cut > 4
    norm = torch.nn.utils.get_total_norm(gradients[0])
    difference = torch.nn.utils.get_total_norm([a - b for a, b in zip(*gradients, strict=True)])
    assert difference / norm < 1e-6


def test_changed_recipe_is_refused_unless_accepted(recipe_file: Write) -> None:
    path = recipe_file(train={"max_steps": 10})
    train(load(path), CPU)
    changed = load(path, "train.max_steps=20", "train.learning_rate=0.002")
    with pytest.raises(
        RunError, match=r"train.learning_rate: was 0.003, is 0.002\n.*--accept train.max_steps"
    ) as error:
        train(changed, CPU)
    assert error.value.exit_code == 3
    train(changed, CPU, frozenset({"train.max_steps", "train.learning_rate"}))
    assert read_status(Path(changed.output))["step"] == 20


def test_changed_text_is_refused(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file(train={"max_steps": 10})
    train(load(path), CPU)
    with open(corpus / "data/train.en", "a") as source, open(corpus / "data/train.de", "a") as target:
        source.write("one more.\n")
        target.write("MORE ONE!\n")
    longer = load(path, "train.max_steps=12")
    with pytest.raises(RunError, match="the training or validation text is not what it was"):
        train(longer, CPU, frozenset({"train.max_steps"}))


def test_finished_run_is_left_alone(recipe_file: Write, corpus: Path) -> None:
    settings = load(recipe_file())
    train(settings, CPU)
    before = {p: p.stat().st_mtime_ns for p in (corpus / "run").rglob("*.safetensors")}
    train(settings, CPU)
    assert {p: p.stat().st_mtime_ns for p in (corpus / "run").rglob("*.safetensors")} == before
    assert "this run is finished" in (corpus / "run/train.log").read_text()


def test_damaged_checkpoint_is_set_aside(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file()
    train(load(path), CPU)
    expected = tensors(corpus / "run", 20)
    (corpus / "run/status.json").unlink()
    weights = corpus / "run/checkpoints/step-00000020/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    train(load(path), CPU)
    assert (corpus / "run/checkpoints/step-00000020.corrupt").is_dir()
    assert all(torch.equal(expected[name], value) for name, value in tensors(corpus / "run", 20).items())
    for folder in (corpus / "run/checkpoints").iterdir():
        (folder / "model.safetensors").write_bytes(b"")
    for _ in range(2):  # never a silent start from the beginning
        with pytest.raises(ModelError, match="no usable checkpoint is left"):
            train(load(path), CPU)
    assert (corpus / "run/best").exists()


def test_checkpoint_of_another_version_is_left_alone(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file()
    train(load(path), CPU)
    (corpus / "run/status.json").unlink()
    manifest = corpus / "run/checkpoints/step-00000020/MANIFEST.json"
    content = {**json.loads(manifest.read_text()), "format_version": 2}
    del content["digest"]
    write_json(manifest, {**content, "digest": fingerprint(content)})
    with pytest.raises(ModelError, match="has format version 2; this program reads version 1"):
        train(load(path), CPU)
    assert manifest.exists()


def test_run_killed_before_its_first_checkpoint_starts_again(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(train={"validate_every": 2})
    with monkeypatch.context() as patch:
        crash_at(patch, 5)
        with pytest.raises(Stop):
            train(load(path), CPU)
    assert (corpus / "run/best").exists()
    train(load(path), CPU)
    assert [step for step, _ in losses(corpus / "run")] == [3, 6, 9, 12, 15, 18]


def test_finished_run_without_checkpoints_is_left_alone(recipe_file: Write, corpus: Path) -> None:
    import shutil

    path = recipe_file()
    train(load(path), CPU)
    shutil.rmtree(corpus / "run/checkpoints")
    with pytest.raises(ModelError, match="a finished run without its checkpoints"):
        train(load(path), CPU)
    assert (corpus / "run/best/MANIFEST.json").exists()


def test_signal_saves_and_says_how_to_go_on(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe_file()
    with monkeypatch.context() as patch:
        signal_at(patch, 6)
        with pytest.raises(Interrupted, match="SIGTERM"):
            train(load(path), CPU)
    assert read_status(corpus / "run")["state"] == "interrupted"
    assert read_status(corpus / "run")["step"] == 7
    train(load(path), CPU)
    status = read_status(corpus / "run")
    assert (status["state"], status["step"]) == ("finished", 20)


def test_a_signal_does_not_change_the_final_model(
    recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted run's extra checkpoint is not averaged, nor does it push out one that is."""
    more = {"checkpoint_every": 5, "keep_checkpoints": 3, "average_last": 3, "best_metric": "loss"}
    path = recipe_file(train=more)
    train(load(path, f"output={corpus / 'whole'}"), CPU)
    with monkeypatch.context() as patch:
        signal_at(patch, 16)
        with pytest.raises(Interrupted):
            train(load(path, f"output={corpus / 'stopped'}"), CPU)
    assert (corpus / "stopped/checkpoints/step-00000017").exists()
    train(load(path, f"output={corpus / 'stopped'}"), CPU)
    whole, stopped = ([e for e in events(corpus / name) if "average/loss" in e] for name in ("whole", "stopped"))
    assert len(whole) == len(stopped) == 1
    assert whole[0]["average/loss"] == stopped[0]["average/loss"]
    assert sorted(p.name for p in (corpus / "stopped/checkpoints").glob("step-*")) == [
        "step-00000010", "step-00000015", "step-00000020",
    ]  # fmt: skip


def test_what_was_accepted_stays_accepted(recipe_file: Write, corpus: Path) -> None:
    path = recipe_file()
    train(load(path), CPU)
    changed = load(path, "decode.beam_size=3")
    train(changed, CPU, frozenset({"decode.beam_size"}))
    train(changed, CPU)
    assert json.loads((corpus / "run/best/config.json").read_text())["settings"]["decode"]["beam_size"] in (2, 3)
    assert sum("average/loss" in event for event in events(corpus / "run")) == 1


def test_validation_notices_divergence(recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.train.validate import TranslationValidator

    monkeypatch.setattr(TranslationValidator, "loss", lambda *_: float("nan"))
    with pytest.raises(DivergedError, match="validation loss is nan"):
        train(load(recipe_file()), CPU)


def test_divergence_stops_the_run(recipe_file: Write) -> None:
    settings = load(recipe_file(), "train.learning_rate=1e30", "train.schedule=constant", "train.warmup_steps=0")
    with pytest.raises(DivergedError, match="lower train.learning_rate"):
        train(settings, CPU)


def test_patience_and_limits_end_the_run(recipe_file: Write, corpus: Path) -> None:
    cases = {
        "train.patience=1 train.validate_every=1 train.learning_rate=1e-9": "no better bleu in 1 validations",
        "train.max_epochs=1 train.max_steps=1000": "1 epochs done",
        "train.max_minutes=0.001 train.max_steps=1000": "minutes done",
    }
    for number, (overrides, reason) in enumerate(cases.items()):
        output = corpus / f"run{number}"
        train(load(recipe_file(), f"output={output}", *overrides.split()), CPU)
        assert reason in (output / "train.log").read_text()


def test_best_model_follows_its_metric(recipe_file: Write, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss worsens while BLEU rises: by BLEU the last model is kept, by loss the first."""
    from seq2seq.train.validate import TranslationValidator

    for metric, best in (("bleu", 20), ("loss", 5)):
        values = iter([1.0, 2.0, 3.0, 4.0])
        monkeypatch.setattr(TranslationValidator, "loss", lambda *_, values=values: next(values))
        rising = iter([10.0, 20.0, 30.0, 40.0])

        monkeypatch.setattr(TranslationValidator, "scores", lambda *_, r=rising: [{"bleu": next(r), "chrf": 0.0}])
        output = corpus / metric
        settings = load(
            recipe_file(), f"output={output}", f"train.best_metric={metric}", "train.validate_every=5",
            "train.average_last=0",
        )  # fmt: skip
        train(settings, CPU)
        assert read_status(output)["best_step"] == best


def test_bf16_changes_only_rounding(recipe_file: Write, corpus: Path) -> None:
    for precision in ("fp32", "bf16"):
        overrides = [f"train.precision={precision}", f"output={corpus / precision}", "train.average_last=0"]
        train(load(recipe_file(), *overrides), CPU)
    for (_, exact), (_, rounded) in zip(losses(corpus / "fp32"), losses(corpus / "bf16"), strict=True):
        assert rounded == pytest.approx(exact, rel=0.02)
        assert rounded != exact
    assert all(value.dtype == torch.float32 for value in tensors(corpus / "bf16", 20).values())


def test_precision_and_threads_must_stay_for_an_exact_resume(recipe_file: Write) -> None:
    path = recipe_file(train={"max_steps": 10})
    train(load(path), CPU)
    longer = load(path, "train.max_steps=12")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        with pytest.raises(RunError, match=rf"threads: was {threads}, is {threads + 1}\n.*--accept threads"):
            train(longer, CPU, frozenset({"train.max_steps"}))
    finally:
        torch.set_num_threads(threads)
