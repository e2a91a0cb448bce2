"""seq2seq-translate --alignment: an alignment for each line, whatever the line holds."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lines import nasty_lines, random_model
from seq2seq.cli import translate

LINES = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model"))


def run(model: Path, *arguments: object, stdin: bytes = b"") -> Result:
    options = [str(model), "--device", "cpu", "--beam-size", 1, "--max-length-ratio", 0.5, *arguments]
    return CliRunner().invoke(translate.main, list(map(str, options)), input=stdin)


def test_as_many_alignments_as_lines(model: Path, tmp_path: Path) -> None:
    text = b"".join(nasty_lines(LINES, seed=3)) + b"\n\nred dog.\n" + b"dog " * 300 + b"\n"
    plain = run(model, stdin=text)
    hard = run(model, "--alignment", "hard", "--alignment-output", tmp_path / "links", stdin=text)
    assert hard.exit_code == 0, hard.stderr
    assert hard.stdout_bytes == plain.stdout_bytes
    lines = (tmp_path / "links").read_text().split("\n")[:-1]
    assert len(lines) == plain.stdout_bytes.count(b"\n") == LINES + 3
    objects = {}
    for kind in ("hard", "soft"):
        out = run(model, "--alignment", kind, "--format", "jsonl", stdin=text)
        objects[kind] = [json.loads(line) for line in out.stdout.split("\n")[:-1]]
    n_linked = 0
    for line, links, weights in zip(lines, objects["hard"], objects["soft"], strict=True):
        assert line == " ".join(f"{i}-{j}" for i, j in links["alignment"])
        soft = weights["alignment"]
        assert soft["target"] == (links["translation"].split() if line else [])
        assert len(soft["weights"]) == len(soft["target"])
        assert all(
            len(row) == len(soft["source"]) and sum(row) == pytest.approx(1, abs=0.01) for row in soft["weights"]
        )
        assert {i for i, _ in links["alignment"]} == set(range(len(soft["source"])))
        if not links["translation"] or links["split"]:
            assert line == ""
        n_linked += bool(line)
    assert n_linked > LINES / 3
    assert lines[-3] == lines[-1] == ""


def test_alignments_go_on_with_their_lines(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"".join(nasty_lines(20, seed=4)))
    arguments = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--format", "jsonl", "--resume"]
    (tmp_path / "out.part").write_bytes(b"")
    done = run(model, *arguments, "--alignment", "soft")
    assert done.exit_code == 0, done.stderr
    assert all("alignment" in json.loads(line) for line in (tmp_path / "out").read_text().split("\n")[:-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alignment", "soft"], "--alignment soft needs --format jsonl"),
        (["--alignment", "hard"], "--alignment needs --alignment-output FILE, or --format jsonl"),
        (["--alignment-output", "x"], "--alignment-output is for --alignment hard with text"),
        (["--alignment", "hard", "--format", "jsonl", "--alignment-output", "x"], "the objects hold them"),
        (["--alignment", "hard", "--alignment-output", "x", "--output", "y", "--resume"], "--resume and --shard go on"),
    ],
)
def test_options_that_do_not_go_together(model: Path, arguments: list[str], message: str) -> None:
    refused = run(model, *arguments, stdin=b"red dog.\n")
    assert refused.exit_code == 2
    assert message in refused.stderr
