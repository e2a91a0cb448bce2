"""Single rows and repeated ones, counted exactly."""

from pathlib import Path

import pytest
from conftest import make_pairs

from seq2seq.evaluate.doctor.reading import FileRows
from seq2seq.evaluate.doctor.rows import check_overlap, check_rows
from seq2seq.evaluate.doctor.scan import Scanned, scan

Pairs = list[tuple[str, str]]


@pytest.fixture
def scanned(tmp_path: Path):  # type: ignore[no-untyped-def]
    def of(pairs: Pairs, name: str = "x") -> Scanned:
        paths = [tmp_path / f"{name}.{side}" for side in "st"]
        for side, path in enumerate(paths):
            path.write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
        return scan(FileRows(paths, ("", ""), None))

    return of


def different(n: int, seed: int = 0) -> Pairs:
    """Pairs none of whose sides stand there twice, none of them short."""
    pairs = {pair[0]: pair for pair in make_pairs(40 * n, seed) if len(pair[0]) > 25}
    return list(pairs.values())[:n]


def found(scan: Scanned) -> dict[str, tuple[int, str]]:
    return {finding.check: (finding.count, finding.severity) for finding in check_rows(scan)}


def test_pairs_that_are_all_different_have_nothing(scanned) -> None:  # type: ignore[no-untyped-def]
    assert found(scanned(different(300))) == {}


def test_blanks_copies_and_repetitions(scanned) -> None:  # type: ignore[no-untyped-def]
    pairs = different(300)
    pairs += [
        ("", "Etwas Text steht hier"),
        ("some text stands here", " "),
        (" ", ""),
        ("the same text.", "the same text."),
    ]
    pairs += [pairs[3], pairs[3], (pairs[4][0], "ANOTHER ONE OF THE SAME!"), (pairs[5][0] + " too", pairs[5][1])]
    assert found(scanned(pairs)) == {
        "one_blank": (2, "note"),
        "both_blank": (1, "note"),
        "copies": (1, "note"),
        "duplicates": (2, "note"),
        "repeated_source": (1, "note"),
        "repeated_target": (1, "note"),
    }


def test_shares_decide_what_is_serious(scanned) -> None:  # type: ignore[no-untyped-def]
    pairs = different(300)
    for i in range(10):
        pairs[i] = (pairs[i][0], pairs[i][0])
    pairs += pairs[20:30]
    assert found(scanned(pairs)) == {"copies": (10, "warning"), "duplicates": (10, "warning")}
    (copies, *_) = [finding for finding in check_rows(scanned(pairs)) if finding.check == "copies"]
    assert copies.share == pytest.approx(10 / 310)
    assert [example.place.rpartition(":")[2] for example in copies.examples] == ["1", "2", "3", "4"]
    assert copies.examples[0].texts == (pairs[0][0], pairs[0][0])


def test_lengths_that_do_not_fit(scanned) -> None:  # type: ignore[no-untyped-def]
    pairs = different(300)
    pairs[7] = (pairs[7][0], "OFF!")
    pairs[8] = (pairs[8][0], pairs[8][1] * 4)
    pairs[9] = (pairs[9][0], pairs[9][1][: len(pairs[9][1]) // 2])
    pairs[11] = (pairs[11][0] * 60, pairs[11][1] * 60)
    pairs[12] = (pairs[12][0].replace(" ", ""), pairs[12][1])
    checks = found(scanned(pairs))
    assert {check: n for check, (n, _) in checks.items() if check != "short_target"} == {
        "long_target": 1,
        "cut_off": 1,
        "long_lines": 1,
        "joined_words": 1,
    }
    assert checks["short_target"][0] in (1, 2)  # half a target may be short enough


def test_empty_corpora(scanned) -> None:  # type: ignore[no-untyped-def]
    assert found(scanned([])) == {"no_text": (1, "error")}
    assert found(scanned([("", " ")])) == {"no_text": (1, "error")}


def test_test_pairs_in_the_training_text(scanned) -> None:  # type: ignore[no-untyped-def]
    training, others = different(300), different(50, seed=9)
    others = [pair for pair in others if pair not in training]
    test = [*others[:40], training[5], (f" {training[6][0]} ", training[6][1]), (training[7][0], "ETWAS ANDERES!")]
    overlaps = check_overlap(scanned(test, "test"), [scanned(others[40:], "a"), scanned(training, "b")])
    assert {finding.check: (finding.count, finding.total) for finding in overlaps} == {
        "test_pairs_seen": (2, len(test)),
        "test_sources_seen": (1, len(test)),
    }
    assert check_overlap(scanned(others[:40], "test"), [scanned(training, "b")]) == []
