"""The report in a browser: what a reader does with the keys, what a link leads to, what the page says and shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from browser import Tab, look, needs_chromium, opened
from test_report import HOSTILE, HYPOTHESES, REFERENCES, aligned, evaluated

from seq2seq.evaluate.evaluation import System
from seq2seq.evaluate.report import make_report, render
from seq2seq.evaluate.words import WORD

pytestmark = needs_chromium

SOURCE = [line.upper() for line in REFERENCES]
EMPTY = [0, 50, 99]  # lines that the third system leaves empty
TEXTS = [
    "A young man, asleep.",
    "A man sleeps,  asleep.",
    "",
    "第一只狗。",
    "第二只狗。",
    " a  b \u00ab",
    "क्षत्रिय और",
    "b  a ",
    "\u05e9\u05dc\u05d5\u05dd, abc",
    "\U0001f600 [x]^y-z\\",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two test sets, the second one with hostile text and two references."""
    gaps = [line if i not in EMPTY else "" for i, line in enumerate(REFERENCES)]
    other = [line.replace("dog", "wolf") for line in HYPOTHESES]
    hostile = HOSTILE + REFERENCES
    systems = [
        System("first", HYPOTHESES, alignments=aligned(SOURCE, HYPOTHESES)),
        *(System(name, lines) for name, lines in (("second", REFERENCES), ("third", gaps), ("fourth", other))),
        System("fifth", HYPOTHESES),
    ]
    on_hostile = [System(system.name, hostile[::-1] if i else hostile) for i, system in enumerate(systems)]
    evaluations = [
        evaluated(*systems, source=SOURCE, title="news"),
        evaluated(*on_hostile, references=[hostile, hostile[1:] + hostile[:1]], source=hostile, title="</script>"),
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(render(make_report(evaluations, "seq2seq-evaluate ...")).encode("utf-8", "replace"))
    return path


def settled(tab: Tab) -> str:
    """Waits until the page has done what was asked for, and returns what it says of its lines."""
    tab.evaluate("new Promise(done => setTimeout(done, 300))")
    return str(tab.evaluate("document.getElementById('status').textContent"))


def focus(tab: Tab, selector: str) -> None:
    """Goes to an element with the Tab key alone."""
    for _ in range(150):
        if tab.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
        tab.press("Tab")
    raise AssertionError(f"{selector}: the Tab key does not lead there")


def start_at_controls(tab: Tab) -> None:
    tab.evaluate("document.getElementById('sentences-title').focus()")


def numbers(tab: Tab) -> list[int]:
    """Returns the lines that are shown."""
    found = tab.evaluate("[...document.querySelectorAll('#lines h3 a')].map(each => each.textContent)")
    return [int(text.removeprefix("Line ").replace(",", "")) for text in found]


def shown(tab: Tab, selector: str) -> list[str]:
    texts: list[str] = tab.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")
    return texts


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_no_error_and_no_sideways_scroll(page: Path, width: int, scheme: Any) -> None:
    seen = look(page, width, scheme)
    assert (seen.errors, seen.scroll_width) == ([], width)


def test_hostile_lines_are_text_and_long_ones_are_folded(page: Path) -> None:
    with opened(page, 390) as tab:
        tab.evaluate("location.hash = '#sentences&test=1&missing=1'")
        assert settled(tab) == "111 of 111 lines, 50 of them shown."
        assert tab.evaluate("document.querySelectorAll('#lines script, #lines img, #lines b').length") == 0
        assert HOSTILE[0] in shown(tab, "#lines .text")
        assert "(empty)" in shown(tab, "#lines .text")
        assert {"Reference 1", "Reference 2"} <= set(shown(tab, "#lines dt"))
        assert "nearest: reference 1" in shown(tab, "#lines .about span")
        assert set(shown(tab, "button.fold")) == {"Show all 10,000 characters"}
        assert tab.evaluate("document.querySelector('.folded').textContent.length") == 10_000
        assert tab.scroll_width == 390
        assert tab.errors == []


def test_lines_are_filtered_with_the_keys_and_the_address_follows(page: Path) -> None:
    with opened(page) as tab:
        assert settled(tab) == "100 of 100 lines, 50 of them shown."
        start_at_controls(tab)
        focus(tab, "input[name=text]")
        for key in "Er 17":
            tab.press(key)
        assert settled(tab) == "1 of 100 lines."
        assert numbers(tab) == [18]
        assert tab.evaluate("location.hash") == "#sentences&text=Er+17"
        focus(tab, "select[name=error]")
        for key in ("ArrowDown", "Tab", "ArrowDown", "ArrowDown", "ArrowDown"):
            tab.press(key)
        assert settled(tab) == "0 of 100 lines."
        assert tab.evaluate("location.hash") == "#sentences&text=Er+17&error=empty&by=2"
        tab.evaluate("fields.text.select()")
        focus(tab, "#reset")
        tab.press("Enter")
        assert settled(tab) == "100 of 100 lines, 50 of them shown."
        assert tab.evaluate("location.hash") == "#sentences"
        focus(tab, "#more")
        tab.press("Enter")
        assert settled(tab) == "100 of 100 lines."
        assert tab.evaluate("document.activeElement.querySelector('h3 a').textContent") == "Line 51"
        assert tab.errors == []


def test_only_lines_on_which_the_systems_shown_differ(page: Path) -> None:
    with opened(page) as tab:
        start_at_controls(tab)
        for system in (2, 3):
            focus(tab, f"input[name=show][value='{system}']")
            tab.press(" ")
        focus(tab, "input[name=differ]")
        tab.press(" ")
        assert settled(tab) == "25 of 100 lines."
        assert numbers(tab) == list(range(1, 100, 4))
        assert tab.evaluate("location.hash") == "#sentences&differ=1&show=0&show=1"
        assert set(shown(tab, "#lines .system dt")) == {" first", " second"}


def test_numbers_of_tables_lead_to_their_lines(page: Path) -> None:
    with opened(page) as tab:
        focus(tab, "a[href*='error=empty&by=2']")
        tab.press("Enter")
        assert settled(tab) == "3 of 100 lines."
        assert numbers(tab) == [row + 1 for row in EMPTY]
        assert tab.evaluate("document.activeElement.id") == "sentences-title"
        assert shown(tab, "#lines .flag") == ["Empty"] * 3
        tab.evaluate("history.back()")
        settled(tab)
        tab.evaluate("document.querySelector('a[href*=\"group=Length\"]').click()")
        first, rest = settled(tab).split(" ", 1)
        assert rest.startswith("of 100 lines")
        assert shown(tab, "a[href*='group=Length']")[0] == first
        tab.evaluate("document.querySelector('#lines h3 a').click()")
        assert settled(tab) == "1 of 100 lines."
        assert tab.errors == []


def test_a_link_leads_to_the_same_lines_in_the_same_order(page: Path) -> None:
    address = "#sentences&sort=difference&of=4&over=1&compare=1&missing=1&show=1&show=4"
    with opened(page) as tab:
        tab.evaluate(f"location.hash = {json.dumps(address)}")
        told = settled(tab)
        assert told == ("100 of 100 lines, 50 of them shown; by chrF fifth is better than second on 0 and worse on 25.")
        lines = numbers(tab)
        assert set(lines[:25]) == set(range(1, 100, 4))
        assert lines[25:] == [i for i in range(1, 101) if i % 4 != 1][:25]
        assert set(shown(tab, "#lines .system dt")) == {" second", " fifth"}
        assert {(a, b) for a, b in zip(shown(tab, "#lines ins"), shown(tab, "#lines del"), strict=True)} == {
            ("green", "red")
        }
        assert "\u2212" in shown(tab, "#lines .about span")[2]
        tab.evaluate("location.hash = '#sentences&sort=nonsense&of=77&error=none&group=no:thing&test=9'")
        assert settled(tab) == "100 of 100 lines, 50 of them shown."
        assert tab.errors == []


def test_scores_are_sorted_the_best_first(page: Path) -> None:
    with opened(page) as tab:
        names = "#scores table.sortable tbody th bdi"
        before = shown(tab, names)[:5]
        for head, first in (("BLEU \u2191", "second"), ("TER \u2193", "second"), ("TER \u2193", "fourth")):
            tab.evaluate(f"[...document.querySelectorAll('th button')].find(e => e.textContent === '{head}').click()")
            assert shown(tab, names)[0] == first
        assert sorted(shown(tab, names)[:5]) == sorted(before)
        assert tab.errors == []


def test_attention_on_demand(page: Path) -> None:
    with opened(page) as tab:
        tab.evaluate("location.hash = '#sentences&line=3'")
        settled(tab)
        focus(tab, "#lines .about button")
        tab.press("Enter")
        words = REFERENCES[2].split()
        assert shown(tab, ".map tbody th") == words
        assert shown(tab, ".map thead th") == SOURCE[2].split()
        assert shown(tab, ".map tbody td")[: len(words)] == ["100"] + [""] * (len(words) - 1)
        assert shown(tab, "#lines li li") == [f"{word} \u2190 {SOURCE[2].split()[0]} 100 %" for word in words]
        assert tab.evaluate("document.activeElement.ariaExpanded") == "true"
        tab.press("Enter")
        assert shown(tab, ".map") == []
        assert tab.scroll_width == 1280
        assert tab.errors == []


def test_differences_of_words(page: Path) -> None:
    with opened(page) as tab:
        for other in TEXTS:
            for text in TEXTS:
                call = f"differences({json.dumps(other)}, {json.dumps(text)}).pieces"
                pieces = [(piece["kind"], piece["text"]) for piece in tab.evaluate(call)]
                assert "".join(part for kind, part in pieces if kind != "missing") == text
                words = [word.strip() for kind, part in pieces if kind != "new" for word in WORD.findall(part)]
                assert words == [word.strip() for word in WORD.findall(other)]
                assert {kind for kind, _ in pieces} <= {"same"} or other.split() != text.split()
        pieces = tab.evaluate(f"differences({json.dumps(TEXTS[0])}, {json.dumps(TEXTS[1])}).pieces")
        assert [(piece["kind"], piece["text"]) for piece in pieces] == [
            ("same", "A"), ("missing", " young"), ("same", " man"), ("new", " sleeps"), ("same", ",  asleep."),
        ]  # fmt: skip
        found = tab.evaluate(f"differences({json.dumps(TEXTS[3])}, {json.dumps(TEXTS[4])}).pieces")
        assert [piece["text"] for piece in found if piece["kind"] != "same"] == ["一", "二"]
        assert tab.evaluate("differences('a '.repeat(4000) + 'b', 'c ' + 'd '.repeat(4000))") is None


def test_one_system_without_a_source(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(make_report([evaluated(System("only", HYPOTHESES))], "x")), encoding="utf-8")
    with opened(path, 390) as tab:
        assert settled(tab) == "100 of 100 lines, 50 of them shown."
        start_at_controls(tab)
        focus(tab, "select[name=sort]")
        tab.press("ArrowDown")
        settled(tab)
        assert tab.evaluate("location.hash") == "#sentences&sort=chrf"
        assert numbers(tab)[0] % 4 == 1
        assert shown(tab, "#lines li:first-child dt") == ["Reference", " only"]
        assert (tab.errors, tab.scroll_width) == ([], 390)


@pytest.mark.slow
def test_many_systems_and_lines_are_small_and_open_at_once(tmp_path: Path) -> None:
    texts = [" ".join([line] * 3) for line in REFERENCES]
    systems = [System(f"system {k}", [f"{k} {line}" for line in texts]) for k in range(10)]
    found = make_report([evaluated(*systems, references=[texts], source=texts)], "x")
    (test,) = found.data["tests"]
    for name in ("source", "lengths"):
        test[name] = test[name] * 30
    for name in ("references", "systems", "chrf"):
        test[name] = [lines * 30 for lines in test[name]]
    path = tmp_path / "report.html"
    path.write_text(render(found), encoding="utf-8")
    assert path.stat().st_size < 20e6
    with opened(path) as tab:
        assert settled(tab) == "3,000 of 3,000 lines, 50 of them shown."
        assert tab.evaluate("performance.getEntriesByName('ready')[0].startTime") < 2000
        assert tab.errors == []
