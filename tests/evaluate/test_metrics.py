import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seq2seq.errors import DataError
from seq2seq.evaluate.metrics import Metrics, score

HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]


def sacrebleu(folder: Path, sides: dict[str, list[str]], *options: str) -> str:
    """Returns what the command prints about `hypothesis` and all other sides as references."""
    for name, lines in sides.items():
        (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    references = [name for name in sides if name != "hypothesis"]
    command = [sys.executable, "-m", "sacrebleu", *references, "-i", "hypothesis", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout


SECOND = ["A dog had bit the man.", "No one was surprised.", "He had bitten the man before."]


@pytest.mark.parametrize("references", [[REFERENCES], [REFERENCES, SECOND]])
def test_scores_are_those_of_the_sacrebleu_command(tmp_path: Path, references: list[list[str]]) -> None:
    sides = {"hypothesis": HYPOTHESES} | {f"reference{i}": lines for i, lines in enumerate(references)}
    usual = json.loads(sacrebleu(tmp_path, sides, "-w", "12", "-m", "bleu", "chrf", "ter"))
    words = json.loads(sacrebleu(tmp_path, sides, "-w", "12", "-m", "chrf", "--chrf-word-order", "2"))
    scores = Metrics(references).score(HYPOTHESES)
    expected = [usual[0], usual[1], words, usual[2]]
    assert [f"{found.value:.12f}" for found in scores.metrics] == [f"{each['score']:.12f}" for each in expected]
    assert [found.signature for found in scores.metrics] == [each["signature"] for each in expected]
    assert [score.name for score in scores.metrics] == ["BLEU", "chrF", "chrF++", "TER"]
    assert scores.exact == pytest.approx(1 / 3)
    assert scores["bleu"] == scores.metrics[0].value


@pytest.mark.parametrize("references", [[REFERENCES], [REFERENCES, SECOND]])
def test_scores_of_some_lines_are_those_of_a_smaller_test_set(references: list[list[str]]) -> None:
    metrics = Metrics(references)
    rows = [2, 0]
    alone = Metrics([[lines[i] for i in rows] for lines in references]).score([HYPOTHESES[i] for i in rows])
    assert metrics.of_rows(metrics.statistics(HYPOTHESES), rows) == alone.metrics


def test_a_mean_over_lines_is_a_metric_too() -> None:
    metrics = Metrics([REFERENCES], ["BLEU"])
    metrics.add_mean("COMET", "nrefs:1|model:none")
    statistics = Metrics([REFERENCES], ["BLEU"]).statistics(HYPOTHESES) | {
        "COMET": np.array([[0.5, 1], [0.25, 1], [0.75, 1]])
    }
    scores = metrics.from_statistics(statistics, HYPOTHESES)
    assert (scores["comet"], scores.metrics[1].signature) == (50, "nrefs:1|model:none")
    assert metrics.of_rows(statistics, [0, 1])[1].value == 37.5


def test_unequal_or_empty_sides_are_refused() -> None:
    with pytest.raises(DataError, match="3 translations for 2 references"):
        score(HYPOTHESES, REFERENCES[:2])
    with pytest.raises(DataError, match="no lines"):
        score([], [])
