"""The options of seq2seq-translate about search and steering, on the stored model."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from decode.stored import FOLDER, LINES

from seq2seq.cli import translate
from seq2seq.decode.protected import lost
from seq2seq.decode.translator import Translator

TEXT = [*LINES[:3], "The student has 5 letters and {name}.", "", "Our mother sees 12 cars."]


def run(*arguments: object, lines: list[str] = TEXT, model: Path = FOLDER) -> Result:
    options = [str(model), "--device", "cpu", *map(str, arguments)]
    return CliRunner().invoke(translate.main, options, input="".join(line + "\n" for line in lines).encode())


def out(*arguments: object, **more: Any) -> list[str]:
    done = run(*arguments, **more)
    assert done.exit_code == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_glossary_forbidden_and_keep(tmp_path: Path) -> None:
    glossary = write(tmp_path / "terms", "student\tSchüler\nmother\tMama\n")
    forbidden = write(tmp_path / "words", "\ufeffhat\n\nder\n")
    texts = out("--glossary", glossary, "--forbidden", forbidden, "--keep", "number", "--keep", "placeholder")
    assert len(texts) == len(TEXT) and texts[4] == ""
    assert "chüler" in texts[0] and "chüler" in texts[3] and "Mama" in texts[5]
    assert [lost(line, text) for line, text in zip(TEXT, texts, strict=True)] == [[]] * len(TEXT)
    assert not {"hat", "der"} & {word.strip(".,?").lower() for text in texts for word in text.split()}
    kept = out("--keep", "all")
    assert [lost(line, text) for line, text in zip(TEXT, kept, strict=True)] == [[]] * len(TEXT)
    broken = run("--glossary", write(tmp_path / "broken", "a\tb\nno tab\n"))
    assert broken.exit_code == 2 and f"{tmp_path / 'broken'}:2: must be a source term" in broken.stderr
    refused = run("--keep", "all", "--search", "sampling")
    assert refused.exit_code == 2 and "need plain beam search" in refused.stderr


def test_prefixes(tmp_path: Path) -> None:
    begins = ["Heute", "", "Ja, meine", "Der", "", "Er"]
    texts = out("--prefixes", write(tmp_path / "begins", "".join(each + "\n" for each in begins)))
    assert all(text.startswith(begin) for text, begin in zip(texts, begins, strict=True))
    assert texts[1] == Translator.load(FOLDER, "cpu").translate(TEXT[1:2])[0]


def test_prefixes_must_be_as_many_as_lines(tmp_path: Path) -> None:
    few = run("--prefixes", write(tmp_path / "few", "Heute\n\n"))
    assert few.exit_code == 2 and "there are 2 for 6 lines or more" in few.stderr
    many = run("--prefixes", write(tmp_path / "many", "\n" * 8))
    assert many.exit_code == 2 and "8 prefixes" in many.stderr and "6 lines" in many.stderr
    output = ["--output", tmp_path / "out"]
    resumed = run("--prefixes", tmp_path / "few", "--resume", *output)
    assert resumed.exit_code == 2 and "neither --resume nor --shard" in resumed.stderr
    assert not (tmp_path / "out").exists()


def test_guard_tells_what_seems_wrong() -> None:
    done = run("--guard", "--format", "jsonl", "--beam-size", 1)
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    wrong = [record for record in records if record.get("retried")]
    assert 0 < len(wrong) < len(TEXT)
    assert f"{len(wrong)} of 6 translations seemed wrong and were tried once more" in done.stderr
    assert any("lost" in record["flags"] for record in wrong)
    assert "still flagged: " in done.stderr


def test_another_model_translates_with_it(tmp_path: Path) -> None:
    plain = out()
    assert out("--with", FOLDER, "--with", FOLDER) == plain
    shutil.copytree(FOLDER, tmp_path / "copy")
    assert out("--with", tmp_path / "copy") == plain
    missing = run("--with", tmp_path / "nowhere")
    assert missing.exit_code != 0 and "no such folder" in missing.stderr


@pytest.mark.parametrize("mbr", ["none", "chrf"])
def test_sampling_with_a_seed(mbr: str) -> None:
    options = ["--search", "sampling", "--candidates", 3, "--mbr", mbr, "--seed"]
    first = out(*options, 1)
    assert first == out(*options, 1, "--batch-size", 1)
    assert first != out(*options, 2)
    rows = [json.loads(line) for line in out(*options, 1, "--format", "jsonl", "--n-best", 3)]
    if mbr == "none":  # of as many as are asked for the most probable
        assert all(row["score"] == max(each["score"] for each in row["n_best"]) for row in rows if row["n_best"])
    else:
        assert [row["translation"] for row in rows] == first
    assert all(("utility" in each) == (mbr == "chrf") for row in rows for each in row["n_best"])
    beyond = run(*options, 1, "--format", "jsonl", "--n-best", 4)
    assert beyond.exit_code == 2 and "--n-best 4 is more than the samples, --candidates, 3" in beyond.stderr


def test_drawing_is_asked_for() -> None:
    done = run("--temperature", 0.5, "--top-k", 3)
    assert done.exit_code == 2 and not done.stdout
    assert "--temperature, --top-k: beam search draws nothing; give --search sampling too" in done.stderr
    assert run("--temperature", 0.5, "--search", "sampling").exit_code == 0


def test_help_lists_the_options_at_once() -> None:
    code = "from seq2seq.cli.translate import main; main(['--help'])"
    times = []
    for _ in range(3):
        started = time.process_time(), time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        times.append(time.monotonic() - started[1])
        if times[-1] < 0.5:
            break
    for name in ("glossary", "forbidden", "prefixes", "keep", "guard", "with", "search", "seed", "mbr"):
        assert f"--{name} " in done.stdout
    titles = re.findall(r"^(\w.*):$", done.stdout, re.MULTILINE)
    assert titles[0] == "Input and output" and titles[-2:] == ["Computing", "Other options"]
    for before, name, after in (
        ("Input", "resume", "Search"),
        ("Search", "with", "Sampling"),
        ("Checks", "guard", "Comp"),
    ):
        places = [done.stdout.index(text) for text in (f"\n{before}", f"  --{name} ", f"\n{after}")]
        assert places == sorted(places)
    assert min(times) < 0.5
