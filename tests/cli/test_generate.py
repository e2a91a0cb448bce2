"""seq2seq-generate, and seq2seq-score with a language model, on a model in memory."""

import io
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from seq2seq.cli import generate, score
from seq2seq.config import LanguageModelSettings
from seq2seq.decode.generator import Generator
from seq2seq.files import atomic_folder
from seq2seq.model.folder import TrainedGPT, build_model, save_model
from seq2seq.text.codecs import CharacterCodec
from seq2seq.text.tokenizer import Tokenizer

LETTERS = "abcdefgh é\n日"


def save(path: Path, **decode: Any) -> Path:
    """Writes the folder of a tiny model with random weights."""
    recipe = {
        "task": "language_model",
        "output": "run",
        "data": {"train": [{"text": "a.txt"}], "valid": {"share": 0.1}},
        "tokenizer": {"type": "characters"},
        "model": {"layers": 1, "d_model": 16, "heads": 2, "context": 16},
        "decode": {"max_new_tokens": 20, **decode},
    }
    settings = LanguageModelSettings.model_validate(recipe)
    tokenizer = Tokenizer([CharacterCodec.train([LETTERS], 100, 1.0, []).content], "characters")
    torch.manual_seed(3)
    with atomic_folder(path) as temporary:
        save_model(temporary, TrainedGPT(build_model(settings, tokenizer), tokenizer, settings))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "model")


def run(model: Path, *arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(generate.main, [str(model), "--device", "cpu", *map(str, arguments)], input=stdin)


def texts(
    model: Path, prompts: list[str], n: int = 1, decode: Mapping[str, Any] | None = None, **options: Any
) -> list[str]:
    found = Generator.load(model, "cpu", **(decode or {})).generate(prompts, n, **options)
    return [continuation.prompt + continuation.text for row in found for continuation in row]


def test_a_prompt_is_continued(model: Path) -> None:
    assert run(model, "--prompt", "abé").stdout_bytes.decode() == texts(model, ["abé"])[0] + "\n"
    settings = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1}
    options = [word for key, value in settings.items() for word in (f"--{key.replace('_', '-')}", value)]
    found = run(model, "--prompt", "", *options, "--max-new-tokens", 9, "--seed", 5, "--stop", "a", "--stop", "日é")
    decode = settings | {"max_new_tokens": 9}
    assert found.stdout_bytes.decode() == texts(model, [""], decode=decode, seed=5, stop=["a", "日é"])[0] + "\n"
    assert (
        run(model, "--prompt", "b", "--beam-size", 2).stdout == texts(model, ["b"], decode={"beam_size": 2})[0] + "\n"
    )


def test_many_prompts_from_a_file_and_from_stdin(model: Path, tmp_path: Path) -> None:
    prompts = ["ab", "", "é日", "ab"]
    lines = ("\n".join(prompts) + "\n").encode()
    (tmp_path / "prompts").write_bytes(lines)
    expected = "-----\n".join(text + "\n" for text in texts(model, prompts, 2))
    assert run(model, "--samples", 2, stdin=lines).stdout_bytes.decode() == expected
    output = tmp_path / "out"
    assert run(model, "--input", tmp_path / "prompts", "--samples", 2, "--output", output).stdout == ""
    assert output.read_bytes().decode() == expected


def test_jsonl(model: Path) -> None:
    found = [
        json.loads(line)
        for line in run(model, "--format", "jsonl", "--samples", 3, stdin=b"ab\nc\n").stdout.splitlines()
    ]
    assert [record["prompt"] for record in found] == ["ab"] * 3 + ["c"] * 3
    assert [record["prompt"] + record["text"] for record in found] == texts(model, ["ab", "c"], 3)
    for record in found:
        assert set(record) == {"prompt", "text", "end", "log_prob", "tokens", "token_log_probs"}
        assert record["log_prob"] == pytest.approx(sum(record["token_log_probs"]))
        assert record["end"] in ("eos", "length") and len(record["tokens"]) == len(record["token_log_probs"])


class Terminal(io.TextIOWrapper):
    """A terminal that remembers in which pieces it was written to."""

    class Pieces(io.BytesIO):
        def __init__(self) -> None:
            super().__init__()
            self.pieces: list[bytes] = []

        def write(self, piece: Any) -> int:
            self.pieces.append(bytes(piece))
            return super().write(piece)

    def __init__(self) -> None:
        self.raw_pieces = self.Pieces()
        super().__init__(self.raw_pieces, encoding="utf-8")

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_text_appears_as_it_is_written(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    generate.main([str(model), "--prompt", "日a", "--samples", "2", "--device", "cpu"], standalone_mode=False)
    pieces = [piece.decode() for piece in terminal.raw_pieces.pieces]  # whole characters each
    assert "".join(pieces) == "-----\n".join(text + "\n" for text in texts(model, ["日a"], 2))
    assert all(len(piece) == 1 or piece in ("日a", "-----\n") for piece in pieces)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "a", "--input", "b"], "--prompt and --input both say what to continue"),
        (["--prompt", "a", "--beam-size", "2", "--top-k", "3", "--min-p", "0.1"], "leave out --top-k, --min-p"),
        (["--prompt", "a", "--beam-size", "2", "--samples", "3"], "3 continuations are more than the beam size, 2"),
        (["--prompt", "a", "--stop", ""], "a stop string must have a character"),
        (["--input", "no such file"], "no such file: cannot be read"),
        (["--prompt", "a", "--temperature", "-1"], "Invalid value for '--temperature'"),
    ],
)
def test_options_that_make_no_sense(model: Path, options: list[str], message: str) -> None:
    found = run(model, *options)
    assert found.exit_code == 2
    assert message in found.stderr


def test_drawing_by_option_overrules_a_recipe_that_searches(model: Path, tmp_path: Path) -> None:
    searching = save(tmp_path / "searching", beam_size=2)
    assert run(searching, "--prompt", "a").stdout == texts(model, ["a"], decode={"beam_size": 2})[0] + "\n"
    assert run(searching, "--prompt", "a", "--top-k", 4).stdout == texts(model, ["a"], decode={"top_k": 4})[0] + "\n"


def test_scores_of_lines(model: Path, tmp_path: Path) -> None:
    lines = ["ab", "", "é日" * 20]
    target = tmp_path / "lines"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = [str(model), "--target", str(target), "--device", "cpu"]
    plain = CliRunner().invoke(score.main, arguments)
    records = [
        json.loads(row) for row in CliRunner().invoke(score.main, [*arguments, "--format", "jsonl"]).stdout.splitlines()
    ]
    assert plain.stdout.splitlines()[1] == "0.000000\tnan"
    for line, row, record in zip(lines, plain.stdout.splitlines(), records, strict=True):
        log_prob, perplexity = map(float, row.split("\t"))
        assert "".join(record["tokens"]) == line
        assert log_prob == pytest.approx(record["log_prob"], abs=1e-5)
        if line:
            assert perplexity == pytest.approx(math.exp(-log_prob / len(line)), rel=1e-4)
    total = sum(record["log_prob"] for record in records)
    assert f"3 lines, 42 tokens, perplexity {math.exp(-total / 42):.4f}" in plain.stderr
    for option in ("--source", "--target-language"):
        wrong = CliRunner().invoke(score.main, [*arguments, option, "x"])
        assert wrong.exit_code == 2
        assert f"the model is a language model and scores --target by itself: leave out {option}" in wrong.stderr
