"""Corpora examined together, and the three forms of a report."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import make_pairs, write_pairs

from seq2seq.config import TokenizerSettings
from seq2seq.evaluate.doctor.checks import CHECKS, LEAST, SHOWN_LENGTH, Example, find
from seq2seq.evaluate.doctor.examine import TRAIN, Examined, Part, examine
from seq2seq.evaluate.doctor.reading import FileRows
from seq2seq.evaluate.doctor.report import Inspection
from seq2seq.evaluate.doctor.tokens import Cutter, usual_limits
from seq2seq.text.tokenizer import Tokenizer

HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>", "{{ 7 * 7 }} & &amp;"]


def part(folder: Path, name: str, pairs: list[tuple[str, str]], role: str = TRAIN) -> Part:
    write_pairs(folder, name, pairs)
    return Part(role, FileRows([folder / f"{name}.en", folder / f"{name}.de"], ("", ""), None))


def checks(examined: Examined) -> dict[str, int]:
    return {finding.check: finding.count for finding in examined.findings}


def test_severity_follows_from_the_share() -> None:
    def severity(check: str, count: int, total: int) -> str:
        return find(check, count, total)[0].severity

    assert find("copies", 0, 10) == []
    assert severity("copies", 9, 1000) == "note" and severity("copies", 10, 1000) == "warning"
    assert severity("copies", LEAST - 1, 10) == "note"  # too few to say anything
    assert severity("lone_cr", 1, 10**9) == "warning" and severity("not_utf8", 1, 10**9) == "error"
    assert severity("crlf", 10, 10) == "note" and severity("unrelated", 5, 10) == "error"
    assert (
        find("copies", 1, 4)[0].amount == "1 line (25.0 %)"
        and find("copies", 1, 30_000)[0].amount == "1 line (0.003 %)"
    )


def test_every_check_has_words() -> None:
    for name, check in CHECKS.items():
        assert check.title and check.advice.endswith("."), name


def test_examples_show_what_cannot_be_seen_and_are_short() -> None:
    (shown,) = Example("x", ("a\u200b\x00" + "b" * 999,)).texts
    assert shown.startswith("a[U+200B][U+0000]b") and shown.endswith("…") and len(shown) < SHOWN_LENGTH + 30


def test_a_tokenizer_of_other_text_and_lines_that_are_too_long(tmp_path: Path) -> None:
    pairs = make_pairs(300)
    tokenizer = Tokenizer.train(pairs, TokenizerSettings(vocab_size=60))
    pairs[4] = ("ωμέγα", pairs[4][1])
    pairs[5] = (" ".join([pairs[5][0]] * 60), " ".join([pairs[5][1]] * 60))
    (examined,) = examine([part(tmp_path, "train", pairs)], Cutter("x", tokenizer, usual_limits()))
    found = {finding.check: finding for finding in examined.findings}
    assert found["unknown_characters"].count == 1 and "ω" in found["unknown_characters"].detail
    assert found["too_many_tokens"].count == 1
    assert found["too_many_tokens"].examples[0].place.endswith("train.en:6")
    longest = dict(examined.facts)["source tokens"]
    assert f"{max(len(row) for row in tokenizer.encode_source([s for s, _ in pairs])):,}" in longest


def test_unequal_files_are_told_where_they_part(tmp_path: Path) -> None:
    pairs = make_pairs(600)
    whole = part(tmp_path, "train", pairs)
    target = tmp_path / "train.de"
    lines = target.read_text().split("\n")[:-1]
    target.write_text("\n".join([*lines[:200], *lines[201:], ""]))
    (examined,) = examine([whole])
    (unequal,) = [finding for finding in examined.findings if finding.check == "unequal_lines"]
    assert "600" in unequal.detail and "599" in unequal.detail
    assert abs(int(re.findall(r"part at about .*:(\d+)", unequal.detail)[0]) - 201) <= 3
    target.write_text("\n".join([*lines[:599], ""]))
    (examined,) = examine([whole])
    assert "in step as far as both go" in examined.findings[0].detail


def test_a_corpus_that_cannot_be_used_hides_no_other(tmp_path: Path) -> None:
    pairs = make_pairs(300)
    train, test = part(tmp_path, "train", pairs), part(tmp_path, "test", pairs[:50], "test")
    (tmp_path / "train.de").write_text("\n".join(target for _, target in pairs), encoding="utf-16")
    first, second = examine([train, test])
    assert checks(first) == {"utf16": 1}
    assert second.n == 50


class Page(HTMLParser):
    """All tags and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def inspection(tmp_path: Path) -> Inspection:
    pairs = make_pairs(300)
    pairs[10:13] = [(line, line) for line in HOSTILE]
    parts = [part(tmp_path, "train", pairs), part(tmp_path, "test", pairs[5:40], "test")]
    return Inspection("the <b>title", examine(parts), ["a note"], "seq2seq-inspect x")


def test_the_page_is_whole_escaped_and_draws_everything(inspection: Inspection) -> None:
    page = inspection.html()
    tags = Page(page).tags
    assert "script" not in tags and "img" not in tags and "b" not in tags
    assert all(html not in page for html in HOSTILE) and "{{ 7 * 7 }}" in page
    assert tags.count("svg") == 2 * 4
    assert tags.count("polyline") == 2 * sum(c.plots.alignment is not None for c in inspection.corpora)
    assert not re.search(r"(?:src|href)=[\"'](?!#)", page)


def test_text_and_json_tell_the_same(inspection: Inspection) -> None:
    record = json.loads(json.dumps(inspection.record()))
    text = inspection.text()
    assert record["counts"] == inspection.counts
    for corpus in record["corpora"]:
        assert corpus["name"] in text
        for finding in corpus["findings"]:
            assert finding["title"] in text
            assert 1 <= len(finding["examples"]) <= 4 or finding["check"] in ("same_language",)
    assert text.endswith(inspection.summary)
    histogram = record["corpora"][0]["plots"]["lengths"][0]
    assert sum(histogram["counts"]) == 300 and len(histogram["edges"]) == len(histogram["counts"]) + 1
