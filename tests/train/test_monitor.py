"""What a run has told is cut back to where it goes on."""

import json
import resource
import signal
from pathlib import Path

from seq2seq.train.monitor import Monitor, cut_metrics


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
    cut_metrics(tmp_path / "metrics.jsonl", 10, 10)
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines[:2]
    cut_metrics(tmp_path / "metrics.jsonl", 10, 5)  # a validation that was cut off will be done again
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines[:1]
    cut_metrics(tmp_path / "absent", 10, 10)
    assert not (tmp_path / "absent").exists()


def test_samples_are_kept_as_text_and_cut_back_like_numbers(tmp_path: Path) -> None:
    samples = [{"source": "ein\nHund", "reference": "<b>", "translation": ""}]
    monitor = Monitor(tmp_path, 0, 10)
    for step in (5, 10):
        monitor.samples(step, "valid", samples)
    monitor.samples(10, "average", samples)
    monitor.samples(10, "valid", [])
    monitor.close()
    path = tmp_path / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    expected = [{"step": step, "valid/samples": samples} for step in (5, 10)]
    assert rows == [*expected, {"step": 10, "average/samples": samples}]
    for step, validated, kept in ((10, 10, 2), (10, 5, 1), (4, 4, 0)):
        Monitor(tmp_path, step, 10, validated).close()
        assert len(path.read_text().splitlines()) == kept


def test_numbers_wait_while_the_disk_is_full(tmp_path: Path) -> None:
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    monitor = Monitor(tmp_path, 0, 10)
    try:
        monitor.event(1, 0.5, {"train/loss": 3.0, "train/gradient_norm": float("nan")})
        size = (tmp_path / "metrics.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
        for step in (2, 3):
            monitor.event(step, 0.5, {"train/loss": 2.0})
            assert (tmp_path / "metrics.jsonl").stat().st_size == size  # no half line either
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    monitor.event(4, 0.5, {"train/loss": 1.0})
    monitor.close()
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events] == [1, 2, 3, 4]
    assert events[0] == {"step": 1, "seconds": 0.5, "train/loss": 3.0}
