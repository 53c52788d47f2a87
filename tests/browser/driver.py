"""A real Chromium, driven in the words of the W3C WebDriver protocol over httpx.

The protocol is HTTP and JSON, and the tests need ten of its words; a client library would bring a
dozen packages and a manager that downloads browsers by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

CHROMIUM = "chromium"
DRIVER = "chromedriver"
# Nothing of the browser's own may leave the machine or burn the two cores.
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--disable-quic", "--no-first-run",
    "--no-default-browser-check", "--metrics-recording-only", "--mute-audio",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars",
)  # fmt: skip


def missing() -> list[str]:
    """Return which of the two programs this machine does not have."""
    return [name for name in (CHROMIUM, DRIVER) if shutil.which(name) is None]


class Browser:
    """One session of a browser with one window."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._path = f"/session/{session}"

    def _post(self, word: str, body: dict[str, Any]) -> Any:
        answer = self._client.post(f"{self._path}/{word}", json=body)
        value = answer.json()["value"]
        if answer.is_error:
            raise AssertionError(f"{word}: {value['error']}: {value['message']}")
        return value

    def command(self, name: str, **parameters: Any) -> Any:
        """Return the answer to a command of Chromium's own protocol."""
        return self._post("goog/cdp/execute", {"cmd": name, "params": parameters})

    def width(self, pixels: int, height: int = 900) -> None:
        """Make the screen `pixels` wide, in pixels of a style sheet; a phone's is touched."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=pixels,
            height=height,
            deviceScaleFactor=1,
            mobile=pixels < 600,
        )

    def open(self, page: Path, anchor: str = "") -> None:
        """Load `page` afresh, at `anchor`; it remembers nothing of earlier visits."""
        self.run("try { localStorage.clear(); } catch (error) { /* a page without storage */ }")
        self._post("url", {"url": "about:blank"})
        self._post("url", {"url": page.as_uri() + (f"#{anchor}" if anchor else "")})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what the body of a function returns in the page."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """Click the middle of the first element that `selector` finds, as a person would."""
        # The page scrolls gently; a click would land where the element was a moment before.
        self.run(
            "document.querySelector(arguments[0])"
            ".scrollIntoView({block: 'center', behavior: 'instant'})",
            selector,
        )
        found = self._post("element", {"using": "css selector", "value": selector})
        self._post(f"element/{next(iter(found.values()))}/click", {})

    def text(self, selector: str) -> str:
        """Return the text that can be seen in the first element that `selector` finds."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what the browser noted since it was last asked: "browser" or "performance"."""
        noted: list[dict[str, Any]] = self._post("se/log", {"type": kind})
        return noted

    def requests(self) -> list[str]:
        """Return the addresses asked for since this was last called."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [
            str(one["params"]["request"]["url"])
            for one in messages
            if one["method"] == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        """End the session, and with it the browser."""
        self._client.delete(self._path)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Yield a browser; it and its driver are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="voronka-browser-") as folder:
        process = subprocess.Popen(
            [shutil.which(DRIVER) or DRIVER, "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "HOME": folder},
            start_new_session=True,
        )
        try:
            port = _port(process)
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
            with client, contextlib.closing(_session(client, Path(folder))) as session:
                yield session
        finally:
            process.terminate()
            process.wait(timeout=20)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    deadline = time.monotonic() + 30
    for line in process.stdout:
        if found := re.search(r"successfully on port (\d+)", line):
            return int(found[1])
        if time.monotonic() > deadline:
            break
    raise AssertionError("chromedriver did not say where it listens")


def _session(client: httpx.Client, folder: Path) -> Browser:
    options = {
        "binary": shutil.which(CHROMIUM),
        "args": [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}"],
    }
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    answer = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
    value = answer.json()["value"]
    assert answer.is_success, value
    opened = Browser(client, str(value["sessionId"]))
    # Without it the page scrolls gently, and a place would be measured on the way to it.
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    opened.command("Emulation.setEmulatedMedia", features=still)
    opened.requests()
    return opened
