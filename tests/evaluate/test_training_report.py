"""The report on a training: at any age of the run, all text escaped, and in a browser as on paper."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import look, needs_chromium, opened
from run_folders import Events, scored_set, text_events, translation_events, write_run

from seq2seq.evaluate.runs import read_run
from seq2seq.evaluate.training_report import TIMES, TrainingReport, make_training_report, render_training_report

HOSTILE = "<script>alert(1)</script></style>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\u202e"
SAMPLE = {"source": "a dog", "reference": "ein Hund", "translation": "der Hund"}


def made(path: Path) -> TrainingReport:
    return make_training_report(read_run(path))


def page_of(path: Path, command: str = "seq2seq-report runs/x") -> str:
    return render_training_report(made(path), command)


def samples(n: int, **more: str) -> Events:
    return [
        {"step": 20 * i, "valid/samples": [{**SAMPLE, **more}, {**SAMPLE, "source": "two"}]} for i in range(1, n + 1)
    ]


START = {
    "time": "2026-01-02T03:00:00+00:00",
    "step": 0,
    "command": ["seq2seq-train", "my recipe.yaml"],
    "conditions": {"precision": "bf16", "threads": 2},
    "ranks": 1,
    "device": "a processor",
    "versions": {"python": "3.11", "torch": "2.13"},
    "git": {"commit": "c0ffee", "changed": ["x.py"]},
    "data": [{"file": "train.en", "bytes": 7, "sha256": "ab" * 32}],
}


def test_a_finished_run_in_words(tmp_path: Path) -> None:
    status = {"tests": [scored_set("data/test.en | data/test.de", 41.234)]}
    path = write_run(tmp_path / "run", translation_events(), status, samples(3), [START])
    report = made(path)
    text = " ".join(report.summary)
    assert "A translation model from en to de (1 and 1 layers of width 32), trained on train.en | train.de" in text
    assert "for 200 steps in 0:01:42." in text
    assert "by BLEU is that of the average of the last checkpoints after step 200: loss 1.5000, BLEU 40.00" in text
    assert "On the test set test.en | test.de en-de it reaches BLEU 41.23." in text
    assert text.endswith("The run finished on 2026-01-02 03:04 UTC.")
    assert report.warnings == []
    assert [chart.title for chart in report.charts] == [
        "Loss", "BLEU", "chrF", "Learning rate", "Speed", "Gradient norm",
    ]  # fmt: skip
    loss = report.charts[0]
    assert [line.name for line in loss.lines] == ["training", "validation", "average of the last checkpoints"]
    assert [len(line.dots) for line in loss.lines] == [0, 0, 1]
    assert report.charts[1].mark and report.charts[1].mark[2] == "best: 40.00, step 200"
    assert [history.given["source"] for history in report.histories] == ["a dog", "two"]
    assert [when for when, _ in report.histories[0].rows] == ["step 20", "step 40", "step 60"]
    assert ("model.layers", "1", "6") in report.chosen
    assert ("data.source_language", "en", "required") in report.chosen
    page = page_of(path)
    for told in ("my recipe.yaml", "c0ffee with changes of its own (code-1.diff)", "torch 2.13", "ab" * 32, "nrefs:1|"):
        assert told in page


def test_a_language_model_in_words(tmp_path: Path) -> None:
    texts = [{"step": 10, "valid/samples": [{"prompt": "It was", "text": " a dog"}]}]
    report = made(write_run(tmp_path / "run", text_events(), {"step": 100}, texts, task="language_model"))
    assert report.summary[0].startswith("A language model on characters (1 layers of width 32), trained on train.txt")
    assert [chart.title for chart in report.charts] == ["Loss", "Perplexity", "Bits per byte", "Learning rate"]
    assert report.histories[0].given == {"prompt": "It was"}
    assert report.histories[0].rows == [("step 10", " a dog")]


def test_a_very_young_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [], {"state": "running", "step": 0})
    (path / "metrics.jsonl").unlink()
    report = made(path)
    assert "There is no validation yet; the first one is due after step 10 (train.validate_every)." in report.summary
    assert report.summary[-1].startswith("The run has been running since 2026-01-02 03:04 UTC, as status.json has it")
    assert report.charts == [] and report.warnings == []
    page = page_of(path)
    for told in ("There are no numbers yet", "There is no validation yet.", "There is no best model yet.",
                 "The run keeps no samples yet"):  # fmt: skip
        assert told in page


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"state": "interrupted"}, "was interrupted after step 200 on"),
        (
            {"state": "failed", "error": "full disk", "exit_code": 2},
            "failed after step 200 on 2026-01-02 03:04 UTC: full",
        ),
        ({"state": "failed", "error": "no number", "exit_code": 5}, "diverged after step 200 on"),
        ({"state": "finished", "time": "never"}, "finished on an unknown day"),
        ({"state": 7}, "No status.json says how the run stands."),
    ],
)
def test_how_a_run_stands(tmp_path: Path, status: dict[str, Any], told: str) -> None:
    report = made(write_run(tmp_path / "run", translation_events(), status))
    assert told in report.summary[-1]
    assert [warning for warning in report.warnings if status.get("error", "-") in warning] or "error" not in status


def test_a_run_that_says_nothing_for_long_is_told_of(tmp_path: Path) -> None:
    import os

    path = write_run(tmp_path / "run", translation_events(), {"state": "running"})
    assert made(path).warnings == []
    for file in path.iterdir():
        os.utime(file, (1e9, 1e9))
    (warning,) = made(path).warnings
    assert warning == "The run is told to be running, but its files have not changed since 2001-09-09 01:46 UTC."


def test_losses_that_are_no_numbers(tmp_path: Path) -> None:
    """Training leaves them out of metrics.jsonl; the curve is broken there."""
    events = translation_events()
    for event in events:
        if 50 <= event["step"] <= 60:
            event.pop("train/loss", None)
            event.pop("train/gradient_norm", None)
        if event["step"] == 100 and "train/loss" in event:
            event |= {"train/loss": float("nan"), "train/skipped_steps": 4.0}
    report = made(write_run(tmp_path / "run", events))
    assert report.charts[0].lines[0].path.count("M") == 3
    assert report.warnings == [
        "At 4 of the steps that were logged the training loss was not a number.",
        "4 steps changed nothing, since their loss or gradient was not finite.",
    ]
    assert not any("skipped" in chart.title.lower() for chart in report.charts)


def test_long_runs_are_thinned(tmp_path: Path) -> None:
    rows = [{"step": step, "valid/samples": [SAMPLE]} for step in range(1, 101)]
    path = write_run(tmp_path / "run", translation_events(50_000), samples=rows)
    report = made(path)
    assert len(report.histories[0].rows) <= TIMES
    assert report.left_out == 100 - len(report.histories[0].rows)
    assert [report.histories[0].rows[i][0] for i in (0, -1)] == ["step 1", "step 100"]
    page = page_of(path)
    assert len(page) < 1_000_000
    assert "of 10,000 steps; the others are left out." in page


def test_several_directions_have_curves_of_their_own(tmp_path: Path) -> None:
    events = translation_events()
    for event in events:
        if "valid/bleu" in event:
            event |= {"valid/bleu/en-de": event["valid/bleu"] + 1, "valid/bleu/de-en": event["valid/bleu"] - 1}
    bleu = made(write_run(tmp_path / "run", events)).charts[1]
    names = [line.name for line in bleu.lines]
    assert names == ["validation", "average of the last checkpoints", "validation en-de", "validation de-en"]
    assert len({line.style for line in bleu.lines}) == 4


def hostile_run(folder: Path) -> Path:
    """A run all text of which wants to break the page; numbers and types too."""
    events = translation_events()
    for event in events:
        event[f"valid/{HOSTILE}"] = event[f"train/{HOSTILE}"] = 1.0
    more = {HOSTILE: HOSTILE, "translation": HOSTILE * 20}
    starts = [{**START, "command": [HOSTILE], "git": {"commit": HOSTILE}, "device": HOSTILE, "versions": {HOSTILE: "1"},
               "data": [{"file": HOSTILE, "sha256": HOSTILE}], "platform": HOSTILE},
              {"git": "none", "data": "none", "versions": [], "command": 5, "conditions": 3}]  # fmt: skip
    name = re.sub("/", "", HOSTILE)
    status = {"state": "failed", "error": HOSTILE, "time": HOSTILE, "tests": [scored_set(HOSTILE, 3.0, HOSTILE), 5]}
    data = {"train": [{"source": HOSTILE, "target": HOSTILE}]}
    return write_run(folder / name, events, status, samples(15, **more), starts, data=data)


def test_all_text_is_escaped(tmp_path: Path) -> None:
    path = hostile_run(tmp_path)
    for _ in range(2):
        page = page_of(path, f"seq2seq-report {HOSTILE}")
        assert "<script>alert" not in page and "<img" not in page and "&lt;script&gt;" in page
        assert "{{ 7*7 }}" in page
        starts = json.loads((path / "run.json").read_text())["starts"]
        (path / "run.json").write_text(json.dumps({"starts": starts[:1]}))


def test_samples_that_no_run_writes_are_left_out(tmp_path: Path) -> None:
    rows = [{"step": 20, "valid/samples": [{}, {"source": "alone"}, {"source": "a", "translation": "b"}, 7]}]
    path = write_run(tmp_path / "run", translation_events(), samples=rows)
    assert [history.given for history in made(path).histories] == [{"source": "a"}]
    assert "alone" not in page_of(path)


def test_a_damaged_model_is_told_of(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", translation_events())
    (path / "best").mkdir()
    for name in ("MANIFEST.json", "config.json", "model.safetensors"):
        (path / "best" / name).write_text("[]")
    report = made(path)
    assert (report.files, report.hashes) == ([], {})
    assert report.warnings[0].startswith("The best model cannot be read: ")


@needs_chromium
@pytest.mark.parametrize("kind", ["translation", "language_model", "hostile", "young"])
def test_in_a_browser(tmp_path: Path, kind: str) -> None:
    """No script fails, nothing is asked for from outside, and the page is no wider than the window."""
    match kind:
        case "hostile":
            path = hostile_run(tmp_path)
        case "young":
            path = write_run(tmp_path / "run", [], {"state": "running", "step": 0})
        case "translation":
            path = write_run(tmp_path / "run", translation_events(), samples=samples(15), starts=[START])
        case _:
            path = write_run(tmp_path / "run", text_events(), task=kind)
    page = tmp_path / "page.html"
    page.write_bytes(page_of(path).encode("utf-8", "replace"))
    for width, scheme in ((1280, "light"), (390, "dark"), (320, "light")):
        seen = look(page, width, scheme)  # type: ignore[arg-type]
        assert seen.errors == []
        assert seen.scroll_width <= width


@needs_chromium
def test_charts_are_read_with_keys(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(page_of(write_run(tmp_path / "run", translation_events(), samples=samples(2))), encoding="utf-8")
    with opened(page) as tab:
        tab.evaluate("document.querySelector('.plot').focus()")
        told = "document.querySelector('.chart output').textContent"
        assert tab.evaluate(told).startswith("step 200: training 2.11")
        for key, step in (("Home", 5), ("ArrowRight", 10), ("ArrowLeft", 5), ("End", 200)):
            tab.press(key)
            assert tab.evaluate(told).startswith(f"step {step}: training ")
        focus = "document.activeElement.className + document.activeElement.tagName"
        tab.press("Tab")
        assert tab.evaluate(focus) == "SUMMARY"
        tab.press("Enter")
        assert tab.evaluate("document.activeElement.parentElement.open")
        tab.press("Tab")
        assert tab.evaluate(focus) == "wide tallDIV"
        assert tab.evaluate("document.querySelectorAll('.values tbody tr').length") > 40
    with opened(page, media="print") as tab:
        assert tab.evaluate("getComputedStyle(document.querySelector('.values')).display") == "none"
        assert tab.evaluate("getComputedStyle(document.querySelector('.plot svg')).display") == "block"
