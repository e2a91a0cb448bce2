"""What looks at pages in the other tests sees what is wrong with them."""

from pathlib import Path

import pytest
from browser import look, needs_chromium, opened

pytestmark = needs_chromium

POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'">"""
PAGE = (
    """<!DOCTYPE html><title>a page</title><p id="p">text</p><button onclick="p.textContent = 'pressed'">go</button>"""
)


def write(folder: Path, text: str) -> Path:
    (folder / "page.html").write_text(text, encoding="utf-8")
    return folder / "page.html"


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_a_window_is_as_wide_as_asked_for(tmp_path: Path, width: int) -> None:
    from PIL import Image

    seen = look(write(tmp_path, PAGE), width, picture=tmp_path / "page.png")
    assert (seen.errors, seen.scroll_width) == ([], width)
    assert seen.picture
    assert Image.open(seen.picture).width == width


def test_a_page_that_is_too_wide_is_seen(tmp_path: Path) -> None:
    assert look(write(tmp_path, PAGE + "<div style='width: 900px'>wide</div>"), 390).scroll_width > 900


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<script>missing()</script>", "missing is not defined"),
        ("<script>console.error('it', 'failed')</script>", "it failed"),
        (POLICY + "<img src='https://example.org/x.png'>", "Content Security Policy"),
        ("<img src='beside.png'>", "request: file://"),
    ],
)
def test_errors_are_seen(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(look(write(tmp_path, PAGE + text)).errors)


def test_keys_and_schemes(tmp_path: Path) -> None:
    page = write(tmp_path, PAGE)
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    with opened(page, scheme="dark") as tab:
        assert tab.evaluate(dark)
        tab.press("Tab")
        tab.press("Enter")
        assert tab.evaluate("p.textContent") == "pressed"
        assert tab.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    with opened(page, media="print") as tab:
        assert not tab.evaluate(dark)
        assert tab.evaluate("matchMedia('print').matches")
