"""seq2seq-inspect: what it takes, its exit codes, and its messages."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from conftest import make_pairs, text_recipe, tiny_recipe, write_pairs

from seq2seq.cli.inspect import main
from seq2seq.config import TokenizerSettings, TranslationSettings, settings_from_dict
from seq2seq.files import atomic_folder, read_json
from seq2seq.model.folder import TrainedModel, build_model, save_model
from seq2seq.text.tokenizer import Tokenizer


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def model(folder: Path, name: str = "model") -> Path:
    settings = settings_from_dict(tiny_recipe(folder))
    tokenizer = Tokenizer.train(make_pairs(200), TokenizerSettings(vocab_size=60))
    torch.manual_seed(0)
    with atomic_folder(folder / name) as temporary:
        save_model(temporary, TrainedModel(build_model(settings, tokenizer), tokenizer, settings, 40))
    return folder / name


def test_a_recipe_with_all_its_corpora(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", "test", make_pairs(400)[:30])
    path = recipe_file(data={**tiny_recipe(tmp_path)["data"], "test": {"source": "test.en", "target": "test.de"}})
    out = inspect(path, "--html", tmp_path / "page.html")
    assert out.exit_code == 0, out.output
    assert [line.partition(":")[0] for line in out.stdout.splitlines() if line[:1].strip()][:3] == [
        "train",
        "valid",
        "test",
    ]
    assert "what is tested with stands in the training text: 30 pairs (100.0 %)" in out.stdout
    assert "No tokenizer was found" in out.stdout
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert json.loads(inspect(path, "data.test=null", "--json").stdout)["counts"]["error"] == 0


def test_the_tokenizer_that_an_earlier_run_left_in_the_cache_is_looked_at(recipe_file: Callable[..., Path]) -> None:
    from seq2seq.config import load_recipe
    from seq2seq.train.prepare import prepare

    path = recipe_file(data={"max_length": 20})
    settings = load_recipe(path).settings
    assert isinstance(settings, TranslationSettings)
    prepared = prepare(settings)
    out = inspect(path)
    assert "tokenizer      of this recipe, from the cache" in out.stdout
    dropped = prepared.stores[0].counts["too_long"]
    assert dropped > 0 and f"longer than data.max_length: {dropped} pairs" in out.stdout


def test_a_recipe_of_a_language_model(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(json.dumps(text_recipe(tmp_path)))  # JSON is YAML
    (tmp_path / "data/train.txt").write_text("Eine Zeile.\n\nfÃ¼r\n" * 20)
    out = inspect(tmp_path / "recipe.yaml")
    assert out.exit_code == 0
    assert "WARNING  mojibake: 20 lines (33.3 %)" in out.stdout and "blank" not in out.stdout


def test_datasets_stored_and_streamed(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [
        {"en": source, "de": f"{target} Ã¼" if i < 4 else target} for i, (source, target) in enumerate(make_pairs(40))
    ]
    (tmp_path / "data/set").mkdir()
    Dataset.from_list(rows).to_parquet(tmp_path / "data/set/train-00000-of-00001.parquet")
    for options, n in (({}, 40), ({"streaming": True}, 40)):
        data = {**tiny_recipe(tmp_path)["data"], "train": [{"dataset": "set", **options}]}
        record = json.loads(inspect(recipe_file(data=data), "--json").stdout)
        train = record["corpora"][0]
        (found,) = [each for each in train["findings"] if each["check"] == "mojibake"]
        assert (train["rows"], found["count"]) == (n, 4)
        assert found["examples"][0]["place"].endswith("set train row 1")
    assert json.loads(inspect(recipe_file(data=data), "--json", "--limit", 7).stdout)["corpora"][0]["rows"] == 7


def test_files_with_errors(tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", make_pairs(50))
    source, target = tmp_path / "train.en", tmp_path / "train.de"
    assert inspect("--source", source, "--target", target).exit_code == 0
    with open(target, "ab") as file:
        file.write(b"\xff\n")
    out = inspect("--source", source, "--target", target)
    assert out.exit_code == 2
    assert f"{source} has 50 and {target} has 51" in " ".join(out.stdout.split()) and f"{target}:51" in out.stdout
    assert inspect("--source", source).exit_code == 0
    assert inspect("--source", target).exit_code == 2


def test_languages_are_those_of_the_names_or_of_the_options(tmp_path: Path) -> None:
    lines = "".join(
        f"Der Mann mit dem Hut ist nicht der, den {i} Leute in der Stadt gesehen haben.\n" for i in range(30)
    )
    (tmp_path / "a.en").write_text(lines)
    assert "should be en, looks like de" in inspect("--source", tmp_path / "a.en").stdout
    out = inspect("--source", tmp_path / "a.en", "--source-language", "de")
    assert out.exit_code == 0 and "another language" not in out.stdout


def test_the_tokenizer_of_a_model(tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", [("ωω", "X"), *make_pairs(30)])
    files = ("--source", tmp_path / "train.en", "--target", tmp_path / "train.de")
    for path in (model(tmp_path), tmp_path / "model/tokenizer"):
        out = inspect(*files, "--tokenizer", path)
        assert "characters that the tokenizer does not know: 1 line" in out.stdout
    assert inspect(*files, "--tokenizer", tmp_path).exit_code == 4


def test_model_folders_whole_and_damaged(tmp_path: Path) -> None:
    folder = model(tmp_path, "run/best")
    out = inspect(tmp_path / "run", "--html", tmp_path / "page.html")
    assert out.exit_code == 0 and "whole: every byte is as MANIFEST.json says" in out.stdout
    assert "Whole" in (tmp_path / "page.html").read_text()
    assert json.loads(inspect(folder, "--json").stdout)["faults"] == []
    (folder / "model.safetensors").write_bytes(b"no weights")
    out = inspect(tmp_path / "run")
    assert out.exit_code == 4 and "error: " in out.stdout and "model.safetensors" in out.stdout


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ((), "give a recipe, a run or model folder, or --source and --target", 2),
        (("x.yaml", "--source", "y"), "give a recipe, a run or model folder, or --source and --target", 2),
        (("x.yaml",), "x.yaml: no such file", 2),
        (("--source", "missing.en", "--target", "missing.de"), "missing.en: no such file", 2),
        (("--source", "x", "--html", "nowhere/page.html"), "nowhere/page.html: its folder does not exist", 2),
        ((".",), "neither a model folder nor a run folder", 4),
    ],
)
def test_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    out = inspect(*arguments)
    assert (out.exit_code, message in out.stderr) == (code, True)


def test_a_missing_corpus_of_a_recipe(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe_file()
    (tmp_path / "data/valid.de").unlink()
    out = inspect(path)
    assert out.exit_code == 2 and "valid.de: no such file" in out.stderr


def test_no_terminal_obeys_what_a_folder_holds(tmp_path: Path) -> None:
    folder = model(tmp_path)
    config = read_json(folder / "config.json")
    config["settings"]["data"]["source_language"] = "\ud800"
    config["settings"]["train"]["\x1b[2J\x9b"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    shown = inspect(folder)
    assert shown.exit_code == 4
    assert "\\ud800" in shown.stdout and "\\x1b[2J" in shown.stdout
    assert not {"\x1b", "\x9b"} & set(shown.stdout)
    record = json.loads(inspect(folder, "--json").stdout)
    assert "\ud800" in " ".join(record["faults"])


def test_help_is_quick() -> None:
    start = time.process_time()
    before = os.times().children_user
    code = "from seq2seq.cli.inspect import main; main(['--help'])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "--test-target" in out.stdout and "numpy" not in out.stderr
    assert os.times().children_user - before + time.process_time() - start < 2  # seconds; torch alone takes more
