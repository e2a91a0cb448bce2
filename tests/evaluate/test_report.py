"""The report: right numbers, all text escaped, all lines inside, nothing from outside."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import WORDS

from seq2seq.decode.alignment import Alignment, no_alignment
from seq2seq.evaluate import sentences, testset
from seq2seq.evaluate.evaluation import Evaluation, System, evaluate
from seq2seq.evaluate.frequency import read_training
from seq2seq.evaluate.guards import Overlap
from seq2seq.evaluate.metrics import score
from seq2seq.evaluate.plots import LEFT, RIGHT, group_plot, interval_plot
from seq2seq.evaluate.report import BINS, Report, make_report, render
from seq2seq.evaluate.significance import p_value
from seq2seq.evaluate.testset import TextFile

REFERENCES = [" ".join(WORDS[: 2 + i % 14]) + f" number {i}." for i in range(100)]
HYPOTHESES = [line if i % 4 else line.replace("red", "green") for i, line in enumerate(REFERENCES)]
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<script>alert(1)</script>",
    "<!--<script>",
    "</style><b>bold",
    "",
    "word " * 2000,
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }} & &amp; \\u003c",
    "a\u2028b\u2029c",
    "\u05e9\u05dc\u05d5\u05dd \u202e abc",
    "\x00\ud800",
]
VOID = {"meta", "input"}


def text_file(name: str, lines: list[str]) -> TextFile:
    return TextFile(name, lines, "0123abcd")


def evaluated(
    *systems: System,
    references: list[list[str]] | None = None,
    source: list[str] | None = None,
    title: str = "the test",
) -> Evaluation:
    files = [text_file(f"reference {i}", lines) for i, lines in enumerate(references or [REFERENCES])]
    test = testset.TestSet(title, files, text_file("source", source) if source else None)
    overlaps = [Overlap("train.en", 29_000, "beef", None, 37, len(files[0].lines))]
    return evaluate(test, systems, overlaps)


def report(*systems: System, references: list[list[str]] | None = None, source: list[str] | None = None) -> Report:
    return make_report([evaluated(*systems, references=references, source=source)], "seq2seq-evaluate --hypothesis x")


def aligned(source: list[str], hypotheses: list[str]) -> list[Alignment]:
    """Alignments in which each target word comes from the first source word alone."""
    sides = [(line.split(), other.split()) for line, other in zip(source, hypotheses, strict=True)]
    return [Alignment(a, b, np.eye(1, len(a), dtype=np.float32).repeat(len(b), 0)) for a, b in sides]


class Page(HTMLParser):
    """The elements of a page, what they hold, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.scripts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "br":
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + " "
        elif tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        self.texts[inside] = self.texts.get(inside, "") + data
        if inside == "script":
            self.scripts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    @property
    def text(self) -> str:
        return "".join(text for tag, text in self.texts.items() if tag not in ("script", "style"))


def test_histogram_counts_every_sentence() -> None:
    (part,) = report(System("one", HYPOTHESES)).parts
    counts = part.histograms[0].counts
    assert (len(counts), sum(counts), counts[-1]) == (BINS, 100, part.tallest)
    assert counts[-1] >= 75


def test_systems_are_compared_with_the_first_and_the_best() -> None:
    found = report(System("one", HYPOTHESES), System("two", REFERENCES), System("three", HYPOTHESES))
    (part,) = found.parts
    assert {base: [row.system for row in rows] for base, rows in part.comparisons.items()} == {0: [1, 2], 1: [0, 2]}
    better, equal = part.comparisons[0]
    assert [each.metric for each in better.differences] == ["BLEU", "chrF", "chrF++", "TER"]
    assert (better.better, better.worse, better.same) == (25, 0, 75)
    assert (equal.better, equal.worse, equal.same) == (0, 0, 100)
    page = Page(render(found))
    for each in better.differences:
        assert f"{each.value:+.2f}".replace("-", "\u2212") in page.texts["strong"]
        assert f"p {p_value(each.bootstrap)}, {p_value(each.randomisation)}" in page.text
    assert "\u25b2 significantly better" in page.text
    assert page.text.count("\u25cb the same") == 4  # though the tests give equal systems low p-values
    assert not any(each.is_significant for each in equal.differences)
    assert [row[0].is_best for row in part.cells if row[0]] == [False, True, False]


def test_groups_are_shown_with_their_best_and_lead_to_their_lines() -> None:
    source = ["", "a", *("a " * n for n in range(3, 101))]
    found = report(System("one", HYPOTHESES), System("two", REFERENCES), source=source)
    length = found.parts[0].grouped[0]
    assert sum(group.lines for group in length.scores.groups) == 100
    assert [group.label for group in length.scores.groups][:3] == ["0", "1 to 5", "6 to 10"]
    cells = length.values[-1][length.metrics.index("BLEU")]
    assert [cell.value for cell in cells] == pytest.approx(
        [score(HYPOTHESES[50:], REFERENCES[50:], ("BLEU",))["BLEU"], 100]
    )
    assert [cell.is_best for cell in cells] == [False, True]
    links = [values.get("href") for tag, values in Page(render(found)).elements if tag == "a"]
    assert "#sentences&test=0&group=Length%3Aover%2050" in links


def test_errors_lead_to_their_lines() -> None:
    lines = ["", *REFERENCES[1:-1], ""]
    found = report(System("one", REFERENCES), System("two", lines), source=REFERENCES)
    counts = {kind.name: numbers for kind, numbers in found.parts[0].errors}
    assert counts["empty"] == [0, 2]
    assert counts["untranslated"] == [0, 0]
    links = [values.get("href") for tag, values in Page(render(found)).elements if tag == "a"]
    assert "#sentences&test=0&error=empty&by=1" in links
    assert "#sentences&test=0&error=empty&by=0" not in links
    assert "untranslated" not in {kind.name for kind, _ in report(System("one", lines)).parts[0].errors}


def test_all_lines_are_inside_and_equal_translations_once() -> None:
    systems = System("one", HYPOTHESES), System("two", REFERENCES), System("three", HYPOTHESES)
    found = report(*systems, references=[REFERENCES, HYPOTHESES], source=REFERENCES)
    data = json.loads(Page(render(found)).scripts[0])
    assert data == found.data
    (test,) = data["tests"]
    assert test["source"] == REFERENCES
    assert test["references"] == [REFERENCES, HYPOTHESES]
    one, two, three = test["systems"]
    assert one == HYPOTHESES
    assert [REFERENCES[i] if text != 0 else HYPOTHESES[i] for i, text in enumerate(two)] == REFERENCES
    assert three == [0] * 100
    assert test["chrf"][1] == [1000] * 100
    assert test["chrf"][0] == [1000] * 100  # equal to one of the references
    rows = [row for group in test["groups"][0]["groups"] for row in group["rows"]]
    assert sorted(rows) == list(range(100))


def test_hostile_text_stays_text() -> None:
    lines = HOSTILE * 5
    found = report(System(HOSTILE[0], lines), System(HOSTILE[6], lines[::-1]), references=[lines[::-1]], source=lines)
    page = render(found)
    page.encode("utf-8", "replace")
    parsed = Page(page)
    assert parsed.count("script") == 2
    assert parsed.count("style") == 1
    assert parsed.count("img") == parsed.count("b") == 0
    data = parsed.scripts[0]
    assert json.loads(data)["tests"][0]["source"] == lines
    assert not set(data) & set("<>&\u2028\u2029")
    assert "alert(1)" not in parsed.scripts[1] + parsed.texts["style"]
    assert HOSTILE[0] in parsed.text
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)


def test_page_needs_nothing_else() -> None:
    systems = System("one", HYPOTHESES, text_file("one", HYPOTHESES)), System("two", HYPOTHESES)
    page = Page(render(report(*systems, source=REFERENCES)))
    links = [str(value) for _, values in page.elements for key, value in values.items() if key in ("src", "href")]
    assert links
    ids = [values["id"] for _, values in page.elements if "id" in values]
    assert len(ids) == len(set(ids))
    assert {re.sub("&.*", "", link) for link in links} <= {f"#{name}" for name in ids}
    assert not re.search(r"@import|url\(|https?:", page.texts["style"])
    assert not re.search(r"fetch\(|XMLHttp|import\(|innerHTML|insertAdjacentHTML|eval\(", page.scripts[1])
    assert page.count("link") == 0
    policy = next(str(values["content"]) for tag, values in page.elements if "http-equiv" in values)
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'")


def test_all_controls_are_labelled() -> None:
    page = render(report(System("one", HYPOTHESES), System("two", REFERENCES), source=REFERENCES))
    form = page[page.index("<form") : page.index("</form")]
    without_labels = re.sub(r"<label.*?</label>", "", form, flags=re.DOTALL)
    assert form.count("<select") + form.count("<input") >= 12
    assert "<select" not in without_labels
    assert "<input" not in without_labels
    assert "<noscript>" in page
    assert 'role="status"' in page


def test_page_holds_scores_signatures_and_settings() -> None:
    facts = {"Parameters": "23,296", "Settings hash": "cafe"}
    model = System("runs/a", HYPOTHESES, facts=facts, settings="seed: 77", loss=2.0)
    found = report(model, System("out.de", REFERENCES, text_file("out.de", REFERENCES)))
    text = Page(render(found)).text
    for scores in found.parts[0].evaluation.scores:
        for metric in scores.metrics:
            assert f"{metric.value:.2f}" in text
            assert f"{metric.margin:.2f}" in text
            assert metric.signature in text
    for part in ("23,296", "cafe", "seed: 77", "0123abcd", "seq2seq-evaluate --hypothesis x", "37 references, of 100"):
        assert part in text
    assert "7.39" in text
    assert "compares only models with the same tokenizer" in text
    assert "37 of 100 references also stand in train.en" in text
    assert found.parts[0].verdict[0] in text
    assert "1,000 bootstrap samples, 10,000 trials of approximate randomisation, seed 12345" in text
    for name in ("Python", "seq2seq", "sacrebleu", "numpy", "torch"):
        assert f"{name} {found.versions[name]}" in text


def test_several_test_sets() -> None:
    tests = [
        evaluated(System("one", lines), System("two", REFERENCES), title=title)
        for title, lines in (("news", HYPOTHESES), ("talks", REFERENCES))
    ]
    found = make_report(tests, "x")
    page = Page(render(found))
    assert [part.verdict[0] in page.text for part in found.parts] == [True, True]
    assert [test["title"] for test in found.data["tests"]] == ["news", "talks"]
    assert found.warnings[0].startswith("news: ")
    assert [file.name for file in found.inputs] == ["reference 0", "train.en"]
    assert {"name": "test"} in [values for tag, values in page.elements if tag == "select"]


def test_frequency_of_words(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("red red red blue\n")
    test = testset.TestSet("the test", [text_file("reference", REFERENCES)])
    read = read_training([tmp_path / "train"], test, [HYPOTHESES, REFERENCES])
    found = make_report([evaluate(test, [System("one", HYPOTHESES), System("two", REFERENCES)], *read)], "x")
    plot = found.parts[0].frequency
    assert plot
    assert [place.label for place in plot.places] == ["0", "1", "2\u20134"]
    assert Page(render(found)).text.count("Frequency of words in training text") == 1
    assert report(System("one", HYPOTHESES)).parts[0].frequency is None


def test_attention_is_kept_until_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = ["a b", "c", "", "d e"], ["x y z", "u", "", "v w"]
    alignments = aligned(source, target)
    alignments[2] = no_alignment()
    systems = System("one", target), System("two", target, alignments=alignments)

    def attention() -> tuple[list[list[str | None] | None], int]:
        found = report(*systems, references=[target], source=source)
        return found.data["tests"][0]["attention"], found.left_out

    assert attention() == ([None, ["/A/A/A", "/", "", "/A/A"]], 0)
    monkeypatch.setattr(sentences, "MOST_WEIGHTS", 8)
    assert attention() == ([None, ["/A/A/A", "/", "", None]], 1)
    assert "The attention of 1 translations was left out" in render(
        report(*systems, references=[target], source=source)
    )


def test_weights_have_64_levels() -> None:
    weights = np.array([[0, 1, 0.5, -0.1, 1.1]], np.float32)
    assert sentences._weights(Alignment(list("abcde"), ["x"], weights)) == "A/gA/"


def test_plots_place_scores() -> None:
    scores = [*score(HYPOTHESES, REFERENCES, ("BLEU",)).metrics, *score(REFERENCES, REFERENCES, ("BLEU",)).metrics]
    plot = interval_plot("BLEU", ["one", "x" * 100], scores)
    assert [dot.whisker for dot in plot.dots] == [None, None]
    assert len(plot.dots[1].name) < 50
    assert float(plot.dots[0].x) < float(plot.dots[1].x) <= RIGHT
    assert "x" * 100 in plot.summary
    groups = group_plot("t", "lines", ["a", "b"], [1, 2], ["one", "two"], [[0.0, 10.0], [None, 5.0]])
    (left, low, _), (right, high, text) = groups.traces[0].dots
    assert LEFT < float(left) < float(right) < RIGHT
    assert float(low) > float(high)
    assert text == "one, b: 10.0"
    assert groups.traces[1].path == ""


@pytest.mark.parametrize(
    ("hypotheses", "references"),
    [
        (["one"], ["one"]),
        (["", "a"], ["", "b"]),
        (["", " "], ["", ""]),
        (["word " * 2000] * 3, ["words " * 2000] * 3),
    ],
)
def test_odd_test_sets(hypotheses: list[str], references: list[str]) -> None:
    found = report(System("one", hypotheses), references=[references])
    page = Page(render(found))
    assert json.loads(page.scripts[0])["tests"][0]["systems"] == [hypotheses]
    assert "paired" not in page.text
    both = [System(name, lines) for name, lines in (("one", hypotheses), ("two", [*hypotheses[:-1], "other"]))]
    assert "significantly" not in Page(render(report(*both, references=[references]))).text
