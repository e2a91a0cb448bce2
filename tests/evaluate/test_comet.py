"""COMET by a stand-in of its package: what it is handed, what is made of its scores, and what goes wrong."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from seq2seq.errors import Seq2SeqError
from seq2seq.evaluate.comet import MODEL, Comet

SOURCE = ["The dog.", "A cat"]
FIRST, SECOND = ["Der Hund.", "Eine Katze"], ["Ein Hund!", "Katze"]
OURS = ["Der Hund", "Katze"]


class Model:
    """Scores a sample by the lengths of its parts, and keeps what it was called with."""

    def __init__(self, needs_references: bool = True) -> None:
        self.needs_references = needs_references
        self.calls: list[dict[str, object]] = []

    def requires_references(self) -> bool:
        return self.needs_references

    def predict(self, samples: list[dict[str, str]], **options: object) -> SimpleNamespace:
        print("Predicting ...")
        self.calls.append({"samples": samples, **options})
        scores = [len(one["src"]) + len(one["mt"]) / 10 - len(one.get("ref", "")) / 100 for one in samples]
        return SimpleNamespace(scores=scores, system_score=sum(scores) / len(scores))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """Puts a stand-in in the package's place; its checkpoints are files, and it knows one name."""
    found = Model()

    def download_model(name: str) -> str:
        try:
            if name != MODEL:
                raise OSError("no route to the hub")
        except OSError:
            raise KeyError(f"Model '{name}' not supported by COMET.")  # noqa: B904 (as the package does)
        return "/cache/checkpoints/model.ckpt"

    def load_from_checkpoint(path: str) -> Model:
        if Path(path).name != "model.ckpt":
            raise Exception("hparams.yaml file is missing")
        return found

    comet = ModuleType("comet")
    vars(comet).update(__version__="2.2.7", download_model=download_model, load_from_checkpoint=load_from_checkpoint)
    monkeypatch.setitem(sys.modules, "comet", comet)
    yield found


def test_one_reference(model: Model, capfd: pytest.CaptureFixture[str]) -> None:
    scores = Comet(device="cpu").score(SOURCE, OURS, [FIRST])
    assert scores.sentences == pytest.approx([8 + 0.8 - 0.09, 5 + 0.5 - 0.1])
    assert scores.signature == "nrefs:1|model:Unbabel/wmt22-comet-da|version:2.2.7"
    samples = [
        {"src": "The dog.", "mt": "Der Hund", "ref": "Der Hund."},
        {"src": "A cat", "mt": "Katze", "ref": "Eine Katze"},
    ]
    assert model.calls == [{"samples": samples, "progress_bar": False, "gpus": 0}]
    assert capfd.readouterr().out == ""


def test_of_several_references_the_mean(model: Model) -> None:
    both = Comet(device="cpu").score(SOURCE, OURS, [FIRST, SECOND])
    alone = [Comet(device="cpu").score(SOURCE, OURS, [lines]) for lines in (FIRST, SECOND)]
    assert both.sentences == pytest.approx(
        [sum(pair) / 2 for pair in zip(*(one.sentences for one in alone), strict=True)]
    )
    assert both.signature.startswith("nrefs:2|")


def test_models_without_references(model: Model) -> None:
    model.needs_references = False
    scores = Comet(device="cpu").score(SOURCE, OURS, [FIRST, SECOND])
    assert scores.sentences == pytest.approx([8.8, 5.5])
    assert scores.signature.startswith("nrefs:0|")
    (call,) = model.calls
    assert call["samples"] == [{"src": line, "mt": ours} for line, ours in zip(SOURCE, OURS, strict=True)]


def test_on_a_gpu(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(type="cuda", index=1)
    monkeypatch.setattr("seq2seq.evaluate.comet.choose_device", lambda name: device)
    Comet().score(SOURCE, OURS, [FIRST])
    assert model.calls[0]["gpus"] == 1
    assert model.calls[0]["devices"] == [1]


def test_local_checkpoints(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "model.ckpt"
    path.parent.mkdir()
    with pytest.raises(Seq2SeqError, match=f"there is no file {path}"):
        Comet(str(path))
    path.write_bytes(b"")
    for name in (str(path), str(tmp_path)):
        assert Comet(name, "cpu").score(SOURCE, OURS, [FIRST]).signature == f"nrefs:1|model:{name}|version:2.2.7"
    other = tmp_path / "other.ckpt"
    other.write_bytes(b"")
    with pytest.raises(Seq2SeqError, match=r"other\.ckpt: (.|\n)*what failed: hparams.yaml file is missing"):
        Comet(str(other))


def test_what_cannot_be_had(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Seq2SeqError, match="some/model: (.|\n)*what failed: no route to the hub\n(.|\n)*give the path"):
        Comet("some/model")
    monkeypatch.setitem(sys.modules, "comet", ModuleType("comet"))
    with pytest.raises(Seq2SeqError, match="is not COMET"):
        Comet()
    monkeypatch.setitem(sys.modules, "comet", None)
    with pytest.raises(Seq2SeqError, match=r"pip install 'seq2seq\[comet\]'") as error:
        Comet()
    assert error.value.exit_code == 2


def test_the_programs_own_log_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package begins to log for all of the program when it is imported."""
    (tmp_path / "comet.py").write_text(
        "import logging\n"
        "logging.getLogger().addHandler(logging.NullHandler())\n"
        "logging.getLogger().setLevel(logging.DEBUG)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "comet", raising=False)
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    with pytest.raises(Seq2SeqError, match=r"comet\.py is not COMET"):
        Comet()
    assert (root.level, root.handlers) == before
    del sys.modules["comet"]
