import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.errors import DataError
from seq2seq.evaluate.metrics import score

HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]


def test_scores_are_those_of_the_sacrebleu_command(tmp_path: Path) -> None:
    import json

    files = {}
    for name, lines in (("hypothesis", HYPOTHESES), ("reference", REFERENCES)):
        files[name] = tmp_path / name
        files[name].write_text("".join(line + "\n" for line in lines))
    command = [sys.executable, "-m", "sacrebleu", str(files["reference"]), "-i", str(files["hypothesis"]), "-w", "8"]
    out = subprocess.run([*command, "-m", "bleu", "chrf", "ter"], capture_output=True, text=True, check=True).stdout
    scores = score(HYPOTHESES, REFERENCES)
    for expected, found in zip(json.loads(out), scores.metrics, strict=True):
        assert found.value == pytest.approx(expected["score"], abs=1e-7)
        assert found.signature == expected["signature"]
    assert scores.exact == pytest.approx(1 / 3)
    assert scores["bleu"] == scores.metrics[0].value
    assert "nrefs:1|case:mixed|eff:no|tok:13a" in scores.text()


def test_unequal_or_empty_sides_are_refused() -> None:
    with pytest.raises(DataError, match="3 translations for 2 references"):
        score(HYPOTHESES, REFERENCES[:2])
    with pytest.raises(DataError, match="no lines"):
        score([], [])
