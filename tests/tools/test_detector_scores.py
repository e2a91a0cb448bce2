import random
from pathlib import Path

import pytest
from conftest import make_pairs

import detector_scores
from seq2seq.decode.detector import DEFAULT_LENGTHS

PAIRS = [(" ".join(f"{word}x" for word in source.split()), target) for source, target in make_pairs(60)]


def test_damages_are_what_they_say() -> None:
    pair, draw = ("a b c d", "v w x y z"), random.Random(1)
    assert detector_scores.loop(5, 2, False)(pair, PAIRS, draw) == "v w x y z v w x y z"
    assert detector_scores.loop(6, 2, False)(pair, PAIRS, draw) is None
    assert detector_scores.copy(0.0)(pair, PAIRS, draw) == "a b c d"
    assert sorted(str(detector_scores.copy(0.25)(pair, PAIRS, draw)))[-1] in "vwxy"
    assert detector_scores.copy(0.0)(("a b", "a b"), PAIRS, draw) is None
    assert detector_scores.cut(0.5)(pair, PAIRS, draw) == "v w"
    assert detector_scores.cut(0.1)(pair, PAIRS, draw) is None
    bloated = str(detector_scores.bloat(3.0)(pair, PAIRS, draw))
    assert bloated.startswith("v w x y z ") and len(bloated) >= 27


def test_the_same_seed_gives_the_same_report() -> None:
    lines = detector_scores.report(PAIRS, DEFAULT_LENGTHS, 1)
    assert lines == detector_scores.report(PAIRS, DEFAULT_LENGTHS, 1)
    assert len(lines) == 1 + sum(map(len, detector_scores.DAMAGES.values())) + 2
    (severe,) = [line for line in lines if "1 word, 20 times" in line]
    assert severe.split()[-6:-3] == ["100.0%", "100.0%", "100.0%"]


def test_files_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, name in enumerate(("source", "target")):
        (tmp_path / name).write_text("".join(pair[side] + "\n" for pair in PAIRS), encoding="utf-8")
    assert detector_scores.main([str(tmp_path / "source"), str(tmp_path / "target"), "--lines", "20"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("own limits: from 0.40 to 2.50") and "calibrated limits" in out and "of 20" in out
    (tmp_path / "empty").write_text("\n\n")
    assert detector_scores.main([str(tmp_path / "empty"), str(tmp_path / "empty")]) == 2
