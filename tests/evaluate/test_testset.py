"""Test sets by name: sacrebleu's cache, no network, and messages that say what to do."""

import io
import logging
import os
import threading
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest
import sacrebleu.utils
from sacrebleu.dataset import DATASETS

from seq2seq.errors import DataError
from seq2seq.evaluate.testset import check_aligned, local_test_set, named_test_set, read_text

FIELDS = ("src", "ref", "docid", "genre", "origlang")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of sacrebleu's, on a machine without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(sacrebleu.utils, "SACREBLEU_DIR", str(tmp_path))
    for name in ("wmt14/full", "wmt22"):
        monkeypatch.setattr(DATASETS[name], "_outdir", str(tmp_path / name))
        monkeypatch.setattr(DATASETS[name], "_rawdir", str(tmp_path / name / "raw"))
    return tmp_path


def fill(cache: Path, folder: str, stem: str) -> None:
    (cache / folder).mkdir(parents=True)
    for field in FIELDS:
        (cache / folder / f"{stem}.{field}").write_text(f"{field} one\n{field} two\n")


def test_from_the_cache(cache: Path) -> None:
    fill(cache, "wmt14/full", "wmt14_full.en-de")
    test = named_test_set("wmt14/full", "en-de")
    assert test.source_lines == ["src one", "src two"]
    assert test.reference_lines == [["ref one", "ref two"]]
    assert (test.title, test.target_language) == ("wmt14/full en-de", "de")
    assert test.references[0].name == str(cache / "wmt14/full/wmt14_full.en-de.ref")


def test_without_a_network(cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("sacrebleu")
    before = logger.filters[:], logger.level
    with pytest.raises(DataError) as error:
        named_test_set("wmt14/full", "en-de")
    message = str(error.value)
    assert "https://statmt.org/wmt14/test-full.tgz" in message
    assert "no network here" in message
    assert f"sacrebleu looks in {cache / 'wmt14/full'}" in message
    assert "wmt14_full.en-de.src, wmt14_full.en-de.ref, wmt14_full.en-de.docid" in message
    assert "--source and --reference" in message
    assert capfd.readouterr() == ("", "")
    assert before == (logger.filters, logger.level)


def test_files_named_are_those_that_are_read(cache: Path) -> None:
    """What the message asks for is enough: with these files nothing is downloaded."""
    with pytest.raises(DataError) as error:
        named_test_set("wmt14/full", "en-de")
    names = next(line for line in str(error.value).split("\n") if line.startswith("  for "))[6:].split(", ")
    for name in names:
        (cache / "wmt14/full" / name).write_text("a\n")
    assert named_test_set("wmt14/full", "en-de").source_lines == ["a"]


def test_xml_without_a_network(cache: Path) -> None:
    with pytest.raises(DataError, match=r"raw/wmt22\.v1\.1\.tar\.gz and, unpacked from it, raw/wmt22.*en-de\.all\.xml"):
        named_test_set("wmt22", "en-de")


def test_damaged_download(cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_: io.BytesIO(b"not an archive"))
    with pytest.raises(DataError, match="what failed: Fatal: MD5 sum .*Please manually delete"):
        named_test_set("wmt14/full", "en-de")
    assert capfd.readouterr() == ("", "")


def test_unknown_names(cache: Path) -> None:
    with pytest.raises(DataError, match="no such test set; near names: .*wmt14/full"):
        named_test_set("wmt14full", "en-de")
    with pytest.raises(DataError, match="sacrebleu --list"):
        named_test_set("xyz", "en-de")
    with pytest.raises(DataError, match="--langpair en-xx: test set wmt14 has the pairs cs-en, de-en, en-cs, en-de"):
        named_test_set("wmt14", "en-xx")


def test_files_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\ntwo")
    (tmp_path / "b").write_bytes(b"one\n\n")
    (tmp_path / "c").write_bytes(b"one\n")
    test = local_test_set(str(tmp_path / "a"), [str(tmp_path / "b")])
    assert (test.source_lines, test.reference_lines) == (["one", "two"], [["one", ""]])
    assert len(test.references[0].sha256) == 64
    first, *others = (read_text(tmp_path / name) for name in "abcc")
    check_aligned(first, others[:1])
    with pytest.raises(DataError) as error:
        check_aligned(first, others)
    line = f"{tmp_path / 'c'} has 1 lines and {tmp_path / 'a'} has 2"
    assert str(error.value).split("\n") == [line, line]


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=["one\ntwo\n"])
    writer.start()
    file = read_text(tmp_path / "pipe")
    writer.join()
    assert (file.lines, file.sha256) == (["one", "two"], "")
