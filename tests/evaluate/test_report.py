"""The report: right numbers, all text escaped, nothing from outside."""

import re
from html.parser import HTMLParser

import pytest
from conftest import WORDS

from seq2seq.evaluate import testset
from seq2seq.evaluate.evaluation import System, evaluate
from seq2seq.evaluate.guards import Overlap
from seq2seq.evaluate.metrics import score
from seq2seq.evaluate.report import BINS, SHOWN, SHOWN_LENGTH, Report, make_report, mark_differences, render
from seq2seq.evaluate.testset import TextFile

REFERENCES = [" ".join(WORDS[: 2 + i % 14]) + f" number {i}." for i in range(100)]
HYPOTHESES = [line if i % 4 else line.replace("red", "green") for i, line in enumerate(REFERENCES)]
HOSTILE = ["<script>alert(1)</script>", "</style><b>bold", "\"><img src=x onerror='alert(1)'>", "{{ 7 * 7 }} & &amp;"]
VOID = {"meta"}


def text_file(name: str, lines: list[str]) -> TextFile:
    return TextFile(name, lines, "0123abcd")


def report(*systems: System, references: list[list[str]] | None = None, source: list[str] | None = None) -> Report:
    files = [text_file(f"reference {i}", lines) for i, lines in enumerate(references or [REFERENCES])]
    test = testset.TestSet("the test", files, text_file("source", source) if source else None)
    overlaps = [Overlap("train.en", 29_000, "beef", None, 37, len(files[0].lines))]
    return make_report(evaluate(test, systems, overlaps), "seq2seq-evaluate --hypothesis x")


class Page(HTMLParser):
    """The elements of a page, what they hold, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        self.texts[inside] = self.texts.get(inside, "") + data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    @property
    def text(self) -> str:
        return "".join(text for tag, text in self.texts.items() if tag not in ("script", "style"))


def test_best_and_worst_sentences() -> None:
    block = report(System("one", HYPOTHESES)).blocks[0]
    assert [len(block.worst), len(block.best)] == [SHOWN, SHOWN]
    values = [example.chrf for example in block.worst]
    assert values == sorted(values)
    assert values[0] < 100 == block.best[0].chrf
    assert {example.line for example in block.worst}.isdisjoint(example.line for example in block.best)
    assert all((example.line - 1) % 4 == 0 for example in block.worst)
    worst = block.worst[0]
    assert worst.chrf == pytest.approx(score([HYPOTHESES[worst.line - 1]], [REFERENCES[worst.line - 1]])["chrF"])


def test_histogram_counts_every_sentence() -> None:
    found = report(System("one", HYPOTHESES))
    histogram = found.blocks[0].histogram
    assert (len(histogram), sum(histogram), histogram[-1]) == (BINS, 100, found.tallest)
    assert histogram[-1] >= 75


def test_scores_by_length_cover_every_line() -> None:
    source = ["", "a", *("a " * n for n in range(3, 101))]
    found = report(System("one", HYPOTHESES), System("two", REFERENCES), source=source)
    assert found.measured == "source"
    assert sum(bucket.lines for bucket in found.buckets) == 100
    assert [bucket.label for bucket in found.buckets][:3] == ["0", "1 to 5", "6 to 10"]
    assert found.buckets[-1].label == "over 50"
    last = score(HYPOTHESES[50:], REFERENCES[50:], ("BLEU", "chrF"))
    assert found.buckets[-1].scores[0] == last
    assert found.buckets[-1].scores[1]["BLEU"] == pytest.approx(100)


def test_differences_word_by_word() -> None:
    reference, hypothesis = mark_differences("A young man, asleep.", "A man sleeps,  asleep.")
    assert [(piece.text, piece.differs) for piece in reference] == [
        ("A", False), (" ", False), ("young", True), (" man", False), (", asleep.", False),
    ]  # fmt: skip
    assert [(piece.text, piece.differs) for piece in hypothesis] == [
        ("A", False), (" man", False), (" ", False), ("sleeps", True), (",  asleep.", False),
    ]  # fmt: skip
    left, right = mark_differences("第一只狗。", "第二只狗。")
    assert ["".join(piece.text for piece in side if piece.differs) for side in (left, right)] == ["一", "二"]
    for texts in (("", ""), ("", "a"), ("क्षत्रिय", "क्षत्र"), (" a  b", "b  a ")):
        for text, side in zip(texts, mark_differences(*texts), strict=True):
            assert "".join(piece.text for piece in side) == text.rstrip()


def test_hostile_text_stays_text() -> None:
    lines = HOSTILE * 5
    page = render(report(System(HOSTILE[0], lines), references=[lines[::-1]], source=lines))
    parsed = Page(page)
    assert parsed.count("script") == 1
    assert parsed.count("style") == 1
    assert parsed.count("img") == parsed.count("b") == 0
    assert "alert(1)" not in parsed.texts["script"] + parsed.texts["style"]
    for text in HOSTILE:
        assert text in parsed.text
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)


def test_page_needs_nothing_else() -> None:
    page = Page(render(report(System("one", HYPOTHESES), System("two", HYPOTHESES), source=REFERENCES)))
    links = [value for _, values in page.elements for key, value in values.items() if key in ("src", "href")]
    assert links
    assert all(str(link).startswith("#") for link in links)
    ids = [values["id"] for _, values in page.elements if "id" in values]
    assert len(ids) == len(set(ids))
    assert {str(link)[1:] for link in links} <= set(ids)
    assert not re.search(r"@import|url\(", page.texts["style"])
    assert page.count("link") == 0


def test_page_holds_scores_signatures_and_settings() -> None:
    model = System("runs/a", HYPOTHESES, facts={"Parameters": "23,296", "Settings hash": "cafe"}, settings="seed: 77")
    found = report(model, System("out.de", REFERENCES, text_file("out.de", REFERENCES)))
    text = Page(render(found)).text
    for scores in found.evaluation.scores:
        for metric in scores.metrics:
            assert f"{metric.value:.2f}" in text
            assert metric.signature in text
    for part in ("23,296", "cafe", "seed: 77", "0123abcd", "seq2seq-evaluate --hypothesis x", "37 references, of 100"):
        assert part in text
    assert "37 of 100 references also stand in train.en" in text
    assert "out.de has the highest BLEU, 100.0, on the 100 lines of the test" in text
    for name in ("Python", "seq2seq", "sacrebleu", "torch"):
        assert f"{name} {found.versions[name]}" in text


def test_several_references_show_the_nearest() -> None:
    other = ["something else"] * 100
    text = render(report(System("one", REFERENCES), references=[other, REFERENCES]))
    assert text.count("Other reference") == 2 * SHOWN
    assert "<del>" not in text[text.index("<article") :]


@pytest.mark.parametrize(
    ("hypotheses", "references", "shown"),
    [
        (["one"], ["one"], [1, 0]),
        (["", "a"], ["", "b"], [1, 0]),
        (["", "a"], ["b", ""], [1, 1]),
        (["", " "], ["", ""], [0, 0]),
        (["word " * SHOWN_LENGTH] * 3, ["words " * SHOWN_LENGTH] * 3, [2, 1]),
    ],
)
def test_odd_test_sets(hypotheses: list[str], references: list[str], shown: list[int]) -> None:
    found = report(System("one", hypotheses), references=[references])
    assert [len(found.blocks[0].worst), len(found.blocks[0].best)] == shown
    page = render(found)
    assert Page(page).count("article") == sum(shown)
    assert len(page) < 60_000
