"""Words by how often training text has them: counts, languages of files, and F-measures against plain sums."""

import gzip
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.errors import DataError
from seq2seq.evaluate import testset
from seq2seq.evaluate.frequency import by_frequency, read_training
from seq2seq.evaluate.guards import count_overlap

LABELS = ["0", "1", "2 to 4", "5 to 9", "10 to 99", "100 to 999", "1,000 or more"]
WORDS = {f"w{n}": n for n in (0, 1, 2, 4, 5, 9, 10, 99, 100, 999, 1000, 123456)}
LINES = st.lists(st.sampled_from(list(WORDS)), max_size=6).map(" ".join)


def make_test(references: list[list[str]], source: list[str] | None = None) -> testset.TestSet:
    files = [testset.TextFile("reference", lines, "") for lines in references]
    return testset.TestSet("made", files, None if source is None else testset.TextFile("source", source, ""))


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def slow_f_measure(label: str, pairs: list[tuple[str, str]]) -> float | None:
    """Pairs words off one by one, of one reference."""
    place = LABELS.index(label)
    low = [0, 1, 2, 5, 10, 100, 1000, 10**9]
    inside = [word for word, n in WORDS.items() if low[place] <= n < low[place + 1]]
    right = n_ours = n_theirs = 0
    for hypothesis, reference in pairs:
        ours = [word for word in hypothesis.split() if word in inside]
        theirs = [word for word in reference.split() if word in inside]
        n_ours, n_theirs = n_ours + len(ours), n_theirs + len(theirs)
        for word in ours:
            if word in theirs:
                theirs.remove(word)
                right += 1
    if n_ours + n_theirs == 0:
        return None
    if right == 0:
        return 0.0
    precision, recall = right / n_ours, right / n_theirs
    return 2 * precision * recall / (precision + recall)


@given(st.lists(st.tuples(LINES, LINES, LINES), max_size=6))
def test_f_measures(lines: list[tuple[str, str, str]]) -> None:
    references, *systems = (list(side) for side in zip(*lines, strict=True)) if lines else ([], [], [])
    found = by_frequency(["train"], Counter(WORDS), [references], systems)
    assert [bucket.label for bucket in found.buckets] == LABELS
    assert sum(bucket.words for bucket in found.buckets) == sum(len(line.split()) for line in references)
    for bucket in found.buckets:
        for value, hypotheses in zip(bucket.f_measures, systems, strict=True):
            expected = slow_f_measure(bucket.label, list(zip(hypotheses, references, strict=True)))
            assert value == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(LINES, LINES), min_size=1, max_size=6))
def test_what_equals_a_reference_is_right(lines: list[tuple[str, str]]) -> None:
    """Of several references the nearest counts, and the number of words is that of all of them."""
    first, second = (list(side) for side in zip(*lines, strict=True))
    mixed = [pair[i % 2] for i, pair in enumerate(lines)]
    found = by_frequency([], Counter(WORDS), [first, second], [first, second, mixed])
    for bucket in found.buckets:
        assert set(bucket.f_measures) <= {1.0, None}
    assert sum(bucket.words for bucket in found.buckets) == len(" ".join(first + second).split())


def test_matches_are_clipped() -> None:
    found = by_frequency([], Counter({"a": 1, "b": 1000}), [["a a b"]], [["a a a c"]])
    values = {bucket.label: (bucket.words, bucket.f_measures) for bucket in found.buckets}
    assert values["1"] == (2, [pytest.approx(4 / 5)])
    assert values["1,000 or more"] == (1, [0.0])
    assert values["0"] == (0, [0.0])
    assert values["2 to 4"] == (0, [None])


def test_files_of_both_languages(tmp_path: Path) -> None:
    english = write(tmp_path / "train.en", "The dog.\nThe cat sees the dog.\nA river, in Berlin\n")
    german = write(tmp_path / "train.de", "Der Hund\nDer Hund, der Hund!\n" + "Die\n" * 9)
    more = tmp_path / "more.gz"
    more.write_bytes(gzip.compress(b"Die Katze\nhund\n"))
    test = make_test([["Der Hund."], ["Die Dogge"]], ["The dog sees Berlin"])
    overlaps, found = read_training([english, german, more], test, [["der Hund Berlin"], ["Die dog"]])
    assert [one.name for one in overlaps] == [english, german, str(more)]
    assert overlaps == [count_overlap(one.name, test.reference_lines, test.source_lines) for one in overlaps]
    assert found is not None
    assert found.files == [german, str(more)]
    values = {bucket.label: (bucket.words, bucket.f_measures) for bucket in found.buckets}
    assert values == {
        "0": (1, [0.0, 0.0]),  # Dogge, Berlin, dog
        "1": (0, [0.0, None]),  # der
        "2 to 4": (2, [pytest.approx(2 / 3), None]),  # Der, Hund; the second system is nearer to the other reference
        "5 to 9": (0, [None, None]),
        "10 to 99": (1, [None, 1.0]),  # Die
        "100 to 999": (0, [None, None]),
        "1,000 or more": (0, [None, None]),
    }


def test_which_files_count(tmp_path: Path) -> None:
    english, german = write(tmp_path / "en", "The dog\n"), write(tmp_path / "de", "Der Hund\n")
    hypotheses = [["Der dog"]]
    known, unknown = make_test([["Der Hund"]], ["The dog"]), make_test([["Der Hund"]])
    assert read_training([english], known, hypotheses)[1] is None
    assert read_training([], known, hypotheses) == ([], None)
    everything = read_training([english, german], unknown, hypotheses)[1]
    assert everything and everything.files == [english, german]
    assert everything.buckets[1].words == 2
    with pytest.raises(DataError, match="missing"):
        read_training([tmp_path / "missing"], known, hypotheses)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    test = make_test([["w1 w2"]])
    peaks = []
    for n in (2_000, 40_000):
        path = write(tmp_path / str(n), "".join(f"w{i} x{i} y{i}\n" for i in range(n)))
        tracemalloc.start()
        read_training([path], test, [["w1"]])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000
