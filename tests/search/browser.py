"""A headless Chromium, driven over chromedriver's own protocol (W3C WebDriver): pages as a person sees them."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--enable-unsafe-swiftshader", "--use-angle=swiftshader",  # parallel coordinates are drawn with WebGL
]  # fmt: skip


class Browser:
    """One window; `with Browser(tmp_path) as browser: browser.open(url)`."""

    def __init__(self, folder: Path, width: int = 1600, height: int = 1200) -> None:
        """`folder`: of its profile and its screenshots; those go to FFSNN_SCREENSHOTS, too, if that is set."""
        self.folder, self.size = folder, f"--window-size={width},{height}"

    def __enter__(self) -> "Browser":
        assert DRIVER is not None
        self.driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self.driver.stdout is not None
        self.address = ""
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                port = line.rsplit("port", 1)[1].strip(" .\n")
                self.address = f"http://127.0.0.1:{port}/session"
                break
        options = {"binary": CHROMIUM, "args": [*FLAGS, self.size, f"--user-data-dir={self.folder / 'profile'}"]}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._ask("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self.address += f"/{session['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(timeout=10)
            assert self.driver.stdout is not None
            self.driver.stdout.close()

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def script(self, js: str) -> Any:
        """What `js`, the body of a function, returns."""
        return self._ask("POST", "/execute/sync", {"script": js, "args": []})

    def wait(self, js: str, seconds: float = 30) -> Any:
        """The first value of `js` that is true.

        Raises:
            AssertionError: none within `seconds`; says what the page showed.
        """
        deadline = time.monotonic() + seconds
        while not (value := self.script(js)):
            if time.monotonic() > deadline:
                text = self.script("return document.body.innerText")
                raise AssertionError(f"not within {seconds:.0f} s: {js}\nerrors: {self.errors()}\npage: {text[:2000]}")
            time.sleep(0.2)
        return value

    def screenshot(self, path: Path) -> None:
        picture = base64.b64decode(self._ask("GET", "/screenshot"))
        path.write_bytes(picture)
        if also := os.environ.get("FFSNN_SCREENSHOTS"):
            Path(also).mkdir(parents=True, exist_ok=True)
            (Path(also) / path.name).write_bytes(picture)

    def errors(self) -> list[str]:
        """What the page has complained of since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
