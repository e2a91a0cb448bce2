"""Run folders are read at any age, whole or damaged, of today or of before."""

from pathlib import Path
from typing import Any

import pytest
from run_folders import SIGNATURE, scored_set, text_events, translation_events, write_run

from seq2seq.errors import DataError
from seq2seq.evaluate.runs import NOT_KEPT, Best, duration, metric_name, read_run


def test_a_finished_run(tmp_path: Path) -> None:
    status = {"best_bleu": 40.0, "best_step": 200, "test/bleu": 41.0, "tests": [scored_set("a.en | a.de", 41.0)]}
    data = [{"file": "a.en", "bytes": 1, "sha256": "ab" * 32}, {"file": "a.de", "bytes": 1, "sha256": "cd" * 32}]
    samples = [{"step": 20, "valid/samples": [{"source": "a", "reference": "b", "translation": "c"}]}]
    path = write_run(tmp_path / "run", translation_events(), status, samples, [{"data": data}, "damaged"])  # type: ignore[list-item]
    run = read_run(path)
    assert (run.state, run.step, run.seconds, run.faults) == ("finished", 200, 102.0, [])
    assert run.best() == Best(200, True, {"loss": 1.5, "bleu": 40.0, "chrf": 51.0})
    (score,) = run.tests()
    assert (score.test, score.metric, score.value, score.signature) == ("a.en | a.de en-de", "bleu", 41.0, SIGNATURE)
    assert score.sha256 == f"{'ab' * 8} {'cd' * 8}"
    assert (score.text, score.short) == ("41.00", "a.en | a.de en-de")
    assert run.samples == [(20, "valid", samples[0]["valid/samples"])]
    assert len(run.starts) == 1


def test_scores_of_runs_that_keep_no_signature_say_so(tmp_path: Path) -> None:
    test = {"source": "test.en", "target": "test.de"}
    for sets, prefix in ((test, ""), ([test, {**test, "source": "other.en"}], "mean of 2 sets: ")):
        path = write_run(tmp_path / "run", [], {"test/bleu": 41.0, "test/chrf": "no number"}, data={"test": sets})
        (score,) = read_run(path).tests()
        assert (score.value, score.signature, score.sha256) == (41.0, NOT_KEPT, "")
        assert score.test.startswith(f"{prefix}{tmp_path}/data/test.en | {tmp_path}/data/test.de")


def test_a_language_model_is_best_where_its_loss_is_lowest(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", text_events(), task="language_model"))
    best = run.best()
    assert best and best.step == 100 and not best.average
    assert best.values["loss"] == min(event["valid/loss"] for event in text_events() if "valid/loss" in event)


def test_the_best_value_that_a_resume_has_cut_off_is_told_by_status(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", translation_events()[:-1], {"best_bleu": 45.0, "best_step": 180}))
    assert run.best() == Best(180, True, {"bleu": 45.0})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"state": "running", "step": 0}, "running"),
        ({"state": "failed", "exit_code": 5}, "diverged"),
        ({"state": "failed", "exit_code": 2}, "failed"),
        ({"state": ["hostile"], "step": "x"}, "unknown"),
        ({"state": "finished", "step": -7}, "finished"),
    ],
)
def test_states(tmp_path: Path, status: dict[str, Any], state: str) -> None:
    run = read_run(write_run(tmp_path / "run", translation_events(40)[:-1], status))
    assert (run.state, run.step) == (state, 200 if status.get("step") is None else 40)


def test_numbers_that_are_none_and_lines_that_are_cut_off(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [])
    lines = [
        '{"step": 1, "seconds": 1.0, "train/loss": NaN, "train/learning_rate": 0.1}',
        '{"step": 2, "seconds": 2.0, "train/loss": Infinity, "train/gradient_norm": 1e999}',
        '{"step": 3, "seconds": 3.0, "train/loss": 2.5, "train/other": "text", "train/flag": true}',
        f'{{"step": 4, "train/loss": 1{"0" * 400}}}',
        '{"step": 1' + "0" * 400 + "}",
        '{"step": -1, "train/loss": 1}',
        '{"step": true, "train/loss": 1}',
        '{"step": "5"}',
        "[]",
        "[" * 100_000,
        '{"train/loss": 1.0}',
        "\udcff",
        '{"step": 6, "train/lo',
    ]
    (path / "metrics.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    run = read_run(path)
    assert run.points("train/loss") == [(3, 2.5)]
    assert run.points("train/learning_rate") == [(1, 0.1)]
    assert [event["step"] for event in run.events] == [1, 2, 3, 4]
    assert run.faults == ["metrics.jsonl: 7 lines cannot be read"]  # the last one may be being written


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, '{"starts": 3}', '{"starts": [1, null]}'])
@pytest.mark.parametrize("name", ["status.json", "run.json", "recipe.yaml", "samples.jsonl", "metrics.jsonl"])
def test_damaged_files_are_told_of(tmp_path: Path, name: str, content: str) -> None:
    path = write_run(tmp_path / "run", translation_events(40), samples=[], starts=[])
    (path / name).write_text(content)
    run = read_run(path)
    assert all(fault.startswith(f"{name}: ") for fault in run.faults)
    assert run.faults or content.startswith('{"starts') or name.endswith(".jsonl")
    assert len(run.starts) == 0


@pytest.mark.parametrize("name", ["status.json", "recipe.yaml", "metrics.jsonl"])
def test_a_young_run_has_little(tmp_path: Path, name: str) -> None:
    path = write_run(tmp_path / "run", [])
    for other in path.iterdir():
        if other.name != name:
            other.unlink()
    run = read_run(path)
    assert (run.best(), run.seconds, run.samples) == (None, 0.0, [])
    assert {fault.partition(":")[0] for fault in run.faults} == {"status.json", "recipe.yaml"} - {name}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path, "not a run folder"),
        (tmp_path / "file", "no folder"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(DataError, match=message):
            read_run(path)


@pytest.mark.parametrize(
    ("metric", "name"),
    [("bleu", "BLEU"), ("bleu/en-de", "BLEU en-de"), ("bits_per_byte", "bits per byte"), ("some_thing", "some thing")],
)
def test_names_of_metrics(metric: str, name: str) -> None:
    assert metric_name(metric) == name


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (90061, "25:01:01"), (3.6e15, "1,000,000,000,000:00:00")]
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told
