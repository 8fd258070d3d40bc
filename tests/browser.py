"""Headless Chromium for tests, driven over a pipe by the DevTools protocol: JSON messages, each ended by a zero byte."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.harness import PATIENCE, need

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",  # it reads from descriptor 3 and writes to 4
)

_BOUNDS = """(() => {
  const all = [...document.querySelectorAll(SELECTOR)].map((each) => each.getBoundingClientRect());
  const [left, top] = [Math.min(...all.map((each) => each.left)), Math.min(...all.map((each) => each.top))];
  const [right, bottom] = [Math.max(...all.map((each) => each.right)), Math.max(...all.map((each) => each.bottom))];
  return {x: left + scrollX, y: top + scrollY, width: right - left, height: bottom - top};
})()"""


class NavigatingError(Exception):
    """The page with which the call began has gone; the next one is not there yet."""


class Tab:
    """One page. `errors` are what the console of the browser shows as an error: exceptions, failed requests, violations of a policy."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session: str | None = None
        self.errors: list[str] = []

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one call."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps({**message, **session}).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            self._note(answer)
        if (error := answer.get("error")) and any(word in error["message"] for word in ("context", "navigated")):
            raise NavigatingError(error["message"])
        assert error is None, f"{method}: {error}"
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._from], [], [], PATIENCE)[0], "the browser does not answer"
            data = os.read(self._from, 1 << 16)
            assert data, "the browser is gone"
            self._buffer += data
        one, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        return message

    def _note(self, event: Mapping[str, Any]) -> None:
        found = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(str(found["exceptionDetails"].get("exception", found)))
            case "Log.entryAdded" if found["entry"]["level"] == "error":
                self.errors.append(f"{found['entry']['text']} {found['entry'].get('url', '')}")
            case "Runtime.consoleAPICalled" if found["type"] == "error":
                self.errors.append(str(found["args"]))

    def show(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The size of the screen, and what the user prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go there and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, script: str) -> Any:
        """What an expression is worth in the page; a promise is awaited."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self._is_true(script):
            assert time.monotonic() < end, f"never true: {script}; the page says: {self.text()}; {self.errors}"
            time.sleep(0.02)

    def _is_true(self, script: str) -> bool:
        try:
            return bool(self.value(f"Boolean({script})"))
        except NavigatingError:
            return False

    def text(self) -> str:
        """All text that a person sees."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def picture(self, path: Path, *, whole: bool = False, of: str | None = None) -> None:
        """A screenshot, as a PNG file; `whole`: of all that scrolling would show; `of`: of the elements that this selector finds."""
        clip = {"clip": {**self.value(_BOUNDS.replace("SELECTOR", json.dumps(of))), "scale": 1}} if of else {}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole or of is not None, **clip)[
            "data"
        ]
        path.write_bytes(base64.b64decode(data))


def _as_3_and_4(reader: int, writer: int) -> None:
    """Runs in the child. First to numbers above all others, because the pipes may have the numbers 3 and 4 themselves."""
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in (reader, writer)]
    for number, each in zip((3, 4), high, strict=True):
        os.dup2(each, number)
        os.close(each)


@contextmanager
def browser() -> Iterator[Tab]:
    """A Chromium of its own with one tab. Without a Chromium the test is skipped, in CI it fails."""
    program = need("chromium")
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="tocsin-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(3, 4),
            env={**os.environ, "HOME": profile, "TMPDIR": profile},
            preexec_fn=lambda: _as_3_and_4(to_browser[0], from_browser[1]),  # noqa: PLW1509 - calls dup2 and close only
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            tab = Tab(to_browser[1], from_browser[0])
            tab.attach()
            yield tab
        finally:
            with suppress(OSError, subprocess.TimeoutExpired):
                os.write(to_browser[1], b'{"id": 0, "method": "Browser.close"}\0')
                process.wait(PATIENCE)
            process.kill()
            process.wait(PATIENCE)
            os.close(to_browser[1])
            os.close(from_browser[0])
