"""How systems and test sets are written on the command line."""

from pathlib import Path

import pytest

from seq2seq.cli.systems import read_files, read_model, read_test_set, unique
from seq2seq.errors import Seq2SeqError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runs/a", ("runs/a", "runs/a", {})),
        ("greedy=runs/a,beam_size=1", ("greedy", "runs/a", {"beam_size": "1"})),
        ("runs/a,beam_size=1,mbr=chrf", ("runs/a,beam_size=1,mbr=chrf", "runs/a", {"beam_size": "1", "mbr": "chrf"})),
        ("beam 5=runs/a", ("beam 5", "runs/a", {})),
        ("a=b=c", ("a", "b=c", {})),
    ],
)
def test_models(text: str, expected: tuple[str, str, dict[str, str]]) -> None:
    assert read_model(text) == expected


def test_a_path_that_exists_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a=b", "a,b", "x=y,z"):
        (tmp_path / name).mkdir()
        assert read_model(name) == (name, name, {})
        assert read_files(name, 1) == (name, [name])
    assert read_model("a=b,beam_size=2") == ("a=b,beam_size=2", "a=b", {"beam_size": "2"})


def test_files_for_each_test_set() -> None:
    assert read_files("mine=a.de,b.de", 2) == ("mine", ["a.de", "b.de"])
    assert read_files("a.de,b.de", 2) == ("a.de,b.de", ["a.de", "b.de"])
    with pytest.raises(Seq2SeqError, match="--hypothesis a.de: 1 file for 2 test sets; give one for each, in their"):
        read_files("a.de", 2)
    with pytest.raises(Seq2SeqError, match="2 files for 1 test set;"):
        read_files("x=a,b", 1)


def test_test_sets_of_ones_own(tmp_path: Path) -> None:
    for name in ("s", "r1", "r2"):
        (tmp_path / name).write_text("a\n")
    test = read_test_set(f"mine={tmp_path / 's'},{tmp_path / 'r1'},{tmp_path / 'r2'}", None, "de")
    assert (test.title, test.source_lines, len(test.references), test.target_language) == ("mine", ["a"], 2, "de")
    without = read_test_set(f"mine=,{tmp_path / 'r1'}", None)
    assert without.source is None and without.reference_lines == [["a"]]
    for text in ("mine=a", "mine=a,", "mine="):
        with pytest.raises(Seq2SeqError, match="NAME=SOURCE,REFERENCE"):
            read_test_set(text, None)
    with pytest.raises(Seq2SeqError, match="--testset needs --langpair"):
        read_test_set("wmt14", None)


def test_names_tell_systems_apart() -> None:
    unique(["a", "b"])
    with pytest.raises(Seq2SeqError, match="two systems are called a: write NAME=a"):
        unique(["a", "b", "a"])
    with pytest.raises(Seq2SeqError, match="'beam_size' is not KEY=VALUE"):
        read_model("runs/a,beam_size")
