"""Pages in headless Chromium: what a browser says of a page, and what a reader of it sees.

DevTools are spoken with over two pipes, so that nothing but Chromium itself is needed:

    pytestmark = needs_chromium

    def test_page(tmp_path):
        seen = look(page, width=390, scheme="dark", picture=tmp_path / "page.png")
        assert seen.errors == []
        assert seen.scroll_width == 390

    def test_keys():
        with opened(page) as tab:
            tab.press("Tab")
            assert tab.evaluate("document.activeElement.textContent") == "Scores"
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: no page can be looked at")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]
# Chromium reads commands from file descriptor 3 and writes answers to 4.
WITH_PIPES = "import os, sys; [os.dup2(int(sys.argv[i]), 2 + i) for i in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"
HEIGHT = 800  # pixels of the window
TALLEST = 12_000  # pixels of a picture
PATIENCE = 60.0  # seconds for an answer; a busy machine starts Chromium slowly
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


@dataclass(frozen=True)
class Seen:
    """What came of opening a page.

    Attributes:
        errors: errors and warnings of the console, exceptions, breaches of the page's policy, requests for anything
            but the page itself.
        scroll_width: pixels that the page is wide; more than the window means that it scrolls sideways.
        picture: the whole page as PNG, if one was asked for.
    """

    errors: list[str]
    scroll_width: int
    picture: Path | None


class Tab:
    """An open page.

    Attributes:
        errors: see `Seen`; goes on growing.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self._address = ""
        self._loaded = False
        self.errors: list[str] = []

    def open(self, address: str, width: int, scheme: str, media: str) -> None:
        """Opens an address in a new tab; see `opened`."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        self._address, self._loaded = address, False
        self.call("Page.navigate", url=address)
        while not self._loaded:
            self._note(self._read())

    def evaluate(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression, of promises what they promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {_exception(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def press(self, key: str, shift: bool = False) -> None:
        """Presses and releases a key: one of `KEYS` or a character."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = KEYS.get(key) or ord(key.upper())
        options = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **options)
        self.call("Input.dispatchKeyEvent", type="keyUp", **options)

    @property
    def scroll_width(self) -> int:
        """See `Seen`."""
        return int(self.evaluate("document.documentElement.scrollWidth"))

    def picture(self, path: Path) -> Path:
        """Writes the whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], TALLEST), "scale": 1}
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """Prints the page into a PDF file."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))
        return path

    def call(self, method: str, **options: Any) -> dict[str, Any]:
        """Calls a method of DevTools and returns its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": options}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _read(self) -> dict[str, Any]:
        ends = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, ends - time.monotonic()))
            chunk = os.read(self._answers, 2**20) if ready else b""
            if not chunk:
                raise AssertionError("Chromium ended" if ready else f"Chromium said nothing for {PATIENCE:.0f} seconds")
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        """Keeps what an event says of the page."""
        name, values = event.get("method"), event.get("params", {})
        if name == "Page.loadEventFired":
            self._loaded = True
        elif name == "Runtime.exceptionThrown":
            self.errors.append(_exception(values["exceptionDetails"]))
        elif name == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in values["args"]))
        elif name == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.errors.append(values["entry"]["text"])
        elif name == "Network.requestWillBeSent":
            url = values["request"]["url"]
            if url.partition("#")[0] != self._address and not url.startswith(("data:", "about:")):
                self.errors.append(f"request: {url}")


def _exception(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])


@contextmanager
def opened(
    page: Path,
    width: int = 1280,
    scheme: Literal["light", "dark"] = "light",
    media: Literal["screen", "print"] = "screen",
) -> Iterator[Tab]:
    """Opens a file in a Chromium of its own, with an empty profile.

    Args:
        page: the HTML file.
        width: of the window, pixels; also such as no real window can have.
        scheme: `prefers-color-scheme`.
        media: whether the page is shown or printed.
    """
    assert CHROMIUM
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    pipes = theirs_in, theirs_out
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        program = [sys.executable, "-c", WITH_PIPES, *map(str, pipes), CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        chromium = subprocess.Popen(program, pass_fds=pipes, start_new_session=True, **quiet)
        for pipe in pipes:
            os.close(pipe)
        try:
            tab = Tab(commands, answers)
            tab.open(page.resolve().as_uri(), width, scheme, media)
            yield tab
        finally:
            for pipe in (commands, answers):
                os.close(pipe)
            with suppress(ProcessLookupError):
                os.killpg(chromium.pid, signal.SIGKILL)  # with the processes that it has started
            chromium.wait()


def look(
    page: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light", picture: Path | None = None
) -> Seen:
    """Opens a page, and says what the browser complains of and how wide it is; see `opened`.

    Args:
        page: the HTML file.
        width: of the window, pixels.
        scheme: `prefers-color-scheme`.
        picture: where a PNG of the whole page goes.
    """
    with opened(page, width, scheme) as tab:
        return Seen(tab.errors, tab.scroll_width, tab.picture(picture) if picture else None)
