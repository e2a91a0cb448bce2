"""The whole program through its commands, on small generated data."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import make_pairs, write_pairs
from safetensors.torch import load_file

Write = Callable[..., Path]


def run(command: str, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a command of ours, on one thread."""
    program = [sys.executable, "-c", f"from seq2seq.cli.{command} import main; main()"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*program, *map(str, arguments)], input=stdin, capture_output=True, timeout=240, env=environment
    )


def fastest(command: str, *arguments: object) -> float:
    """Returns the seconds that the quickest of three runs took: the others may have met a busy machine."""
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        run(command, *arguments)
        seconds.append(time.monotonic() - started)
    return min(seconds)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that has learnt to copy short words."""
    import yaml
    from conftest import tiny_recipe

    folder = tmp_path_factory.mktemp("trained")
    pairs = [(source, source.upper()) for source, _ in make_pairs(1500)]
    write_pairs(folder / "data", "train", pairs)
    write_pairs(folder / "data", "valid", [(source, source.upper()) for source, _ in make_pairs(60, seed=1)])
    train = {"max_steps": 300, "batch_tokens": 800, "device_tokens": 800, "learning_rate": 6e-3, "warmup_steps": 60}
    train |= {"validate_every": 150, "checkpoint_every": 50, "log_every": 50}
    recipe = tiny_recipe(folder, train=train, model={"d_model": 64, "dropout": 0.0})
    recipe["data"]["test"] = dict(recipe["data"]["valid"])
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = run("train", folder / "recipe.yaml")
    assert done.returncode == 0, done.stderr.decode()
    return folder


def test_training_leaves_a_whole_run_folder(trained: Path) -> None:
    folder = trained / "run"
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "recipe.yaml",
        "status.json",
        "metrics.jsonl",
        "samples.jsonl",
        "tensorboard",
        "train.log",
        "run.json",
        "best",
        "checkpoints",
    }
    assert {path.name for path in (folder / "best").iterdir()} == {
        "model.safetensors", "config.json", "tokenizer", "MANIFEST.json",
    }  # fmt: skip
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    keys = set().union(*events)
    assert {"step", "seconds", "train/loss", "train/tokens_per_second", "valid/loss", "valid/bleu", "test/bleu"} <= keys
    assert list((folder / "tensorboard").iterdir())


def test_it_translates_and_evaluates(trained: Path, tmp_path: Path) -> None:
    source, reference = trained / "data/valid.en", trained / "data/valid.de"
    out = run("translate", trained / "run", "--input", source, "--output", tmp_path / "out.de")
    assert (out.returncode, out.stdout) == (0, b"")
    piped = run("translate", trained / "run", stdin=source.read_bytes())
    assert piped.stdout == (tmp_path / "out.de").read_bytes()
    by_file = run("evaluate", "--hypothesis", tmp_path / "out.de", "--reference", reference, "--json")
    by_model = run("evaluate", trained / "run", "--source", source, "--reference", reference, "--json")
    assert json.loads(by_file.stdout)["metrics"] == json.loads(by_model.stdout)["metrics"]
    scores = json.loads(by_file.stdout)
    assert scores["metrics"]["BLEU"]["score"] > 80
    assert scores["metrics"]["BLEU"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    text = run("evaluate", "--hypothesis", tmp_path / "out.de", "--reference", reference).stdout.decode()
    assert re.match(r"BLEU +\d+\.\d\d ± +\d+\.\d\d +nrefs", text)
    status = json.loads((trained / "run/status.json").read_text())
    assert status["test/bleu"] == pytest.approx(scores["metrics"]["BLEU"]["score"])
    (tested,) = status["tests"]
    assert (tested["name"], tested["direction"]) == (f"{source} | {reference}", "en-de")
    assert tested["metrics"]["BLEU"].items() <= scores["metrics"]["BLEU"].items()


def test_python_in_five_lines(trained: Path) -> None:
    from seq2seq import Translator

    assert Translator.load(trained / "run", "cpu").translate(["red dog.", ""]) == ["RED DOG.", ""]


def test_jsonl_has_scores_flags_and_n_best(trained: Path) -> None:
    lines = "red dog.\n\n" + "old cat sees house. " * 40 + "\n"
    out = run("translate", trained / "run", "--format", "jsonl", "--n-best", 2, "--beam-size", 3, stdin=lines.encode())
    first, blank, long = map(json.loads, out.stdout.decode().splitlines())
    assert first["translation"] == first["n_best"][0]["translation"] == "RED DOG."
    assert first["n_best"][0]["score"] >= first["n_best"][1]["score"]
    assert blank == {
        "translation": "",
        "score": None,
        "log_prob": None,
        "split": False,
        "truncated": False,
        "failed": False,
        "n_best": [],
    }
    assert long["split"] is True
    assert long["translation"].count("HOUSE") >= 30
    assert b"1 of 3 lines were longer than the model's training data and were split" in out.stderr


def test_score_of_a_translation_is_that_of_the_search(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("red dog.\nbig old house sees cat.\n")
    found = run("translate", trained / "run", "--input", tmp_path / "source", "--format", "jsonl").stdout.splitlines()
    records = [json.loads(line) for line in found]
    (tmp_path / "target").write_text("".join(record["translation"] + "\n" for record in records))
    files = ["--source", tmp_path / "source", "--target", tmp_path / "target"]
    out = run("score", trained / "run", *files)
    assert [float(line) for line in out.stdout.splitlines()] == pytest.approx(
        [record["log_prob"] for record in records], abs=1e-5
    )
    scored = [
        json.loads(line) for line in run("score", trained / "run", *files, "--format", "jsonl").stdout.splitlines()
    ]
    for record in scored:
        assert sum(record["token_log_probs"]) == pytest.approx(record["log_prob"], abs=1e-6)
        assert len(record["tokens"]) == len(record["token_log_probs"])
        assert record["tokens"][-1] == "</s>"
    tokens = sum(len(record["tokens"]) for record in scored)
    assert f"2 lines, {tokens} tokens, perplexity 1." in out.stderr.decode()


def test_a_translation_model_is_not_taken_for_a_language_model(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("RED DOG.\n")
    out = run("score", trained / "run", "--target", tmp_path / "target")
    assert out.returncode == 2
    assert b"error: the model translates: give --source" in out.stderr
    out = run("generate", trained / "run", "--prompt", "red")
    assert out.returncode == 4
    assert b"is a translation model, which cannot continue text" in out.stderr


def test_average_of_checkpoints(trained: Path, tmp_path: Path) -> None:
    out = run("average", trained / "run", "--last", 2, "--output", tmp_path / "average")
    assert b"steps 250, 300" in out.stderr
    folders = [trained / f"run/checkpoints/step-{step:08d}" for step in (250, 300)] + [tmp_path / "average"]
    first, second, mean = (load_file(folder / "model.safetensors") for folder in folders)
    assert first.keys() == mean.keys()
    for name, value in mean.items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    assert run("translate", tmp_path / "average", stdin=b"red dog.\n").stdout == b"RED DOG.\n"


def test_shortlist_from_text_to_translation(trained: Path, tmp_path: Path) -> None:
    """Learnt for a copy of the model, used when it is asked for, gone with nothing of the model changed."""
    shutil.copytree(trained / "run/best", tmp_path / "model")
    source, target = trained / "data/train.en", trained / "data/train.de"
    out = run("shortlist", tmp_path / "model", "--source", source, "--target", target)
    assert (out.returncode, out.stdout) == (0, b""), out.stderr.decode()
    log = (
        rb"learning a shortlist from 1,425 pairs\n.* of 60 target tokens .*; 100.0 % of those of 75 unseen translations"
    )
    assert re.search(log, out.stderr)
    lines = (trained / "data/valid.en").read_bytes()
    expected = run("translate", trained / "run", stdin=lines).stdout
    for options in (["--no-shortlist"], []):
        assert run("translate", tmp_path / "model", *options, stdin=lines).stdout == expected
    out = run("translate", tmp_path / "model", "--shortlist", "--format", "jsonl", "--n-best", 2, stdin=lines)
    records = [json.loads(line) for line in out.stdout.splitlines()]
    assert [record["translation"].encode() for record in records] == expected.splitlines()
    assert all(len(record["n_best"]) == 2 for record in records)
    whole = run("translate", tmp_path / "model", "--format", "jsonl", stdin=lines).stdout.splitlines()
    higher = [a["log_prob"] > json.loads(b)["log_prob"] for a, b in zip(records, whole, strict=True)]
    assert sum(higher) > len(higher) / 2
    scored = run("evaluate", tmp_path / "model", "--shortlist", "--source", trained / "data/valid.en", "--reference",
                 trained / "data/valid.de", "--json")  # fmt: skip
    assert json.loads(scored.stdout)["metrics"]["BLEU"]["score"] > 80


def test_any_bytes_in_as_many_lines_out(trained: Path, tmp_path: Path) -> None:
    content = (
        b"\n   \nred dog.\r\n\xff\xfe broken \x80\n" + b"dog " * 25_000
        + "\n\U0001f600\u2028\u0085\u202e\n".encode() + b"a\x00b\rc\x0bd\n\n"
        + "\u3000\n\ufeffred\nno final newline".encode()
    )  # fmt: skip
    (tmp_path / "in").write_bytes(content)
    for arguments in (["--input", tmp_path / "in"], []):
        out = run("translate", trained / "run", "--beam-size", 1, *arguments, stdin=content)
        assert out.returncode == 0, out.stderr.decode()
        assert out.stdout.count(b"\n") == content.count(b"\n") + 1
        lines = out.stdout.decode().split("\n")
        assert [lines[i] for i in (0, 1, 7, 8)] == ["", "", "", ""]
        assert lines[2] == "RED DOG."
        assert all(line.splitlines() in ([], [line]) for line in lines)


def test_output_that_is_no_file_is_written_to(trained: Path, tmp_path: Path) -> None:
    assert run("translate", trained / "run", "--output", "/dev/stdout", stdin=b"red dog.\n").stdout == b"RED DOG.\n"
    assert Path("/dev/stdout").exists()
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert run("translate", trained / "run", "--output", tmp_path / "link", stdin=b"red dog.\n").returncode == 0
    assert (tmp_path / "real").read_text() == "RED DOG.\n"
    assert (tmp_path / "link").is_symlink()


def test_translating_a_file_onto_itself(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("red dog.\nblue cat.\n")
    out = run("translate", trained / "run", "--input", tmp_path / "text", "--output", tmp_path / "text")
    assert out.returncode == 0
    assert (tmp_path / "text").read_text() == "RED DOG.\nBLUE CAT.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_killed_run_goes_on_bit_for_bit(recipe_file: Write, corpus: Path) -> None:
    """70 steps equal 40, kill -9, and the rest; several micro-batches a step, across an epoch's end."""
    more = {"max_steps": 70, "checkpoint_every": 10, "validate_every": 35, "log_every": 1, "device_tokens": 128}
    recipe = recipe_file(train={**more, "keep_checkpoints": 9})
    assert run("train", recipe, f"output={corpus / 'whole'}").returncode == 0
    program = [sys.executable, "-c", "from seq2seq.cli.train import main; main()", str(recipe)]
    killed = subprocess.Popen(
        [*program, f"output={corpus / 'killed'}"], stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    metrics = corpus / "killed/metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and '"step": 40,' in metrics.read_text()):
        assert killed.poll() is None, "it ended before it was killed"
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (corpus / "killed/checkpoints/step-00000070").exists()
    done = run("train", recipe, f"output={corpus / 'killed'}")
    assert done.returncode == 0, done.stderr.decode()
    assert b"going on from" in done.stderr
    for name in ("model", "optimizer"):
        whole, resumed = (
            load_file(corpus / run_name / f"checkpoints/step-00000070/{name}.safetensors")
            for run_name in ("whole", "killed")
        )
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    logged = []
    for name in ("whole", "killed"):
        events = [json.loads(line) for line in (corpus / name / "metrics.jsonl").read_text().splitlines()]
        logged.append([(e["step"], e["train/loss"]) for e in events if "train/loss" in e])
    assert logged[0] == logged[1]
    assert [step for step, _ in logged[0]] == list(range(1, 71))
    assert events[-3]["train/epoch"] > 0


def test_typo_fails_at_once_with_a_hint(recipe_file: Write) -> None:
    recipe = recipe_file()
    assert fastest("train", recipe, "train.warmup_step=5") < 2
    out = run("train", recipe, "train.warmup_step=5")
    assert out.returncode == 2
    assert b"did you mean train.warmup_steps" in out.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "code", "message"),
    [
        ("train", ["nowhere.yaml"], 2, "nowhere.yaml"),
        ("average", ["{run}", "--last", "9", "--output", "x"], 4, "has 5 checkpoints, not 9"),
        ("average", ["{run}", "--output", "{data}"], 2, "exists and is not a model folder"),
        ("average", ["{run}", "--output", "{run}"], 2, "exists and is not a model folder"),
        ("train", ["{data}/../recipe.yaml", "--list-dropped", "{data}/none/x"], 2, "No such file or directory"),
        ("train", ["{data}/../recipe.yaml", "--accept", "train.max_step"], 2, "--accept train.max_step: unknown key"),
        ("score", ["{run}", "--source", "{data}/train.en", "--target", "{data}/valid.de"], 2, "valid.de has 60"),
        ("train", [], 2, "Missing argument 'RECIPE'"),
        ("train", ["--explain", "train.learning_rat"], 2, "did you mean train.learning_rate"),
        ("translate", ["nowhere"], 4, "nowhere: no such folder"),
        ("translate", ["{run}", "--input", "nowhere.txt"], 2, "nowhere.txt: cannot be read: No such file"),
        ("translate", ["{run}", "--input", "{data}"], 2, "Is a directory"),
        ("translate", ["{run}", "--max-length-ratio", "0"], 2, "decode.max_length_ratio"),
        ("translate", ["{run}", "--n-best", "2"], 2, "needs --format jsonl"),
        ("translate", ["{run}", "--n-best", "9", "--format", "jsonl"], 2, "--n-best 9 is more than --beam-size, 2"),
        ("translate", ["{run}", "{data}/valid.en"], 2, "a file to read is given by --input FILE"),
        ("translate", ["{run}", "--output", "/nowhere/x"], 2, "/nowhere/x: No such file"),
        (
            "translate",
            ["{run}", "--shortlist"],
            4,
            "seq2seq-shortlist MODEL --source FILE --target FILE\nor translate with",
        ),
        (
            "shortlist",
            ["{run}", "--source", "{data}/train.en", "--target", "{data}/valid.de"],
            2,
            "valid.de has 60",
        ),
        (
            "shortlist",
            ["{run}", "--source", "{data}/none.en", "--target", "{data}/none.de"],
            2,
            "none.en: cannot be read",
        ),
        ("shortlist", ["{run}", "--source", "{data}/train.en"], 2, "Missing option '--target'"),
        ("shortlist", ["nowhere", "--source", "x", "--target", "x"], 4, "nowhere: no such folder"),
        (
            "shortlist",
            ["{run}", "--source", "x", "--target", "x", "--target", "y"],
            2,
            "each --source needs a --target",
        ),
        ("translate", ["{run}", "--device", "abacus"], 2, "must be auto, cpu, cuda or cuda:N"),
        (
            "evaluate",
            ["{run}", "--source", "{data}/valid.en", "--reference", "{data}/valid.de", "--output", "/no/x"],
            2,
            "/no/x",
        ),
        (
            "evaluate",
            ["--reference", "{run}/recipe.yaml"],
            2,
            "nothing to score: give MODEL with --source, or --hypothesis",
        ),
        ("evaluate", ["--hypothesis", "{run}/recipe.yaml", "--reference", "{data}/valid.de"], 2, "valid.de has 60"),
        ("evaluate", ["{run}", "--source", "{data}/train.en", "--reference", "{data}/valid.de"], 2, "valid.de has 60"),
    ],
)
def test_errors_say_what_to_do(trained: Path, command: str, arguments: list[str], code: int, message: str) -> None:
    places = {"run": trained / "run", "data": trained / "data"}
    out = run(command, *(argument.format(**places) for argument in arguments))
    assert message in out.stderr.decode()
    assert out.returncode == code
    assert b"Traceback" not in out.stderr


def test_misaligned_or_broken_text_stops_before_training(recipe_file: Write, corpus: Path) -> None:
    target = corpus / "data/train.de"
    content = target.read_bytes()
    cases = {
        content + b"ONE MORE\n": "train.de has 401",
        b"": "train.de has 0",
        content[:50] + b"\xff" + content[50:]: "UTF-8",
    }
    for broken, message in cases.items():
        target.write_bytes(broken)
        out = run("train", recipe_file())
        assert message in out.stderr.decode()
        assert out.returncode == 2
        assert not (corpus / "run/checkpoints").exists()


def test_dry_run_tells_settings_and_sizes(recipe_file: Write, corpus: Path) -> None:
    out = run("train", recipe_file(), "train.max_steps=33", "--dry-run")
    text = out.stdout.decode()
    assert out.returncode == 0, out.stderr.decode()
    assert re.search(r"train\.max_steps +33 +command line", text)
    assert re.search(r"train\.epsilon +\S+ +default", text)
    assert re.search(r"data\.pool_size +150 +\S*recipe\.yaml:\d+", text)
    assert re.search(r"parameters +23,296", text)
    assert "400 pairs" in text
    assert "memory, estimated" in text
    assert not (corpus / "run").exists()


def test_run_folder_in_use(recipe_file: Write, corpus: Path) -> None:
    from seq2seq.files import lock

    with lock(corpus / "run", "in use"):
        out = run("train", recipe_file())
    assert out.returncode == 3
    assert b"another process is training in this folder" in out.stderr


def test_sigterm_saves_and_exits_143(recipe_file: Write, corpus: Path) -> None:
    recipe = recipe_file(train={"max_steps": 100_000, "validate_every": 1000, "checkpoint_every": 100_000})
    program = [sys.executable, "-c", "from seq2seq.cli.train import main; main()", str(recipe)]
    process = subprocess.Popen(program, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    metrics = corpus / "run/metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"stopped by SIGTERM; state saved" in stderr
    status = json.loads((corpus / "run/status.json").read_text())
    assert status["state"] == "interrupted"
    assert (corpus / f"run/checkpoints/step-{status['step']:08d}/MANIFEST.json").exists()


def test_a_language_model_from_text_to_text(tmp_path: Path) -> None:
    import yaml
    from conftest import text_recipe

    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(text_recipe(tmp_path)))
    done = run("train", tmp_path / "recipe.yaml")
    assert done.returncode == 0, done.stderr.decode()
    many = ["--samples", 2, "--format", "jsonl", "--stop", "\n"]
    out = run("generate", tmp_path / "run", "--begin", *many, stdin=b"red dog\n\n")
    assert out.returncode == 0, out.stderr.decode()
    begun = [json.loads(line) for line in out.stdout.splitlines()]
    assert [record["prompt"] for record in begun] == ["red dog", "red dog", "", ""]
    (tmp_path / "lines").write_text("".join(record["prompt"] + record["text"] + "\n" for record in begun))
    out = run("score", tmp_path / "run", "--target", tmp_path / "lines", "--format", "jsonl")
    scores = [json.loads(line)["token_log_probs"] for line in out.stdout.splitlines()]
    for score, record in zip(scores, begun, strict=True):
        written = score[len(record["prompt"]) :]
        assert written == pytest.approx(record["token_log_probs"][: len(written)], abs=1e-4)
    dropped = run("train", tmp_path / "recipe.yaml", "--list-dropped", tmp_path / "dropped")
    assert dropped.returncode == 2 and b"a language model is trained on all of its text" in dropped.stderr
    out = run("translate", tmp_path / "run", stdin=b"red dog\n")
    assert out.returncode == 4
    assert b"is a language model, which continues text (seq2seq-generate) and does not translate" in out.stderr


@pytest.mark.parametrize(
    "command",
    ["train", "translate", "evaluate", "score", "generate", "average", "shortlist", "merge", "calibrate", "inspect",
     "attention", "report", "leaderboard"],
)  # fmt: skip
def test_help_is_quick(command: str) -> None:
    out = run(command, "--help")
    assert out.returncode == 0
    assert b"Usage:" in out.stdout
    assert fastest(command, "--help") < 0.5


def test_dropped_pairs_are_listed(recipe_file: Write, corpus: Path) -> None:
    with open(corpus / "data/train.en", "a") as source, open(corpus / "data/train.de", "a") as target:
        source.write("\nred dog.\n")
        target.write("NOT BLANK\nDOG RED!\n")
    done = run("train", recipe_file(), "--list-dropped", corpus / "dropped.jsonl")
    assert (done.returncode, done.stdout) == (0, b"")
    assert f"1 pairs in {corpus / 'dropped.jsonl'}" in done.stderr.decode()
    (row,) = map(json.loads, (corpus / "dropped.jsonl").read_text().splitlines())
    assert (row["pair"], row["reason"], row["target"]) == (401, "blank", "NOT BLANK")


def test_unfreezing_is_accepted_by_name(recipe_file: Write, corpus: Path) -> None:
    recipe = recipe_file(train={"max_steps": 3})
    assert run("train", recipe, "train.freeze=[encoder.*]").returncode == 0
    refused = run("train", recipe)
    assert refused.returncode == 3
    assert b"train.freeze: was ['encoder.*'], is []" in refused.stderr
    again = run("train", recipe, "train.max_steps=4", "--accept", "train.freeze", "--accept", "train.max_steps")
    assert again.returncode == 0


def test_language_model_from_text_to_finished_run(tmp_path: Path) -> None:
    import yaml
    from conftest import make_text, text_recipe

    recipe = text_recipe(tmp_path, tokenizer={"type": "sentencepiece", "vocab_size": 300, "training_lines": 200})
    recipe["data"]["test"] = {"text": "test.txt", "documents": "lines"}
    (tmp_path / "data/test.txt").write_text(make_text(20, seed=3))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    dry = run("train", tmp_path / "recipe.yaml", "--dry-run")
    assert dry.returncode == 0, dry.stderr.decode()
    assert re.search(r"vocabulary +300\n", dry.stdout.decode())
    assert re.search(r"validation .+ 1 document, [\d,]+ tokens, [\d,]+ bytes\n", dry.stdout.decode())
    done = run("train", tmp_path / "recipe.yaml")
    assert done.returncode == 0, done.stderr.decode()
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 20)
    assert 0 < status["test/bits_per_byte"] < 8
    assert (tmp_path / "run/best/tokenizer/shared.model").exists()
    assert b"this run is finished" in run("train", tmp_path / "recipe.yaml").stderr
    wrong = run("translate", tmp_path / "run", stdin=b"text\n")
    assert wrong.returncode == 4
    assert b"is a language model, which continues text (seq2seq-generate) and does not translate" in wrong.stderr
    longer = run("train", tmp_path / "recipe.yaml", "train.max_steps=25")
    assert longer.returncode == 3
    assert b"train.max_steps: was 20, is 25" in longer.stderr
    averaged = run("average", tmp_path / "run", "--last", 2, "--output", tmp_path / "mean")
    assert averaged.returncode == 0, averaged.stderr.decode()
    assert (tmp_path / "mean/model.safetensors").exists()
