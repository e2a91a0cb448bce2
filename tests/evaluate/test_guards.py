"""Guards: each fires on what it is for, and on nothing else."""

import gzip
from pathlib import Path

import pytest

from seq2seq.evaluate import guards

SOURCE = [f"The {i}th dog, a big one, doesn't bark." for i in range(40)]
REFERENCES = [f'Der {i}. Hund, ein großer, „bellt" nicht & schläft.' for i in range(40)]
FRENCH = [f"Le chien n° {i}, un grand, n'aboie pas ! Pourquoi ? Voilà : il dort." for i in range(40)]
CHINESE = [f"第{i}只狗，很大，不叫。" for i in range(40)]
JAPANESE = [f"{i}番目の犬は、大きくて、吠えない。" for i in range(40)]
ARABIC = [f"الكلب رقم {i}، وهو كبير، لا ينبح." for i in range(40)]


def changed(lines: list[str], n: int, change: str) -> list[str]:
    """Returns lines of which the first `n` are changed; `change` is a format of the line."""
    return [change.format(line=line) for line in lines[:n]] + lines[n:]


@pytest.mark.parametrize("lines", [SOURCE, REFERENCES, FRENCH, CHINESE, JAPANESE, ARABIC, [""], ["2018", ""]])
def test_clean_text_is_not_warned_about(lines: list[str]) -> None:
    assert guards.check_translations(lines, [lines], SOURCE[: len(lines)]) == []
    assert guards.check_translations(lines, [lines, lines], lines) == []


@pytest.mark.parametrize("mark", ["\u2581Hund", "Hu@@ nd", "Hund@@", "Hu ##nd", "##Hund"])
def test_subword_marks(mark: str) -> None:
    few, many = changed(REFERENCES, 1, f"{{line}} {mark}"), changed(REFERENCES, 8, f"{{line}} {mark}")
    assert guards.subword_marks(few, [REFERENCES]) == []
    assert guards.subword_marks(many, [many]) == []
    (warning,) = guards.subword_marks(many, [REFERENCES])
    assert warning.startswith("8 of 40 translations hold the subword mark ")
    assert "join the subwords" in warning


@pytest.mark.parametrize("text", ["me@@example.org", "# 1 and ## 2", "C## is a note", "@ @", "_"])
def test_what_only_looks_like_a_subword_mark(text: str) -> None:
    assert guards.subword_marks([text] * 10, [REFERENCES[:10]]) == []


def test_lower_case() -> None:
    lower = [line.lower() for line in REFERENCES]
    assert str(guards.letter_case(lower, [REFERENCES])).startswith("the translations are lower-cased")
    assert str(guards.letter_case(REFERENCES, [lower])).startswith("the references are lower-cased")
    assert str(guards.letter_case([*lower[:39], "A"], [REFERENCES, REFERENCES])).startswith("the translations")
    assert guards.letter_case(lower, [lower]) is None
    assert guards.letter_case(lower[:20] + REFERENCES[20:], [REFERENCES]) is None
    assert guards.letter_case(CHINESE, [REFERENCES]) is None


@pytest.mark.parametrize("lines", [REFERENCES, CHINESE])
def test_tokenised(lines: list[str]) -> None:
    split = [line.replace(".", " .").replace(",", " ,").replace("，", " ， ").replace("。", " 。") for line in lines]
    assert str(guards.tokenised(split, [lines])).startswith("40 of 40 translations have spaces before full stops")
    assert guards.tokenised(split, [split]) is None
    assert guards.tokenised(split, [lines, split]) is None
    assert guards.tokenised(split[:4] + lines[4:], [lines]) is None
    assert guards.tokenised(["a .5 b"] * 40, [lines]) is None


@pytest.mark.parametrize("escape", ["&quot;", "&apos;", "&amp;", "&#39;", "&#x27;", "&nbsp;", "&#124;"])
def test_html_escapes(escape: str) -> None:
    hypotheses = changed(REFERENCES, 3, f"{escape}{{line}}{escape}")
    assert str(guards.escaped(hypotheses, [REFERENCES])).startswith("3 of 40 translations hold HTML escapes")
    assert guards.escaped(hypotheses, [hypotheses]) is None


def test_what_only_looks_like_an_escape() -> None:
    assert guards.escaped(["R&D; A & B; &c; AT&T;", "&;", "&#;", "a &bell; b"], [[""] * 4]) is None


def test_empty_translations() -> None:
    hypotheses = ["", "  ", "\u200b", *REFERENCES[3:]]
    assert guards.empty(hypotheses, [REFERENCES]) == "3 of 40 translations are empty where the reference is not"
    assert guards.empty(hypotheses, [hypotheses]) is None
    assert guards.empty(hypotheses, [hypotheses, REFERENCES]) is not None


def test_untranslated_lines() -> None:
    assert guards.untranslated(SOURCE, [REFERENCES], SOURCE) == "40 of 40 translations repeat the source"
    assert guards.untranslated(SOURCE[:1] + REFERENCES[1:], [REFERENCES], SOURCE) is None
    assert guards.untranslated(SOURCE, [REFERENCES, SOURCE], SOURCE) is None
    assert guards.untranslated([""] * 40, [REFERENCES], [""] * 40) is None


def test_all_guards_together() -> None:
    hypotheses = [line.lower().replace(".", " .") + " @@" for line in SOURCE]
    warnings = guards.check_translations(hypotheses, [REFERENCES], hypotheses)
    assert len(warnings) == 4


@pytest.mark.parametrize(("lines", "warned"), [(CHINESE, True), (JAPANESE, True), (ARABIC, False), (SOURCE, False)])
def test_text_without_spaces(lines: list[str], warned: bool) -> None:
    assert guards.unspaced([lines], "nrefs:1|tok:zh|version:2.6.0") == []
    found = guards.unspaced([lines], "nrefs:1|tok:13a|version:2.6.0")
    assert [told.startswith("40 of 40 references are written without spaces") for told in found] == [True] * warned


def test_overlap_with_training_text(tmp_path: Path) -> None:
    path = tmp_path / "train.en.gz"
    path.write_bytes(gzip.compress("\n".join(["x", *SOURCE[:3], " " + SOURCE[3], REFERENCES[5], "", "\r"]).encode()))
    found = guards.count_overlap(path, [REFERENCES, FRENCH], [*SOURCE[:39], ""])
    assert (found.lines, found.sources, found.references, found.tested) == (8, 4, 1, 40)
    assert len(found.sha256) == 64
    assert found.warnings() == [
        f"4 of 40 test sources also stand in {path}",
        f"1 of 40 references also stand in {path}",
    ]
    unknown = guards.count_overlap(path, [CHINESE])
    assert (unknown.sources, unknown.references, unknown.warnings()) == (None, 0, [])
