"""The fuzzing of parsers: good files are read, wrong ones refused, and a parser that is wrong itself is found out."""

import faulthandler
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from fuzz.mutate import LARGEST, mutate
from fuzz.target import Target
from fuzz.targets import TARGETS
from fuzz.workers import outcomes
from fuzz_parsers import main
from seq2seq.errors import DataError


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_read_and_some_mutated_ones_are_not(tmp_path: Path, name: str) -> None:
    target = TARGETS[name](tmp_path / "target")
    for seed in target.seeds:
        target.write(seed)
        target.read()
    found = list(outcomes(target, 1, range(6)))
    assert [outcome.number for outcome in found] == list(range(6))
    assert not [outcome for outcome in found if outcome.is_fault]


def test_a_mutated_file_follows_from_seed_and_number(tmp_path: Path) -> None:
    target = TARGETS["jsonl"](tmp_path / "target")
    files = [target.content(seed, number) for seed in (1, 2) for number in range(50)]
    assert files == [target.content(seed, number) for seed in (1, 2) for number in range(50)]
    assert len(set(files)) > 90
    assert not set(files) <= set(target.seeds)
    assert all(len(mutate(b"x" * LARGEST, Random(i))) <= LARGEST for i in range(20))
    assert all(isinstance(mutate(b"", Random(i)), bytes) for i in range(100))


class Wrong(Target):
    """A parser that is wrong in one way for each file."""

    name = "wrong"
    seeds = (b"seed",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "number"

    def content(self, seed: int, number: int) -> bytes:
        return str(number).encode()

    def read(self) -> None:
        match int(self.path.read_bytes()):
            case 0:
                raise DataError("this is refused")
            case 1:
                raise KeyError("nobody knows")
            case 2:
                faulthandler.disable()
                os.abort()
            case 3:
                time.sleep(30)
            case 4:
                bytearray(300 * 2**20)
            case 5:
                os._exit(0)
            case 6:
                raise MemoryError
            case 7:
                sys.exit(2)


def test_a_parser_that_is_wrong_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.workers.SECONDS", 2.0)
    found = list(outcomes(Wrong(tmp_path / "wrong"), 1, range(9)))
    assert [outcome.number for outcome in found] == list(range(9))
    assert [outcome.kind for outcome in found] == [
        "refused", "bug", "crash", "hang", "memory", "crash", "bug", "bug", "read",
    ]  # fmt: skip
    assert [outcome.is_fault for outcome in found] == [False, *[True] * 7, False]
    assert "this is refused" in found[0].seen
    assert "KeyError" in found[1].seen
    assert "SIGABRT" in found[2].seen


def test_the_program_ends_with_1_if_there_was_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TARGETS, "wrong", Wrong)
    assert main(["--only", "wrong", "--file", "1"]) == 1
    assert "bug: KeyError: 'nobody knows'" in capsys.readouterr().out
    assert main(["--only", "wrong", "--file", "8", "--keep", str(tmp_path / "kept")]) == 0
    assert (tmp_path / "kept").read_bytes() == b"8"


def test_the_command_runs(tmp_path: Path) -> None:
    program = Path(__file__).parents[2] / "tools/fuzz_parsers.py"
    options = ["--files", "12", "--only", "tsv", "run", "--json", str(tmp_path / "new/x.json")]
    done = subprocess.run([sys.executable, str(program), *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "| all | 12 |" in done.stdout
    assert (tmp_path / "new/x.json").exists()
