"""Datasets of the Hugging Face hub: local folders in its layout, and a hub that cannot be reached."""

import json
import logging
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import datasets.config
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seq2seq.config import DataSettings, HubDataset
from seq2seq.errors import DataError
from seq2seq.files import fingerprint
from seq2seq.text.corpora import open_corpus
from seq2seq.text.hub import HubCorpus, StreamedCorpus

PAIRS = [("one", "eins"), ("two", "zwei"), ("three", "drei")]
LONG = [(f"file {n // 10} row {n % 10}", f"Datei {n // 10} Zeile {n % 10}") for n in range(70)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


def settings(root: Path, target_language: str = "de") -> DataSettings:
    files = {"source": "a.en", "target": "a.de"}
    languages = {"source_language": "en", "target_language": target_language}
    return DataSettings.model_validate({"root": str(root), **languages, "train": [files], "valid": files})


def corpus(root: Path, **keys: Any) -> HubCorpus | StreamedCorpus:
    found = open_corpus(HubDataset(**{"dataset": "wmt/wmt14", **keys}), settings(root))
    assert isinstance(found, HubCorpus | StreamedCorpus)
    return found


def stream(root: Path, **keys: Any) -> StreamedCorpus:
    found = corpus(root, streaming=True, **keys)
    assert isinstance(found, StreamedCorpus)
    return found


def write_wmt(root: Path, readme: bool) -> None:
    """The layout of wmt/wmt14 on the hub: a folder for each configuration, parquet for each split."""
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


def write_long(root: Path, kind: str, name: str = "long") -> None:
    """Seven files of ten rows each; the parquet files in row groups of four, their columns named otherwise."""
    (root / name).mkdir()
    for number in range(7):
        path = root / name / f"train-{number:05}-of-00007.{kind}"
        part = LONG[number * 10 : number * 10 + 10]
        if kind == "parquet":
            columns = {"id": list(range(10)), "trg": [de for _, de in part], "src": [en for en, _ in part]}
            pq.write_table(pa.table(columns), path, row_group_size=4)
        else:
            path.write_text("".join(json.dumps({"trg": de, "src": en, "id": "x"}) + "\n" for en, de in part))


NAMED = {"dataset": "long", "source_column": "src", "target_column": "trg"}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("readme", [True, False])
def test_dataset_in_the_layout_of_the_hub(tmp_path: Path, readme: bool, streaming: bool) -> None:
    write_wmt(tmp_path, readme)
    train = corpus(tmp_path, config="de-en", streaming=streaming, weight=2)
    assert list(train) == [*PAIRS, ("line break", "Zeilen umbruch")]
    assert (train.weight, train.languages) == (2.0, ("en", "de"))
    test = corpus(tmp_path, config="de-en", streaming=streaming, split="test")
    assert list(test) == PAIRS[:1]
    assert train.fingerprint != test.fingerprint
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "wmt").rename(tmp_path / "elsewhere/wmt")
    moved = corpus(tmp_path / "elsewhere", config="de-en", streaming=streaming)
    assert moved.fingerprint == train.fingerprint


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_columns_with_names(tmp_path: Path, kind: str, streaming: bool) -> None:
    write_long(tmp_path, kind)
    assert list(corpus(tmp_path, **NAMED, streaming=streaming)) == LONG


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_of_the_languages_empty_cells_and_other_types_of_text(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "a").mkdir()
    texts = pa.array(["x\ny", None, ""], type=pa.large_string())
    columns = {"de": texts, "en": pa.array(["u", "v", None]).dictionary_encode(), "fr": pa.nulls(3)}
    pq.write_table(pa.table(columns), tmp_path / "a/train.parquet")
    assert list(corpus(tmp_path, dataset="a", streaming=streaming)) == [("u", "x y"), ("v", ""), ("", "")]
    french = corpus(tmp_path, dataset="a", streaming=streaming, source_language="fr", target_language="en")
    assert list(french) == [("", "u"), ("", "v"), ("", "")]
    assert french.languages == ("fr", "en")


@pytest.mark.parametrize("streaming", [False, True])
def test_missing_columns_are_named_with_those_that_there_are(tmp_path: Path, streaming: bool) -> None:
    write_wmt(tmp_path, readme=False)
    write_long(tmp_path, "parquet")
    for keys, error in (
        (
            {"config": "de-en", "target_language": "fr"},
            "dataset {root}/wmt/wmt14 de-en train: has no column 'translation' with the languages en and fr, and its "
            "texts are not named by source_column and target_column; found de, en",
        ),
        (
            {"dataset": "long"},
            "dataset {root}/long train: has no column 'translation' with the languages en and de, and its texts are "
            "not named by source_column and target_column; found id, trg, src",
        ),
        (
            {"dataset": "long", "source_column": "src", "target_column": "tgt"},
            "dataset {root}/long train: has no columns src and tgt with texts; found id, trg, src",
        ),
        (
            {"dataset": "long", "source_column": "src", "target_column": "id"},
            "dataset {root}/long train: has no columns src and id with texts; found id, trg, src",
        ),
    ):
        with pytest.raises(DataError) as caught:
            corpus(tmp_path, **keys, streaming=streaming)
        assert str(caught.value) == error.replace("{root}", str(tmp_path))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_split_that_is_not_there(tmp_path: Path, streaming: bool) -> None:
    write_wmt(tmp_path, readme=False)
    with pytest.raises(DataError, match=r"wmt14 de-en dev: cannot be loaded: (.|\n)*de-en/dev-\*.parquet"):
        corpus(tmp_path, config="de-en", split="dev", streaming=streaming)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_each_pass_over_a_stream_has_its_own_order_of_files(tmp_path: Path, kind: str) -> None:
    write_long(tmp_path, kind)
    corpus = stream(tmp_path, **NAMED)
    passes = [tuple(corpus.rows(1, number)) for number in range(4)] + [tuple(corpus.rows(2, 0))]
    assert len(set(passes)) == 5
    for rows in passes:
        files = [rows[i : i + 10] for i in range(0, 70, 10)]
        assert sorted(files) == [tuple(LONG[i : i + 10]) for i in range(0, 70, 10)]
    assert tuple(stream(tmp_path, **NAMED).rows(1, 2)) == passes[2]
    assert list(corpus) == LONG


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_stream_starts_anywhere(tmp_path: Path, kind: str) -> None:
    write_long(tmp_path, kind)
    corpus = stream(tmp_path, **NAMED)
    rows = list(corpus.rows(3, 1))
    for start in (0, 1, 3, 4, 5, 9, 10, 11, 14, 39, 69, 70, 71, 1000):
        assert list(corpus.rows(3, 1, start)) == rows[start:]


def test_rows_before_the_start_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    n = 20_000
    rows = pa.table({"en": [f"row {i}" for i in range(n)], "de": [f"Zeile {i}" for i in range(n)]})
    pq.write_table(rows, tmp_path / "a/train.parquet", row_group_size=100, compression="none")
    corpus = stream(tmp_path, dataset="a")
    data = (tmp_path / "a/train.parquet").read_bytes()
    (tmp_path / "a/train.parquet").write_bytes(b"PAR1" + bytes(len(data) // 2) + data[len(data) // 2 + 4 :])
    assert next(corpus.rows(1, 0, n - 5000)) == (f"row {n - 5000}", f"Zeile {n - 5000}")


def test_a_damaged_file_is_named_as_such(tmp_path: Path) -> None:
    write_long(tmp_path, "parquet")
    corpus = stream(tmp_path, **NAMED)
    (tmp_path / "long/train-00004-of-00007.parquet").write_bytes(b"no parquet")
    rows = iter(corpus)
    assert list(islice(rows, 40)) == LONG[:40]
    with pytest.raises(DataError, match="dataset .*long train: cannot be read: ArrowInvalid: "):
        next(rows)


def test_a_dataset_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    pq.write_table(
        pa.table({"en": pa.array([], pa.string()), "de": pa.array([], pa.string())}), tmp_path / "a/x.parquet"
    )
    with pytest.raises(DataError, match="dataset .*a train: has no rows"):
        stream(tmp_path, dataset="a")


def test_fingerprint_of_a_stream(tmp_path: Path) -> None:
    write_long(tmp_path, "parquet")
    write_long(tmp_path, "parquet", "other")
    found = [
        stream(tmp_path, **NAMED),
        stream(tmp_path, **{**NAMED, "dataset": "other"}),
        stream(tmp_path, **NAMED, revision="v1"),
        stream(tmp_path, **NAMED, target_language="nl"),
        stream(tmp_path, dataset="long", source_column="trg", target_column="src"),
    ]
    before = [corpus.fingerprint for corpus in found]
    assert len(set(before)) == len(before)
    assert stream(tmp_path, **NAMED).fingerprint == before[0]
    (tmp_path / "long/train-00001-of-00007.parquet").unlink()
    assert stream(tmp_path, **NAMED).fingerprint != before[0]


def test_fingerprint_of_a_stream_of_pairs_is_what_it_has_been(tmp_path: Path) -> None:
    """Runs that were started before there was running text go on."""
    write_long(tmp_path, "parquet")
    sizes = [(path.name, path.stat().st_size) for path in sorted((tmp_path / "long").iterdir())]
    parts = ["long", None, "train", None, ("en", "de"), (("src",), ("trg",)), sizes, LONG]
    assert stream(tmp_path, **NAMED).fingerprint == fingerprint(parts)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("end", ["rows.close()", "pass", "del rows", "list(rows)"])
def test_a_process_that_leaves_a_stream_ends_well(tmp_path: Path, kind: str, end: str) -> None:
    write_long(tmp_path, kind)
    if kind == "parquet":  # many row groups, which the threads of `datasets` read ahead
        table = pa.table({side: [f"{side} {n}" for n in range(50_000)] for side in ("src", "trg")})
        for path in (tmp_path / "long").iterdir():
            pq.write_table(table, path, row_group_size=500)
    code = f"""
from itertools import islice
from seq2seq.config import DataSettings, HubDataset
from seq2seq.text.corpora import open_corpus

files = dict(source="a", target="b")
data = DataSettings(root={str(tmp_path)!r}, source_language="en", target_language="de", train=[files], valid=files)
long = HubDataset(dataset="long", source_column="src", target_column="trg", streaming=True)
rows = open_corpus(long, data).rows(1, 0)
assert len(list(islice(rows, 10))) == 10
{end}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_stream_has_closed_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_long(tmp_path, "parquet")
    corpus = stream(tmp_path, **NAMED)
    opened: list[Any] = []

    def watched(*args: Any) -> Any:
        opened.append(open(*args))  # noqa: SIM115
        return opened[-1]

    monkeypatch.setattr("datasets.utils.file_utils.xopen", watched)
    rows = corpus.rows(1, 0)
    next(rows)
    assert [file.closed for file in opened] == [False]
    rows.close()
    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_hub_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], streaming: bool
) -> None:
    def unreachable() -> Any:
        raise OSError("Name or service not known")

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", unreachable)
    monkeypatch.setattr("seq2seq.text.hub.time.sleep", lambda _: None)
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        corpus(tmp_path, dataset="nobody/nothing", streaming=streaming)
    assert time.monotonic() - start < 15  # the libraries alone would try for 23 s
    assert str(caught.value) == (
        "dataset nobody/nothing train: cannot be loaded: https://huggingface.co cannot be reached (Name or service not "
        f"known)\nLooked for the folder {tmp_path}/nobody/nothing first, then on the Hugging Face hub. Without a "
        f"network, put the dataset's files there, for example {tmp_path}/nobody/nothing/train-*.parquet"
    )
    assert datasets.config.HF_HUB_OFFLINE is False
    assert capfd.readouterr().err == ""


def test_offline_mode_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(
        DataError, match=r"nobody/nothing.*cannot be loaded: .*Offline(.|\n)*Without a network, put the"
    ):
        corpus(tmp_path, dataset="nobody/nothing")
    assert datasets.config.HF_HUB_OFFLINE is True


def test_the_libraries_write_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("datasets").setLevel(logging.INFO)
    write_long(tmp_path, "jsonl")
    assert list(corpus(tmp_path, **NAMED)) == LONG
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/train.parquet").write_bytes(b"no parquet")
    for streaming in (False, True):
        with pytest.raises(DataError):
            corpus(tmp_path, dataset="bad", streaming=streaming)
    assert capfd.readouterr() == ("", "")
