"""What the options of seq2seq-evaluate lead to, with stand-ins for models."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seq2seq.cli.evaluate import main
from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate.evaluation import System

LINES = ["一只狗。", "两只猫。"]


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options for a source and a reference; every model translates perfectly."""
    monkeypatch.setattr("seq2seq.model.folder.find_model", lambda path: path)
    monkeypatch.setattr("seq2seq.evaluate.models.translate_with", lambda name, *_: [System(name, LINES)])
    for name, lines in (("s", ["A dog.", "Two cats."]), ("r", LINES)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return ["--source", str(tmp_path / "s"), "--reference", str(tmp_path / "r")]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["model", *arguments])


def test_the_target_language_chooses_the_tokenizer_too(sides: list[str]) -> None:
    done = run(*sides)
    assert "tok:13a" in done.stdout
    assert "warning: 2 of 2 references are written without spaces" in done.stderr
    for options in (["--target-language", "zh"], ["--langpair", "en-zh"]):
        done = run(*sides, *options)
        assert "tok:zh" in done.stdout and done.stderr == ""
        assert "tok:zh" in run(f"--testset=mine={sides[1]},{sides[3]}", *options).stdout


def test_comet_is_made_ready_before_models_translate(sides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, device: str) -> None:
        raise Seq2SeqError(f"no {name} for {device}")

    monkeypatch.setattr("seq2seq.evaluate.comet.Comet", absent)
    monkeypatch.setattr("seq2seq.evaluate.models.translate_with", lambda *_: pytest.fail("a model translates"))
    done = run(*sides, "--comet", "its-name", "--device", "cpu")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no its-name for cpu" in done.stderr


def test_a_wrong_seed_is_told_before_models_translate(sides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "many")
    monkeypatch.setattr("seq2seq.evaluate.models.translate_with", lambda *_: pytest.fail("a model translates"))
    done = run(*sides)
    assert done.exit_code == 2 and "SACREBLEU_SEED=many: must be a whole number" in done.stderr


def test_training_text_that_can_be_read_once_is_for_one_test_set(sides: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    sets = [f"--testset={name}={sides[1]},{sides[3]}" for name in ("one", "two")]
    done = run(*sets, "--train", str(tmp_path / "pipe"))
    assert done.exit_code == 2 and "pipe: can be read only once, and there are 2 test sets" in done.stderr
