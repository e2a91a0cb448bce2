"""Corpora with faults in their bytes and rows: everything is read, counted and placed."""

import gzip
from pathlib import Path

import pytest
from conftest import make_pairs

from seq2seq.config import JsonlFile, ParallelFiles, TsvFile
from seq2seq.evaluate.doctor import reading
from seq2seq.evaluate.doctor.reading import FileRows, Rows, open_rows
from seq2seq.evaluate.doctor.scan import STRETCH, scan
from seq2seq.text.corpora import FileCorpus, JsonlCorpus, TsvCorpus

LANGUAGES = ("en", "de")


def rows_of(folder: Path, source: bytes, target: bytes = b"x\n" * 3) -> FileRows:
    (folder / "s").write_bytes(source)
    (folder / "t").write_bytes(target)
    return FileRows([folder / "s", folder / "t"], LANGUAGES, None)


def read(rows: Rows) -> list[tuple[str, ...]]:
    return [row for texts in rows.chunks() for row in zip(*texts, strict=True)]


def found(rows: Rows) -> dict[str, int]:
    read(rows)
    return {finding.check: finding.count for finding in rows.findings()}


def test_clean_files_have_no_findings_and_the_lines_that_training_reads(tmp_path: Path) -> None:
    content = "a\nb\u2028c\x85\rd\n\u00e9\n".encode()
    rows = rows_of(tmp_path, content)
    corpus = FileCorpus(ParallelFiles(source="s", target="t"), tmp_path, LANGUAGES)
    assert read(rows) == list(corpus)
    assert rows.findings() == []


@pytest.mark.parametrize("chunk", [1, 2, 10_000])
def test_bytes_that_are_no_text_are_placed_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(reading, "CHUNK", chunk)
    rows = rows_of(tmp_path, b"\xef\xbb\xbfa\r\nb\xffc\ne\xcc\n")
    assert read(rows) == [("a", "x"), ("b\ufffdc", "x"), ("e\ufffd", "x")]
    assert found(rows) == {"bom": 1, "crlf": 1, "not_utf8": 2}
    (bad,) = [finding for finding in rows.findings() if finding.check == "not_utf8"]
    assert [(e.place, e.note) for e in bad.examples] == [
        (f"{tmp_path}/s:2", "byte 2 of the line is 0xff"),
        (f"{tmp_path}/s:3", "byte 2 of the line is 0xcc"),
    ]
    assert bad.severity == "error"


def test_utf16_and_files_that_break_off(tmp_path: Path) -> None:
    assert found(rows_of(tmp_path, "a\nb\nc\n".encode("utf-16"))) == {"utf16": 1}
    whole = gzip.compress("".join(f"{source}\n" for source, _ in make_pairs(2000)).encode())
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    rows = FileRows([tmp_path / "cut.gz"], ("en",), None)
    assert found(rows) == {"unreadable": 1}


@pytest.mark.parametrize(("sizes", "n"), [((5, 4), 4), ((4, 5), 4), ((5, 1005), 5), ((4, 4), 4), ((0, 3), 0)])
def test_unequal_numbers_of_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int], n: int
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 3)
    rows = rows_of(tmp_path, b"a\n" * sizes[0], b"b\n" * sizes[1])
    assert len(read(rows)) == n
    surplus = abs(sizes[0] - sizes[1])
    assert {f.check: f.count for f in rows.findings()} == ({"unequal_lines": surplus} if surplus else {})
    if surplus:
        assert f"s has {sizes[0]:,} and" in rows.findings()[0].detail


def test_tables_keep_the_numbers_of_their_lines(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("a\tb\n\nlonely\nc\td\n")
    (tmp_path / "p.jsonl").write_text(
        '{"en": "a", "de": "b"}\n{"en": 3, "de": "x"}\nnonsense\n{"en": "c", "de": "d"}\n'
    )
    tsv = TsvCorpus(TsvFile(tsv="p.tsv"), tmp_path, LANGUAGES)
    jsonl = JsonlCorpus(JsonlFile(jsonl="p.jsonl"), tmp_path, LANGUAGES)
    for corpus, n_bad in ((tsv, 1), (jsonl, 2)):
        rows = open_rows(corpus)
        assert read(rows) == [("a", "b"), ("c", "d")]
        assert found(rows) == {"bad_row": n_bad}
        assert rows.place(1) == f"{corpus.path}:4"


def test_a_limit_stops_reading(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"a\n" * 9)
    (tmp_path / "t").write_bytes(b"b\n" * 7)
    rows = FileRows([tmp_path / "s", tmp_path / "t"], LANGUAGES, 5)
    assert len(read(rows)) == 5
    assert rows.findings() == []


def test_large_corpora_are_sampled_in_stretches_and_any_row_can_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import seq2seq.evaluate.doctor.scan as module

    monkeypatch.setattr(module, "SAMPLE", 4 * STRETCH)
    n = 11 * STRETCH + 5
    text = "".join(f"line {i}\n" for i in range(n)).encode()
    scanned = scan(rows_of(tmp_path, text, text))
    sample = scanned.sample
    assert not sample.whole and 2 * STRETCH <= len(sample) <= 4 * STRETCH
    assert all(text == f"line {i}" for i, text in zip(sample.places.tolist(), sample.texts[0], strict=True))
    assert set((sample.places // STRETCH % 4).tolist()) == {0}
    assert (~sample.next_to).sum() == len(set((sample.places // STRETCH).tolist())) - 1
    assert scanned.texts_of([5, 1500, n - 1]) == [(f"line {i}",) * 2 for i in (5, 1500, n - 1)]
    assert scanned.n == n and len(scanned.sides[0].chars) == n
