"""The leaderboard: every run once, honest columns, the best first, hostile names harmless."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from browser import look, needs_chromium, opened
from run_folders import SIGNATURE, scored_set, text_events, translation_events, write_run

from seq2seq.errors import DataError, Seq2SeqError
from seq2seq.evaluate.leaderboard import Leaderboard, Table, find_runs, make_leaderboard

HOSTILE = "<script>alert(1)<\u2215script>\"'><img src=x onerror=alert(2)>\n\x1b[31m"


def heads(table: Table) -> list[str]:
    return [column.key for column in table.columns]


def column(table: Table, key: str) -> list[str]:
    i = heads(table).index(key)
    return [cells[i].text for _, cells in table.rows]


def names(board: Leaderboard, task: int = 0) -> list[str]:
    return column(board.tables[task], "run")


def data(sha: str) -> list[dict[str, Any]]:
    return [{"data": [{"file": "t.en", "bytes": 1, "sha256": sha * 32}, {"file": "t.de", "sha256": sha * 32}]}]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of both tasks at different depths, links to some, and what is no run."""
    root = tmp_path / "runs"
    test = {"tests": [scored_set("t.en | t.de", 30.0)]}
    write_run(root / "a", translation_events(best=30), test, starts=data("ab"))
    write_run(root / "deep/er/b", translation_events(best=40), {"tests": [scored_set("t.en | t.de", 35.0)]},
              starts=data("ab"), model={"layers": 2, "dropout": 0.0})  # fmt: skip
    write_run(root / "c", translation_events(20)[:4], {"state": "interrupted", "step": 18})
    write_run(root / "lm/d", text_events(), {"step": 100}, task="language_model")
    write_run(root / "lm/e", text_events(50), {"step": 50}, task="language_model", tokenizer={"type": "bytes"})
    (root / "deep/again").symlink_to(root / "a")
    (root / "all").symlink_to(root)
    (root / "notes").mkdir()
    (root / "notes/status.json").write_text('{"mood": "good"}')
    (root / "notes/recipe.yaml").write_text("flour: 500 g\nwater: 300 g\n")
    (root / "torn").mkdir()
    (root / "torn/status.json").write_text('{"state": "fin')
    for inner in ("checkpoints/step-1", "best", ".old"):
        (root / "a" / inner).mkdir(parents=True)
        (root / "a" / inner / "status.json").write_text("{}")
    return root


def test_every_run_stands_there_once_and_the_best_is_first(runs: Path) -> None:
    board = make_leaderboard(runs)
    assert names(board) == ["deep/er/b", "a", "c"]
    assert names(board, 1) == ["lm/d", "lm/e"]
    table = board.tables[0]
    assert column(table, "state") == ["finished", "finished", "interrupted"]
    assert column(table, "bleu") == ["40.00", "30.00", "–"]
    assert column(table, "time") == ["0:01:42", "0:01:42", "0:00:10"]
    assert [cells[heads(table).index("bleu")].best for _, cells in table.rows] == [True, False, False]
    assert table.summary == "Translation: 3 runs. The highest BLEU in validation is 40.00, of deep/er/b."
    assert len(board.told) == 2
    assert board.told[0].startswith(f"{runs / 'notes'}: skipped: recipe.yaml: damaged, or of another version: ")
    assert board.told[1].startswith(f"{runs / 'torn'}: skipped: status.json: cannot be read: ")


def test_only_settings_that_differ_have_columns(runs: Path) -> None:
    board = make_leaderboard(runs)
    settings = [each.key for each in board.tables[0].columns if each.kind == "setting"]
    assert set(settings) == {"data.root", "model.layers", "model.dropout"}
    assert column(board.tables[0], "model.layers") == ["2", "1", "1"]
    assert "tokenizer.type" in heads(board.tables[1])
    assert any("losses per token then do not compare" in note for note in board.tables[1].notes)


def test_a_test_score_says_what_it_belongs_to(runs: Path) -> None:
    """The same file and signature share a column; another content, file or signature has its own."""
    more: list[tuple[str, dict[str, Any], list[dict[str, Any]] | None]] = [
        ("other-content", {"tests": [scored_set("t.en | t.de", 1.0)]}, data("cd")),
        ("elsewhere", {"tests": [scored_set("t.en | t.de", 2.0)]}, data("ab")),
        ("other-metric", {"tests": [scored_set("t.en | t.de", 3.0, SIGNATURE.replace("13a", "zh"))]}, data("ab")),
        ("before", {"test/bleu": 4.0}, None),
    ]
    for name, status, starts in more:
        test = {"source": "t.en", "target": "t.de"}
        write_run(runs / name, translation_events(best=10), status, starts=starts, data={"test": test})
    (table,) = make_leaderboard(runs).tables[:1]
    tests = [each for each in table.columns if each.kind == "test"]
    assert [each.key for each in tests] == ["test/bleu", "test/bleu.2", "test/bleu.3", "test/bleu.4"]
    assert [each.title for each in tests] == [f"test BLEU [{i}]" for i in (1, 2, 3, 4)]
    by_run = {cells[0].text: i for i, (_, cells) in enumerate(table.rows)}
    shared = [column(table, "test/bleu")[by_run[name]] for name in ("a", "deep/er/b", "elsewhere")]
    assert shared == ["30.00", "35.00", "2.00"]
    assert tests[0].note == f"[1] BLEU on t.en | t.de en-de (SHA-256 {'ab' * 8} {'ab' * 8}); {SIGNATURE}"
    assert any(each.note.endswith("(content not known); the run keeps no signature") for each in tests)


def test_runs_validated_on_other_text_are_told_of(tmp_path: Path) -> None:
    for name, file in (("a", "valid.en"), ("b", "other.en")):
        write_run(tmp_path / name, translation_events(), data={"valid": {"source": file, "target": "valid.de"}})
    (table,) = make_leaderboard(tmp_path).tables
    assert any("Not all runs were validated on the same text" in note for note in table.notes)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("run", ["a", "c", "deep/er/b"]),
        ("loss", ["a", "deep/er/b", "c"]),
        ("test/bleu", ["deep/er/b", "a", "c"]),
        ("time", ["c", "a", "deep/er/b"]),
        ("model.layers", ["a", "c", "deep/er/b"]),
        ("state", ["a", "deep/er/b", "c"]),
    ],
)
def test_sorting(runs: Path, key: str, expected: list[str]) -> None:
    board = make_leaderboard(runs, key)
    assert names(board) == expected
    assert board.tables[0].sorted_by == key
    assert names(board, 1) == ["lm/d", "lm/e"] or key == "time"


def test_an_unknown_column_is_refused(runs: Path) -> None:
    with pytest.raises(Seq2SeqError, match=r"--sort model.layer: no such column; did you mean model.layers\?"):
        make_leaderboard(runs, "model.layer")
    with pytest.raises(Seq2SeqError, match=r"--sort zzz: no such column\. There are: run, "):
        make_leaderboard(runs, "zzz")


def test_folders_without_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path, "no run folder below it"),
        (tmp_path / "file", "no folder"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(DataError, match=message):
            make_leaderboard(path)


def test_a_run_itself_and_folders_that_may_not_be_read(runs: Path) -> None:
    assert names(make_leaderboard(runs / "a")) == ["."]
    closed = runs / "closed"
    closed.mkdir()
    closed.chmod(0)
    told: list[str] = []
    found = list(find_runs(runs, told))
    closed.chmod(0o700)
    assert runs / "a" in found
    assert told in ([f"{closed}: skipped: Permission denied"], []) and (told or os.geteuid() == 0)


def test_records_are_json(runs: Path) -> None:
    record = json.loads(json.dumps(make_leaderboard(runs).record(), allow_nan=False))
    first = record["translation"][0]
    assert (first["run"], first["state"], first["step"]) == ("deep/er/b", "finished", 200)
    assert first["best"] == {"step": 200, "average": True, "loss": 1.5, "bleu": 40.0, "chrf": 51.0}
    assert first["tests"] == [
        {"test": "t.en | t.de en-de", "metric": "bleu", "score": 35.0, "signature": SIGNATURE, "sha256": ["ab" * 8] * 2}
    ]
    assert first["settings"]["model.layers"] == "2"
    assert record["translation"][2]["best"] is None
    assert len(record["language_model"]) == 2 and len(record["told"]) == 2


def hostile(runs: Path) -> Path:
    data = {"train": [{"source": HOSTILE, "target": "</style>" + HOSTILE}]}
    status = {"tests": [scored_set(HOSTILE, 99.0, HOSTILE)], "state": "finished"}
    path = write_run(runs / HOSTILE, translation_events(best=90), status, data=data)
    (path / "report.html").touch()
    path = write_run(runs / "javascript:alert(1)", translation_events(best=1), {})
    (path / "report.html").touch()
    return runs


def test_all_text_is_escaped(runs: Path) -> None:
    page = make_leaderboard(hostile(runs)).html(runs / "board.html", f"seq2seq-leaderboard {HOSTILE}")
    assert "<script>alert" not in page and "<img" not in page and "</style><" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'href="./javascript%3Aalert%281%29/report.html"' in page
    assert page.count("<a href=") == 2


@needs_chromium
def test_in_a_browser(runs: Path) -> None:
    page = runs / "board.html"
    page.write_bytes(make_leaderboard(hostile(runs)).html(page, "seq2seq-leaderboard runs").encode("utf-8", "replace"))
    for width, scheme in ((1280, "light"), (390, "dark")):
        seen = look(page, width, scheme)  # type: ignore[arg-type]
        assert seen.errors == []
        assert seen.scroll_width <= width
    first = "[...document.querySelectorAll('tbody')[0].rows].map(row => row.cells[0].textContent)"
    head = "document.querySelectorAll('thead')[0].rows[0].cells"
    with opened(page) as tab:
        assert tab.evaluate(f"{head}[4].ariaSort") == "descending"
        assert tab.evaluate(first)[1:] == ["deep/er/b", "a", "javascript:alert(1)", "c"]
        tab.evaluate(f"{head}[4].querySelector('button').focus()")
        tab.press("Enter")
        assert tab.evaluate(f"{head}[4].ariaSort") == "ascending"
        assert tab.evaluate(first)[:3] == ["javascript:alert(1)", "a", "deep/er/b"]
        assert tab.evaluate(first)[-1] == "c"  # what has no value stays last
        tab.evaluate(f"{head}[0].querySelector('button').focus()")
        tab.press("Enter")
        assert tab.evaluate(first)[1:3] == ["a", "c"]
        assert tab.evaluate(f"[{head}[0].ariaSort, {head}[4].ariaSort]") == ["ascending", None]
