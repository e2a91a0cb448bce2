import gzip
from pathlib import Path

import pytest

from seq2seq.config import DataSettings, HubDataset, ParallelFiles
from seq2seq.errors import DataError
from seq2seq.text.corpora import open_corpus

PAIRS = [("one", "eins"), ("two", "zwei"), ("three", "drei")]


def settings(root: Path) -> DataSettings:
    files = {"source": "a.en", "target": "a.de"}
    return DataSettings.model_validate(
        {"root": str(root), "source_language": "en", "target_language": "de", "train": [files], "valid": files}
    )


def files(root: Path, source: str, target: str) -> object:
    (root / "a.en").write_text(source)
    (root / "a.de.gz").write_bytes(gzip.compress(target.encode()))
    return open_corpus(ParallelFiles(source="a.en", target="a.de.gz"), settings(root))


def test_pairs_of_files(tmp_path: Path) -> None:
    corpus = files(tmp_path, "one\ntwo\nthree\n", "eins\nzwei\ndrei")
    assert list(corpus) == PAIRS  # type: ignore[call-overload]
    assert list(corpus) == PAIRS  # type: ignore[call-overload]


@pytest.mark.parametrize(("source", "target"), [(3, 2), (3, 4), (2, 3), (4, 3), (1003, 3), (3, 0), (0, 3)])
def test_unequal_line_counts_are_refused(tmp_path: Path, source: int, target: int) -> None:
    corpus = files(tmp_path, "x\n" * source, "x\n" * target)
    with pytest.raises(DataError, match=f"a.en has {source:,} lines and .*a.de.gz has {target:,}"):
        list(corpus)  # type: ignore[call-overload]


def test_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b.en: no such file .*data.root"):
        open_corpus(ParallelFiles(source="b.en", target="b.de"), settings(tmp_path))


def test_fingerprint_follows_the_content(tmp_path: Path) -> None:
    before = files(tmp_path, "a\n", "b\n").fingerprint  # type: ignore[attr-defined]
    assert files(tmp_path, "a\n", "b\n").fingerprint == before  # type: ignore[attr-defined]
    assert files(tmp_path, "a\n", "c\n").fingerprint != before  # type: ignore[attr-defined]


def hub_folder(root: Path, readme: bool) -> None:
    """A local folder in the layout of wmt/wmt14 on the hub: a folder for each configuration, parquet for each split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / "wmt/wmt14/de-en"
    folder.mkdir(parents=True)
    rows = [{"de": de, "en": en} for en, de in [*PAIRS, ("line\nbreak", "Zeilen\u2028umbruch")]]
    for name, part in (
        ("train-00000-of-00002", rows[:2]),
        ("train-00001-of-00002", rows[2:]),
        ("test-00000-of-00001", rows[:1]),
    ):
        pq.write_table(pa.table({"translation": part}), folder / f"{name}.parquet")
    if readme:
        (root / "wmt/wmt14/README.md").write_text(
            "---\nconfigs:\n- config_name: de-en\n  data_files:\n  - split: train\n    path: de-en/train-*\n"
            "  - split: test\n    path: de-en/test-*\n---\n"
        )


@pytest.mark.parametrize("readme", [True, False])
def test_dataset_in_the_layout_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readme: bool) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub_folder(tmp_path, readme)
    corpus = open_corpus(HubDataset(dataset="wmt/wmt14", config="de-en"), settings(tmp_path))
    assert list(corpus) == [*PAIRS, ("line break", "Zeilen umbruch")]
    test = open_corpus(HubDataset(dataset="wmt/wmt14", config="de-en", split="test"), settings(tmp_path))
    assert list(test) == PAIRS[:1]
    assert corpus.fingerprint != test.fingerprint
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "wmt").rename(tmp_path / "elsewhere/wmt")
    moved = open_corpus(HubDataset(dataset="wmt/wmt14", config="de-en"), settings(tmp_path / "elsewhere"))
    assert moved.fingerprint == corpus.fingerprint


def test_dataset_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"nobody/nothing.*cannot be loaded(.|\n)*Without a network, put the"):
        open_corpus(HubDataset(dataset="nobody/nothing"), settings(tmp_path))
    hub_folder(tmp_path, readme=False)
    other = settings(tmp_path).model_copy(update={"target_language": "fr"})
    with pytest.raises(DataError, match="no column 'translation' with the languages en and fr; found de, en"):
        open_corpus(HubDataset(dataset="wmt/wmt14", config="de-en"), other)
    with pytest.raises(DataError, match="cannot be loaded"):
        open_corpus(HubDataset(dataset="wmt/wmt14", config="de-en", split="dev"), settings(tmp_path))
