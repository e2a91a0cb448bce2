"""seq2seq-report and seq2seq-leaderboard on runs that were trained."""

import json
from pathlib import Path

import pytest
import torch
from browser import look, needs_chromium
from click.testing import CliRunner, Result
from conftest import Stop, crash_at, make_pairs, make_text, text_recipe, tiny_recipe, write_pairs

from seq2seq.cli import leaderboard, report
from seq2seq.config import settings_from_dict
from seq2seq.train.distributed import Ranks
from seq2seq.train.loop import train

CPU = Ranks(torch.device("cpu"))


def run(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(getattr(command, "main"), list(map(str, arguments)))  # noqa: B009


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below runs/: a translation run and a language model that are finished, and one that was stopped."""
    folder = tmp_path_factory.mktemp("trained")
    for i, name in enumerate(("train", "valid", "test")):
        write_pairs(folder / "data", name, make_pairs((400, 12, 12)[i], seed=i))
    test = {"source": "test.en", "target": "test.de"}
    recipe = tiny_recipe(folder, data={"test": test})
    text = text_recipe(folder, data={"test": {"text": "test.txt"}})
    (folder / "data/test.txt").write_text(make_text(20, seed=5))
    for name, values in (("finished", recipe), ("texts/gpt", text)):
        values["output"] = str(folder / "runs" / name)
        train(settings_from_dict(json.loads(json.dumps(values))), CPU)
    recipe["output"] = str(folder / "runs/stopped")
    recipe["model"]["layers"] = 2
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        crash_at(patch, 13)
        train(settings_from_dict(json.loads(json.dumps(recipe))), CPU)
    return folder / "runs"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("finished", ["The run finished on", "nrefs:1|case:mixed", "20 of at most 20", "RED", "data/test.de"]),
        ("texts/gpt", ["A language model on characters", "bits per UTF-8 byte of the text", "Prompt"]),
        ("stopped", ["The run failed after step 13", "There is no test score", "Step 10"]),
    ],
)
def test_report(runs: Path, tmp_path: Path, name: str, told: list[str]) -> None:
    page = tmp_path / "page.html"
    done = run(report, runs / name, "--output", page)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    text = page.read_text(encoding="utf-8")
    assert [one for one in told if one not in text] == []
    assert str(page) in done.stderr
    assert text.count('<svg viewBox="0 0 480') >= 3
    assert "Warnings (" not in text or name == "stopped"


@needs_chromium
@pytest.mark.parametrize("name", ["finished", "texts/gpt", "stopped"])
def test_report_in_a_browser(runs: Path, tmp_path: Path, name: str) -> None:
    assert run(report, runs / name, "--output", tmp_path / "page.html").exit_code == 0
    for width in (1280, 390):
        seen = look(tmp_path / "page.html", width)
        assert (seen.errors, seen.scroll_width) == ([], width)


def test_report_lies_in_the_run_folder_and_changes_nothing_else(runs: Path) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(runs.rglob("*")) if path.is_file()}

    before = files()
    assert run(report, runs / "finished").exit_code == 0
    after = files()
    assert after.pop(runs / "finished/report.html").startswith(b"<!DOCTYPE html>")
    (runs / "finished/report.html").unlink()
    assert after == before


def test_report_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    done = run(report, tmp_path)
    assert done.exit_code == 2 and "not a run folder" in done.stderr
    done = run(report, tmp_path / "absent")
    assert done.exit_code == 2 and "no such folder" in done.stderr
    done = run(report, tmp_path, "--output", tmp_path / "absent/page.html")
    assert done.exit_code == 2 and "its folder does not exist" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_leaderboard(runs: Path, tmp_path: Path) -> None:
    done = run(leaderboard, runs, "--html", tmp_path / "board.html")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Translation: 2 runs. The highest BLEU in validation is ")
    assert lines[2].split()[:7] == ["run", "state", "step", "time", "BLEU", "chrF", "loss"]
    rows = {line.split()[0]: line.split() for line in lines[3:5]}
    assert rows["finished"][1:3] == ["finished", "20"] and rows["stopped"][1:3] == ["failed", "13"]
    assert [row[-1] for row in (rows["finished"], rows["stopped"])] == ["1", "2"]
    assert lines[2].endswith("model.layers")
    assert any(line.startswith("[1] BLEU on ") and "nrefs:1|" in line and "SHA-256 " in line for line in lines)
    assert "Language models: 1 run." in done.stdout and "texts/gpt" in done.stdout
    assert (tmp_path / "board.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_leaderboard_as_json(runs: Path) -> None:
    done = run(leaderboard, runs, "--json", "--sort", "run")
    record = json.loads(done.stdout)
    assert [row["run"] for row in record["translation"]] == ["finished", "stopped"]
    scores = {one["metric"]: one["score"] for one in record["translation"][0]["tests"]}
    status = json.loads((runs / "finished/status.json").read_text())
    assert scores == {"bleu": status["test/bleu"], "chrf": status["test/chrf"]}
    assert record["language_model"][0]["best"]["loss"] == pytest.approx(
        json.loads((runs / "texts/gpt/status.json").read_text())["best_loss"]
    )


def test_leaderboard_says_what_it_skips(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "all").symlink_to(runs)
    (tmp_path / "no\x1b[31mrun").mkdir()
    (tmp_path / "no\x1b[31mrun/recipe.yaml").write_text("flour: 1")
    done = run(leaderboard, tmp_path)
    assert done.exit_code == 0
    assert "all/finished" in done.stdout
    assert done.stderr.count("\n") == 1 and "no\\x1b[31mrun: skipped: " in done.stderr
    done = run(leaderboard, tmp_path / "no\x1b[31mrun")
    assert done.exit_code == 2 and "no run folder below it" in done.stderr and "\x1b" not in done.stderr
    done = run(leaderboard, runs, "--sort", "blue")
    assert done.exit_code == 2 and "did you mean bleu?" in done.stderr
    done = run(leaderboard, runs, "--html", tmp_path / "absent/page.html")
    assert done.exit_code == 2 and "its folder does not exist" in done.stderr
