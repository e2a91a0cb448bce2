"""seq2seq-evaluate as a command: several systems and references, test sets by name, warnings, the report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_pairs, tiny_recipe

FIELDS = ("src", "ref", "docid", "genre", "origlang")


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs seq2seq-evaluate on one thread; downloads are refused at once."""
    program = [sys.executable, "-c", "from seq2seq.cli.evaluate import main; main()"]
    nowhere = dict.fromkeys(("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:1")
    environment = {**os.environ, **nowhere, "no_proxy": "", "NO_PROXY": "", "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, timeout=240, env=environment
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text and two model folders with random weights, one of them a checkpoint."""
    from seq2seq.config import TokenizerSettings, settings_from_dict
    from seq2seq.files import atomic_folder
    from seq2seq.model.folder import TrainedModel, build_model, save_model
    from seq2seq.text.tokenizer import Tokenizer

    folder = tmp_path_factory.mktemp("evaluate")
    pairs = make_pairs(200)
    settings, tokenizer = (
        settings_from_dict(tiny_recipe(folder)),
        Tokenizer.train(pairs, TokenizerSettings(vocab_size=60)),
    )
    for seed, name in enumerate(("model", "run/checkpoints/step-00000120")):
        torch.manual_seed(seed)
        with atomic_folder(folder / name) as temporary:
            save_model(temporary, TrainedModel(build_model(settings, tokenizer), tokenizer, settings, 40))
    texts = {
        "test.en": [source for source, _ in pairs[:30]],
        "test.de": [target for _, target in pairs[:30]],
        "other.de": [target.lower() for _, target in pairs[:30]],
        "out.de": [target.replace("DOG", "CAT") for _, target in pairs[:30]],
        "rough.de": [target.lower().replace("!", " .") for _, target in pairs[:30]],
        "short.de": [target for _, target in pairs[:29]],
        "train.en": [source for source, _ in pairs[28:]],
    }
    for name, lines in texts.items():
        (folder / name).write_text("".join(line + "\n" for line in lines))
    return folder


def files(data: Path, *options: str) -> list[object]:
    """Returns options, with the names of files in the folder made paths."""
    return [data / part if (data / part).exists() else part for part in options]


def test_one_system_in_a_column(data: Path) -> None:
    out = run(*files(data, "--hypothesis", "out.de", "--reference", "test.de"))
    assert (out.returncode, out.stderr) == (0, "")
    lines = out.stdout.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["BLEU", "chrF", "chrF++", "TER", "exact", "±"]
    record = json.loads(run(*files(data, "--hypothesis", "out.de", "--reference", "test.de", "--json")).stdout)
    assert (record["system"], record["lines"]) == (str(data / "out.de"), 30)
    for line, (name, metric) in zip(lines, record["metrics"].items(), strict=False):
        assert line.split() == [
            name,
            f"{metric['score']:.2f}",
            "±",
            f"{metric['margin']:.2f}",
            metric["signature"],
        ]


def test_systems_and_test_sets_by_name(data: Path, tmp_path: Path) -> None:
    both = [
        f"--testset=one={data / 'test.en'},{data / 'test.de'}",
        f"--testset=two={data / 'test.en'},{data / 'test.de'},{data / 'other.de'}",
    ]
    given = f"--hypothesis=file={data / 'out.de'},{data / 'test.de'}"
    page = tmp_path / "report.html"
    out = run(f"greedy={data / 'run'},beam_size=1", f"beam={data / 'run'},beam_size=3", given, *both, "--report", page,
              "--json")  # fmt: skip
    assert out.returncode == 0, out.stderr
    first, second = json.loads(out.stdout)["testsets"]
    assert (first["test"]["title"], second["test"]["title"]) == ("one", "two")
    assert [system["system"] for system in second["systems"]] == ["greedy", "beam", "file"]
    assert second["systems"][2]["exact"] == 1 > first["systems"][2]["exact"]
    assert {s["metrics"]["TER"]["signature"].split("|")[0] for s in second["systems"]} == {"nrefs:2"}
    assert all(system["loss"] > 0 for system in first["systems"][:2]) and "loss" not in first["systems"][2]
    sides = files(data, "--source", "test.en", "--reference", "test.de")
    alone = json.loads(run(data / "run", *sides, "--beam-size", 3, "--json").stdout)
    assert alone["metrics"] == first["systems"][1]["metrics"]
    assert "greedy" in page.read_text()
    for form, mark in (("markdown", "| greedy |"), ("latex", "greedy &"), ("text", "one, 30 lines")):
        told = run(f"greedy={data / 'run'},beam_size=1", given, *both, "--format", form).stdout
        assert mark in told and told.count("nrefs:2|") == 4 == told.count("nrefs:1|")


def test_models_and_files_together(data: Path, tmp_path: Path) -> None:
    sides = files(data, "--source", "test.en", "--reference", "test.de", "--reference", "other.de")
    out = run(*files(data, "model", "run", "--hypothesis", "out.de"), *sides, "--beam-size", 1, "--json")
    assert out.returncode == 0, out.stderr
    systems = json.loads(out.stdout)["systems"]
    assert [system["system"] for system in systems] == [str(data / name) for name in ("model", "run", "out.de")]
    assert {s["metrics"]["BLEU"]["signature"].split("|")[0] for s in systems} == {"nrefs:2"}
    kept = run(data / "run", *sides, "--beam-size", 1, "--output", tmp_path / "kept.de", "--json")
    assert json.loads(kept.stdout)["metrics"] == systems[1]["metrics"]
    again = run("--hypothesis", tmp_path / "kept.de", *sides, "--json")
    assert json.loads(again.stdout)["metrics"] == systems[1]["metrics"]


def test_table_of_several_systems(data: Path) -> None:
    options = files(data, "--hypothesis", "out.de", "--hypothesis", "test.de", "--reference", "test.de")
    lines = run(*options).stdout.splitlines()
    assert lines[0].split() == ["system", "BLEU", "chrF", "chrF++", "TER", "exact"]
    assert [line.split()[0] for line in lines[1:3]] == [str(data / "out.de"), str(data / "test.de")]
    perfect = ["100.00", "±", "0.00"]
    assert lines[2].split()[1:] == [*perfect, *perfect, *perfect, "0.00", "±", "0.00", "100.00"]
    assert sum("nrefs:1|" in line for line in lines) == 4
    assert any(line.startswith("against ") for line in lines)
    assert any(line.startswith(f"{data / 'test.de'} has the highest BLEU, 100.0") for line in lines)


def test_warnings_stand_on_stderr_in_json_and_in_the_report(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    options = ["--source", "test.en", "--reference", "test.de", "--train", "train.en", "--json", "--report"]
    out = run(*files(data, "--hypothesis", "rough.de", *options), page)
    record = json.loads(out.stdout)
    name = data / "rough.de"
    trained = set((data / "train.en").read_text().splitlines())
    seen = sum(line in trained for line in (data / "test.en").read_text().splitlines())
    assert seen >= 2
    assert record["warnings"] == [
        f"{name}: the translations are lower-cased and the references are not: the scores mind capitals",
        f"{name}: 30 of 30 translations have spaces before full stops or commas, unlike the references: "
        "detokenise them",
        f"{seen} of 30 test sources also stand in {data / 'train.en'}",
    ]
    assert out.stderr.splitlines() == [f"warning: {warning}" for warning in record["warnings"]]
    assert record["train"][0]["sources"] == seen
    html = page.read_text()
    assert all(warning in html for warning in record["warnings"])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_report_tells_how_to_repeat_a_models_scores(data: Path, tmp_path: Path) -> None:
    from seq2seq.files import sha256

    page = tmp_path / "report.html"
    sides = files(data, "--source", "test.en", "--reference", "test.de")
    out = run(data / "run", *sides, "--beam-size", 1, "--threads", 1, "--report", page)
    assert out.returncode == 0, out.stderr
    html = page.read_text()
    folder = data / "run/checkpoints/step-00000120"
    config = json.loads((folder / "config.json").read_text())
    for part in (
        str(folder),
        "<dt>Step</dt><dd>120</dd>",
        config["settings_hash"],
        config["tokenizer_hash"],
        sha256(folder / "model.safetensors"),
        sha256(data / "test.en"),
        sha256(data / "test.de"),
        "cpu, fp32, CPU threads: 1",
        "beam_size: 1",
        "learning_rate: 0.003",
        f"Run in {Path.cwd()}",
        f"--beam-size 1 --threads 1 --report {page}",
    ):
        assert part in html
    for line in out.stdout.splitlines()[:4]:
        assert line.split()[-1] in html


def test_set_by_name_from_sacrebleus_cache(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wmt14/full"
    folder.mkdir(parents=True)
    for field in FIELDS:
        name = {"src": "test.en", "ref": "test.de"}.get(field, "test.en")
        (folder / f"wmt14_full.en-de.{field}").write_bytes((data / name).read_bytes())
    named = ["--testset", "wmt14/full", "--langpair", "en-de"]
    out = run(data / "model", *named, *files(data, "--hypothesis", "out.de"), "--json", SACREBLEU=str(tmp_path))
    assert out.returncode == 0, out.stderr
    of_model, of_file = json.loads(out.stdout)["systems"]
    sides = files(data, "--source", "test.en", "--reference", "test.de")
    assert json.loads(run(data / "model", *sides, "--json").stdout)["metrics"] == of_model["metrics"]
    command = [sys.executable, "-m", "sacrebleu", "-t", "wmt14/full", "-l", "en-de", "-i", str(data / "out.de")]
    environment = {**os.environ, "SACREBLEU": str(tmp_path)}
    theirs = subprocess.run([*command, "-b", "-w", "8"], capture_output=True, text=True, env=environment).stdout
    assert of_file["metrics"]["BLEU"]["score"] == pytest.approx(float(theirs), abs=1e-7)


def test_set_that_cannot_be_downloaded(data: Path, tmp_path: Path) -> None:
    named = ["--testset", "wmt14/full", "--langpair", "en-de"]
    out = run(*files(data, "--hypothesis", "out.de"), *named, SACREBLEU=str(tmp_path))
    assert (out.returncode, out.stdout) == (2, "")
    for part in (
        "https://statmt.org/wmt14/test-full.tgz",
        f"sacrebleu looks in {tmp_path / 'wmt14/full'}",
        "wmt14_full.en-de.src",
        "--source and --reference",
    ):
        assert part in out.stderr
    assert len(out.stderr.splitlines()) == 5
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reference", "test.de"], "nothing to score: give MODEL with --source, or --hypothesis FILE"),
        (["model", "--reference", "test.de"], "MODEL needs a text to translate: give --source"),
        (["out.de", "--reference", "test.de"], "out.de is a file and no model: translations are given by --hypothesis"),
        (["--hypothesis", "out.de"], "give --reference, or --testset"),
        (["--hypothesis", "out.de", "--testset", "wmt14"], "--testset needs --langpair"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--langpair", "de"], "must be two languages"),
        (
            ["--hypothesis", "out.de", "--testset", "wmt14", "--langpair", "en-de", "--reference", "test.de"],
            "--testset stands for --source and --reference",
        ),
        (["--hypothesis", "out.de", "--testset", "wmt41", "--langpair", "en-de"], "near names: wmt24"),
        (["--hypothesis", "out.de", "--testset", "wmt14", "--langpair", "de-xx"], "wmt14 has the pairs cs-en, de-en"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--beam-size", "2"], "go with MODEL"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--output", "x"], "go with MODEL"),
        (
            ["model", "run", "--source", "test.en", "--reference", "test.de", "--output", "x"],
            "--output takes the translations of one MODEL and test set, not of 2",
        ),
        (["--hypothesis", "out.de", "--hypothesis", "out.de", "--reference", "test.de"], "two systems are called "),
        (["--hypothesis", "a=x,y", "--reference", "test.de"], "2 files for 1 test set; give one for each"),
        (["--hypothesis", "out.de", "--testset", "a=x"], "NAME=SOURCE,REFERENCE"),
        (["a=model,beam_size", "--source", "test.en", "--reference", "test.de"], "is not KEY=VALUE"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--comet"], "no source for COMET to read: give --source"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--report", "/no/x.html"], "/no/x.html: its folder"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--train", "nowhere"], "nowhere: cannot be read"),
        (["--hypothesis", "out.de", "--reference", "test.de", "--reference", "short.de"], "short.de has 29 lines and "),
        (["--hypothesis", "short.de", "--reference", "test.de"], "test.de has 30"),
        (["--hypothesis", "out.de", "--source", "short.de", "--reference", "test.de"], "short.de has 29 lines and "),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(data: Path, options: list[str], message: str) -> None:
    out = run(*files(data, *options))
    assert message in out.stderr
    assert (out.returncode, out.stdout) == (2, "")
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize(
    ("setting", "message"), [("beams=3", "did you mean"), ("beam_size=0", "beam_size"), ("beam_size=x", "beam_size")]
)
def test_settings_of_a_model_are_checked_like_a_recipes(data: Path, setting: str, message: str) -> None:
    sides = files(data, "--source", "test.en", "--reference", "test.de")
    out = run(f"mine={data / 'model'},{setting}", *sides)
    assert (out.returncode, out.stdout) == (2, "")
    assert message in out.stderr and "Traceback" not in out.stderr


def test_a_missing_model_is_found_before_the_first_one_translates(data: Path, tmp_path: Path) -> None:
    sides = files(data, "--source", "test.en", "--reference", "test.de")
    out = run(data / "model", data / "nowhere", *sides)
    assert out.returncode == 4
    assert "nowhere: no such folder" in out.stderr


def test_help_shows_examples() -> None:
    out = run("--help")
    assert out.stdout.count("  seq2seq-evaluate ") >= 4
    assert "--testset NAME" in out.stdout
