"""tools/plant_faults.py: faults are what they say, follow from the seed, and the program tells what was found."""

import random
import sys
from pathlib import Path

import pytest
from conftest import make_pairs, write_pairs

import plant_faults
from plant_faults import FAULTS, Copy, mangled
from seq2seq.evaluate.doctor.checks import CHECKS


def copy(seed: int = 0) -> Copy:
    pairs = make_pairs(2000)
    return Copy([s for s, _ in pairs], [t for _, t in pairs], make_pairs(100, 1), random.Random(seed), {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_the_corpus_and_follows_from_the_seed(fault: str) -> None:
    plant, checks = FAULTS[fault]
    clean, one, again = copy(), copy(), copy()
    assert plant(one) == plant(again)
    sides = [(each.source, each.target, each.test, each.raw) for each in (clean, one, again)]
    assert sides[1] == sides[2] != sides[0]
    assert set(checks) <= set(CHECKS)


def test_shifts_are_by_what_they_say() -> None:
    clean, up, down, block = (copy(3) for _ in range(4))
    n = len(clean.target)
    size = plant_faults.shift_up(up)
    assert up.target[n - 1 - size :] == clean.target[n - size :] and len(up.source) == len(up.target) == n - 1
    size = plant_faults.shift_down(down)
    assert down.target[n - size + 1 :] == clean.target[n - size : -1] and len(down.target) == n
    size = plant_faults.shift_block(block)
    (first, *_) = [i for i in range(n) if block.target[i] != clean.target[i]]
    assert block.target[first + 3 : first + size] == clean.target[first : first + size - 3]
    assert block.target[first + size :] == clean.target[first + size :]


def test_mojibake_is_undone_by_reading_it_the_other_way_round() -> None:
    assert mangled("für – é") == "fÃ¼r â€“ Ã©"
    assert mangled(mangled("ü")) == "ÃƒÂ¼"


def test_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs(tmp_path, "train", make_pairs(700))
    options = ["--fault", "invalid_utf8", "--fault", "bom", "--json", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "train.en"), str(tmp_path / "train.de"), *options])
    with pytest.raises(SystemExit) as ended:
        plant_faults.main()
    assert ended.value.code == 0
    assert "2 of 2 faults found" in capsys.readouterr().out and (tmp_path / "out.json").exists()
