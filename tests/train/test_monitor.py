"""What a run has told is cut back to where it goes on."""

import json
from pathlib import Path

from seq2seq.train.monitor import cut_metrics


def test_metrics_are_cut_at_the_step_and_what_the_end_has_measured_goes(tmp_path: Path) -> None:
    events = [
        {"step": 5, "train/loss": 2.0},
        {"step": 10, "valid/loss": 2.0, "valid/bleu": 1.0},
        {"step": 10, "average/loss": 1.0},
        {"step": 10, "test/bits_per_byte": 1.0},
        {"step": 10, "test/bleu/en-de": 1.0},
        {"step": 11, "train/loss": 1.0},
    ]
    lines = [json.dumps(event) for event in events]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines[:2], "[]", '{"st', *lines[2:], '{"step": 3']))
    cut_metrics(tmp_path / "metrics.jsonl", 10)
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines[:2]
    cut_metrics(tmp_path / "absent", 10)
    assert not (tmp_path / "absent").exists()
