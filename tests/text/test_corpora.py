import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config import DataSettings, JsonlFile, ParallelFiles, TsvFile
from seq2seq.errors import DataError
from seq2seq.text.corpora import Corpus, open_corpus

PAIRS = [("one", "eins"), ("two", "zwei"), ("three", "drei")]


def settings(root: Path) -> DataSettings:
    files = {"source": "a.en", "target": "a.de"}
    return DataSettings.model_validate(
        {"root": str(root), "source_language": "en", "target_language": "de", "train": [files], "valid": files}
    )


def files(root: Path, source: str, target: str) -> Corpus:
    (root / "a.en").write_text(source)
    (root / "a.de.gz").write_bytes(gzip.compress(target.encode()))
    return open_corpus(ParallelFiles(source="a.en", target="a.de.gz"), settings(root))


def tsv(root: Path, text: str, **keys: Any) -> Corpus:
    (root / "a.tsv").write_bytes(text.encode())
    return open_corpus(TsvFile(tsv="a.tsv", **keys), settings(root))


def jsonl(root: Path, *rows: object, **keys: Any) -> Corpus:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    (root / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return open_corpus(JsonlFile(jsonl="a.jsonl", **keys), settings(root))


def test_pairs_of_files(tmp_path: Path) -> None:
    corpus = files(tmp_path, "one\ntwo\nthree\n", "eins\nzwei\ndrei")
    assert list(corpus) == PAIRS
    assert list(corpus) == PAIRS
    assert (corpus.weight, corpus.languages) == (1.0, ("en", "de"))


@pytest.mark.parametrize(("source", "target"), [(3, 2), (3, 4), (2, 3), (4, 3), (1003, 3), (3, 0), (0, 3)])
def test_unequal_line_counts_are_refused(tmp_path: Path, source: int, target: int) -> None:
    corpus = files(tmp_path, "x\n" * source, "x\n" * target)
    with pytest.raises(DataError, match=f"a.en has {source:,} lines and .*a.de.gz has {target:,}"):
        list(corpus)


@pytest.mark.parametrize(
    "missing", [ParallelFiles(source="b.en", target="b.de"), TsvFile(tsv="b.en"), JsonlFile(jsonl="b.en")]
)
def test_missing_file_says_where_it_was_looked_for(tmp_path: Path, missing: ParallelFiles) -> None:
    with pytest.raises(DataError, match=r"b.en: no such file .*data.root"):
        open_corpus(missing, settings(tmp_path))


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    before = files(tmp_path, "a\n", "b\n").fingerprint
    assert files(tmp_path, "a\n", "b\n").fingerprint == before
    assert files(tmp_path, "a\n", "c\n").fingerprint != before


def test_a_corpus_may_have_languages_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").touch()
    (tmp_path / "a.jsonl").write_text('{"fr": "un", "de": "eins"}')
    data = settings(tmp_path)
    assert open_corpus(TsvFile(tsv="a.tsv", source_language="fr"), data).languages == ("fr", "de")
    assert open_corpus(TsvFile(tsv="a.tsv", source_language="de", target_language="en"), data).languages == ("de", "en")
    assert list(open_corpus(JsonlFile(jsonl="a.jsonl", source_language="fr"), data)) == [("un", "eins")]


def test_columns_of_a_tsv_file(tmp_path: Path) -> None:
    text = "one\teins\tCC-BY\ntwo\tzwei\n"
    assert list(tsv(tmp_path, text)) == PAIRS[:2]
    assert list(tsv(tmp_path, text, source_column=2, target_column=1)) == [("eins", "one"), ("zwei", "two")]
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(text.encode()))
    assert list(open_corpus(TsvFile(tsv="a.tsv.gz"), settings(tmp_path))) == PAIRS[:2]


def test_only_tabs_and_line_feeds_mean_anything_in_a_tsv_file(tmp_path: Path) -> None:
    text = '\ufeff"a\t"b\r\n\n c \t\n\t\n\u2028\td\x0c"" e\n\n'
    assert list(tsv(tmp_path, text)) == [('"a', '"b'), (" c ", ""), ("", ""), ("\u2028", 'd\x0c"" e')]


@pytest.mark.parametrize(
    ("row", "keys", "error"),
    [
        ("one", {}, "has 1 column, the target is column 2 (target_column)"),
        ("one eins", {"source_column": 3}, "has 1 column, the source is column 3 (source_column)"),
        ("a\tb", {"target_column": 4}, "has 2 columns, the target is column 4 (target_column)"),
    ],
)
def test_a_row_of_a_tsv_file_with_too_few_columns(tmp_path: Path, row: str, keys: dict[str, int], error: str) -> None:
    with pytest.raises(DataError) as caught:
        list(tsv(tmp_path, f"a\tb\tc\td\n{row}\n", **keys))
    assert str(caught.value) == f"{tmp_path / 'a.tsv'}:2: {error}"


def test_columns_of_a_jsonl_file(tmp_path: Path) -> None:
    rows = [{"id": n, "src": source, "trg": target} for n, (source, target) in enumerate(PAIRS)]
    assert list(jsonl(tmp_path, *rows, source_column="src", target_column="trg")) == PAIRS
    assert list(jsonl(tmp_path, *({"en": en, "de": de, "x": []} for en, de in PAIRS))) == PAIRS
    assert list(jsonl(tmp_path, *({"translation": {"de": de, "en": en}, "de": "x"} for en, de in PAIRS))) == PAIRS
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    assert list(open_corpus(JsonlFile(jsonl="a.jsonl.gz"), settings(tmp_path))) == PAIRS


def test_texts_of_a_jsonl_file_become_lines(tmp_path: Path) -> None:
    rows = [
        '\ufeff{"en": "a\\nb\\u2028c\u2028", "de": null}\r',
        "",
        "  ",
        '{"en": "", "de": "\\ud83d\\ude00 \\ud83d"}',
        "",
    ]
    assert list(jsonl(tmp_path, *rows)) == [("a b c ", ""), ("", "\N{GRINNING FACE} \ufffd")]


@pytest.mark.parametrize(
    ("row", "keys", "error"),
    [
        ({"en": "a", "fr": "b"}, {}, "has no column de; found en, fr"),
        ({}, {}, "has no column en; found none"),
        ({"translation": {"en": "a", "fr": "b"}}, {}, "has no column translation.de; found en, fr"),
        ({"translation": "a"}, {}, "has no column translation.en; found translation"),
        ({"en": "a", "de": "b"}, {"source_column": "s", "target_column": "t"}, "has no column s; found de, en"),
        ({"en": "a", "de": 5}, {}, "column de holds 5, not text; found de, en"),
        ({"en": ["a"], "de": "b"}, {}, "column en holds a list, not text; found de, en"),
        (
            {"translation": {"en": {}, "de": ""}},
            {},
            "column translation.en holds an object, not text; found translation",
        ),
        ([1], {}, "is not a JSON object, which each line must be"),
        (
            "{'en': 1}",
            {},
            "is not valid JSON: Expecting property name enclosed in double quotes at character 2; each line must",
        ),
        (
            '{"en": "a"',
            {},
            "is not valid JSON: Expecting ',' delimiter at character 11; each line must be a JSON object",
        ),
        ("[" * 100_000, {}, "is nested too deeply"),
    ],
)
def test_a_row_of_a_jsonl_file_without_its_texts(tmp_path: Path, row: object, keys: dict[str, str], error: str) -> None:
    good = {"en": "a", "de": "b", "s": "a", "t": "b"}
    with pytest.raises(DataError) as caught:
        list(jsonl(tmp_path, good, "", row, good, **keys))
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}:3: {error}")


def test_fingerprints_of_files_with_columns(tmp_path: Path) -> None:
    row = {"en": "a", "de": "b", "s": "c", "t": "d"}
    found = [
        tsv(tmp_path, "a\tb").fingerprint,
        tsv(tmp_path, "a\tb", source_column=2, target_column=1).fingerprint,
        tsv(tmp_path, "a\tc").fingerprint,
        jsonl(tmp_path, row).fingerprint,
        jsonl(tmp_path, row, source_column="s", target_column="t").fingerprint,
        jsonl(tmp_path, row, target_language="fr").fingerprint,
        jsonl(tmp_path, row, row).fingerprint,
    ]
    assert len(set(found)) == len(found)
    assert tsv(tmp_path, "a\tb").fingerprint == found[0]
    assert jsonl(tmp_path, row).fingerprint == found[3]
