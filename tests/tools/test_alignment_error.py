import json
from pathlib import Path

import numpy as np
import pytest

import alignment_error as tool
from lines import random_model


def test_alignment_error_rate_by_hand() -> None:
    found, true = [{(0, 0), (1, 1)}, {(2, 0)}, set()], [{(0, 0), (1, 2), (2, 2)}, {(2, 0)}, set()]
    errors = tool.alignment_error(found, true)
    assert errors == pytest.approx((1 - 2 * 2 / (3 + 4), 2 / 3, 2 / 4, 3))
    assert tool.alignment_error(true, true).aer == 0
    assert tool.read_links("0-0 12-3") == {(0, 0), (12, 3)}
    assert tool.read_links("") == set()


def test_ways_to_make_links() -> None:
    weights = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]])
    assert {name: way(weights) for name, way in tool.WAYS.items()} == {
        "both": {(0, 0), (0, 1), (1, 1), (2, 0)},
        "target words": {(0, 0), (0, 1)},
        "source words": {(0, 0), (1, 1), (2, 0)},
        "agreed": {(0, 0)},
        "above 1/4": {(0, 0), (1, 0), (0, 1), (1, 1)},
    }


def test_what_is_used_is_one_of_the_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_model(tmp_path / "model")
    files = {
        "source": "The dog sees a cat.\nWho?\n",
        "target": "Der Hund sieht eine Katze.\nWer?\n",
        "alignments": "0-0\n0-0\n",
    }
    arguments = ["alignment_error.py", str(model), "--all", "--json"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        arguments += [f"--{name}", str(tmp_path / name)]
    monkeypatch.setattr("sys.argv", arguments)
    assert tool.main() == 0
    results = json.loads(capsys.readouterr().out)
    assert results["aligned"] == results["upper half, predicts, both"]
    (tmp_path / "alignments").write_text("0-0\n")
    assert tool.main() == 2
    assert "1 alignments, but 2 sentence pairs" in capsys.readouterr().err
