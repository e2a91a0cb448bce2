"""The faults that are injected are what they are said to be, and a program that cannot stand them is found out."""

import importlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

import seq2seq.files
from seq2seq.files import remove_folder, sync, write_json, write_manifest
from seq2seq.model import folder as model_folder
from seq2seq.train import checkpoint

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def tools() -> Iterator[SimpleNamespace]:
    sys.path.insert(0, str(TOOLS))
    try:
        names = [f"inject.{path.stem}" for path in (TOOLS / "inject").glob("[a-z]*.py")] + ["faults"]
        yield SimpleNamespace(**{name.removeprefix("inject."): importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(TOOLS))


@pytest.fixture
def one_scenario(tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves of the kinds of saves the first one, so that the checks are soon prepared."""
    for module in (tools.kill_saves, tools.full_disk):
        monkeypatch.setattr(module, "SCENARIOS", tools.saves.SCENARIOS[:1])


def seen(result: Any) -> list[str]:
    return [failure.seen for failure in result.failures]


def children(tools: SimpleNamespace, act: Callable[[Callable[[bytes], object]], None]) -> tuple[int, bytes]:
    code, sent = tools.process.wait(*tools.process.fork(act))
    return code, sent


def test_operations_are_named_before_they_are_done(tools: SimpleNamespace, tmp_path: Path) -> None:
    def act(say: Callable[[bytes], object]) -> None:
        told: list[str] = []
        unsynced: list[int] = []

        def before(name: str) -> None:
            told.append(name)
            unsynced.append(len(operations.unsynced))

        operations = tools.operations.Operations(tmp_path, before)
        operations.watch()
        (tmp_path / "a").mkdir()
        write_json(tmp_path / "a/x.json", 1)
        (tmp_path / "b").write_text("not synced")
        os.rename(tmp_path / "a", tmp_path / "c")
        remove_folder(tmp_path / "c")
        Path(os.devnull).write_text("elsewhere")
        say(json.dumps([told, unsynced]).encode())

    code, sent = children(tools, act)
    told, unsynced = json.loads(sent)
    assert code == 0
    assert told == [
        "mkdir a",
        "open a/.x.json.tmp",
        "sync a/.x.json.tmp",
        "rename a/.x.json.tmp -> a/x.json",
        "sync a",
        "open b",
        "rename a -> c",
        "rename c -> .c.trash",
        "remove .c.trash/x.json",
        "rmdir .c.trash",
    ]
    assert unsynced == [0, 0, 1, 0, 0, 0, 1, 1, 1, 1]


def test_saves_stand_a_kill_before_each_operation(tools: SimpleNamespace, tmp_path: Path, one_scenario: None) -> None:
    check = tools.kill_saves.KillSavePoints(tmp_path, 1)
    names = [point.name for point in check.points]
    assert "rename checkpoints/.step-00000010.tmp -> checkpoints/step-00000010" in names
    assert "write checkpoints/.step-00000010.tmp/model.safetensors" in names
    assert check.planned == 20 * len(names)
    for number in range(0, len(names), 3):
        check.trial(number, Random(number))


def test_torn_saves_stand_and_such_that_are_not_synced_do_not(
    tools: SimpleNamespace, tmp_path: Path, one_scenario: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = tools.kill_saves.TornSave(tmp_path / "good", 1)
    for point in check.points[-9::2]:
        check.trial(point.number, Random(1))

    def sync_folders_only(path: Path) -> None:
        if path.is_dir():
            sync(path)

    monkeypatch.setattr(seq2seq.files, "sync", sync_folders_only)
    check = tools.kill_saves.TornSave(tmp_path / "bad", 1)
    renamed = next(point for point in check.points if point.name.endswith("-> checkpoints/step-00000010"))
    with pytest.raises(tools.check.Unexpected, match="damaged"):
        check.trial(renamed.number + 1, Random(1))


@contextmanager
def late_manifest(path: Path) -> Iterator[Path]:
    """Renames before there is a manifest."""
    temporary = path.with_name(f".{path.name}.tmp")
    remove_folder(temporary)
    remove_folder(path)
    temporary.mkdir(parents=True)
    yield temporary
    os.rename(temporary, path)
    write_manifest(path)


def test_a_save_that_renames_too_early_is_found_out(
    tools: SimpleNamespace, tmp_path: Path, one_scenario: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "atomic_folder", late_manifest)
    check = tools.kill_saves.KillSavePoints(tmp_path, 1)
    renamed = next(point for point in check.points if point.name.endswith("-> checkpoints/step-00000010"))
    check.trial(renamed.number, Random(1))
    with pytest.raises(tools.check.Unexpected, match="before operation"):
        check.trial(renamed.number + 1, Random(1))


def test_saves_stand_kills_at_random_moments(tools: SimpleNamespace, tmp_path: Path, one_scenario: None) -> None:
    result = tools.check.run_check(tools.kill_saves.KillSaveRandom, tmp_path, 1, None, range(10))
    assert (seen(result), result.passed) == ([], 10)
    assert "a save takes" in result.note


@pytest.mark.parametrize("verified", [True, False])
def test_damage_is_noticed_or_found_out(
    tools: SimpleNamespace, tmp_path: Path, verified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    flips = tools.damage.BitFlips(tmp_path / "flips", 1)
    cuts = tools.damage.Truncation(tmp_path / "cuts", 1)
    assert {path.name for path in flips.files} > {"MANIFEST.json", "model.safetensors", "state.json"}
    assert cuts.planned == sum(cuts.sizes) + (1 + len(tools.damage.ADDED)) * len(cuts.files)
    trials = [(flips, number) for number in range(1, 60, 2)]
    trials += [(cuts, number) for number in tools.check.trial_order(cuts)[:30]]
    trials += [(cuts, number) for number in range(cuts.missing + 1, cuts.planned)]  # without a missing manifest
    if not verified:
        for module in (checkpoint, model_folder):
            monkeypatch.setattr(module, "verify_manifest", lambda folder: frozenset[str]())
    failed = 0
    for check, number in trials:
        try:
            check.trial(number, Random(number))
        except tools.check.Unexpected:
            failed += 1
    assert failed == 0 if verified else failed > len(trials) // 2
    assert sorted(path.name for path in flips.newer.parent.iterdir()) == [flips.older.name, flips.newer.name]


def test_a_full_disk_leaves_the_old_checkpoint(tools: SimpleNamespace, tmp_path: Path, one_scenario: None) -> None:
    check = tools.full_disk.DiskFull(tmp_path, 1)
    weights = next(point for point in check.points[0] if point.name.endswith("model.safetensors"))
    check.save_without_growth(weights)
    check.save_without_growth(check.points[0][-1])  # all has been written
    if check.mounted:
        check.save_on_full_disk(weights, SimpleNamespace(randrange=lambda n: 2))  # two pages are free
    assert check.planned == tools.full_disk.LIMITED + check.mounted + tools.full_disk.LAUNCHED


def test_a_save_that_ignores_errors_is_found_out(
    tools: SimpleNamespace, tmp_path: Path, one_scenario: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = tools.full_disk.DiskFull(tmp_path, 1)
    real = model_folder.save_tensors

    def careless(*arguments: Any) -> None:
        try:
            real(*arguments)
        except OSError:  # and there is room again for what comes next
            resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
            arguments[1].write_bytes(b"")

    monkeypatch.setattr(model_folder, "save_tensors", careless)
    weights = next(point for point in check.points[0] if point.name.endswith("model.safetensors"))
    with pytest.raises(tools.check.Unexpected):
        check.save_without_growth(weights)


@pytest.fixture
def fake(tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A check of ten trials of which one fails."""

    class Fake(tools.check.Check):  # type: ignore[name-defined, misc]
        name = "fake"
        expected = "less than seven"
        planned = 10

        def trial(self, number: int, random: Random) -> None:
            with tools.check.where(f"trial {number}"):
                tools.check.expect(number < 7 or number > 7, "seven")

    monkeypatch.setitem(tools.faults.CHECKS, "fake", Fake)
    return Fake


def test_time_is_shared_and_what_was_not_done_is_told(tools: SimpleNamespace, tmp_path: Path, fake: Any) -> None:
    whole = tools.check.run_check(fake, tmp_path, 1, None, [])
    assert (whole.trials, whole.passed, seen(whole)) == (10, 9, ["trial 7: seven"])
    short = tools.check.run_check(fake, tmp_path, 1, 0.0, [])
    assert (short.trials, short.passed, short.planned) == (1, 1, 10)
    table = tools.report.table([whole, short]).split("\n")
    assert [cell.strip() for cell in table[2].split("|")][1:4] == ["fake", "10", "9 of 10"]
    assert [cell.strip() for cell in table[3].split("|")][1:4] == ["fake", "1 (10 planned)", "1 of 1"]


def test_a_failure_can_be_seen_again(
    tools: SimpleNamespace, tmp_path: Path, fake: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    found = tmp_path / "new/found.json"
    command = ["faults.py", "--only", "fake", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", [*command, "--json", str(found)])
    assert tools.faults.main() == 1
    assert "python tools/faults.py --only fake --seed 3 --trial 7" in capsys.readouterr().out
    (told,) = json.loads(found.read_text())["checks"]
    assert (told["trials"], told["passed"], told["failures"][0]["trial"]) == (10, 9, 7)
    for trial, code in ((7, 1), (8, 0), (10, 2)):
        monkeypatch.setattr(sys, "argv", [*command, "--trial", str(trial)])
        assert tools.faults.main() == code
    assert "--trial 10: fake has the trials 0 to 9" in capsys.readouterr().err


def test_all_checks_are_listed(tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["faults.py", "--list"])
    assert tools.faults.main() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "kill-save-points", "torn-save", "kill-save-random", "bit-flips", "truncation", "disk-full", "kill-run",
        "sigterm", "sigterm-ranks", "kill-rank", "hung-rank", "nan", "memory",
    ]  # fmt: skip
    with pytest.raises(SystemExit, match="2"):
        tools.faults.parse(["--trial", "3"])
    assert "--trial needs --only with one check" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kill-run", "sigterm", "sigterm-ranks"])
def test_real_launches(tools: SimpleNamespace, tmp_path: Path, name: str) -> None:
    result = tools.check.run_check(tools.faults.CHECKS[name], tmp_path, 1, None, [0])
    assert (seen(result), result.passed) == ([], 1)
