"""seq2seq-attention, in this process on tiny models."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_models import language_model

from lines import random_model
from seq2seq.cli import attention
from seq2seq.files import atomic_folder
from seq2seq.model.folder import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt") / "model"
    with atomic_folder(folder) as temporary:
        save_model(temporary, language_model("learned"))
    return folder


def run(model: Path, *arguments: object) -> Result:
    return CliRunner().invoke(attention.main, [str(model), "--device", "cpu", *map(str, arguments)])


def test_pages_and_pictures(model: Path, gpt: Path, tmp_path: Path) -> None:
    pair = ["--source", "The <b>dog</b> sees", "--target", "Der Hund"]
    assert run(model, *pair, "--output", tmp_path / "a.html").exit_code == 0
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "The &lt;b&gt;dog&lt;/b&gt; sees" in page and "<b>" not in page
    own = run(model, *pair[:2], "--output", tmp_path / "a.PNG")
    assert own.exit_code == 0 and "Translation: " in own.stderr and own.stdout == ""
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    assert run(gpt, "--text", "abc", "--output", tmp_path / "b.html").exit_code == 0
    assert "Self-attention" in (tmp_path / "b.html").read_text(encoding="utf-8")


def test_wrong_arguments(model: Path, gpt: Path, tmp_path: Path) -> None:
    for folder, arguments, message in (
        (model, ["--text", "a", "--output", tmp_path / "a.html"], "the model translates: give --source"),
        (gpt, ["--source", "a", "--output", tmp_path / "a.html"], "the model is a language model: give --text"),
        (model, ["--source", "a", "--output", tmp_path / "a.svg"], "must end in .html or .png"),
        (model, ["--source", "a", "--output", tmp_path / "no" / "a.png"], "its folder does not exist"),
        (gpt, ["--text", "a", "--before", "b", "--output", tmp_path / "a.html"], "no --source, --target, --before"),
        (model, ["--source", "a", "--before", "b", "--output", tmp_path / "a.png"], "trained without context"),
        (model, ["--source", " ", "--output", tmp_path / "a.png"], "the source is blank"),
    ):
        refused = run(folder, *arguments)
        assert refused.exit_code == 2 and message in refused.stderr
    assert list(tmp_path.iterdir()) == []
