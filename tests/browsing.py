"""What the browser tests share: a Chromium, the real server, and pages that may not leave this machine."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
NETWORK = {"http", "https", "ws", "wss", "ftp"}

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # No other machine can be reached, so a request to one is recorded and goes nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def find_chromium() -> str | None:
    """Path of a Chromium: the one that DUO_CHROMIUM names, else the first of the usual names on PATH."""
    named = os.environ.get("DUO_CHROMIUM")
    candidates = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for name in candidates if (path := shutil.which(name))), None)


def outside_requests(urls: Iterable[str]) -> list[str]:
    """Those of the requested addresses that lie on another machine.

    >>> outside_requests(["http://127.0.0.1:8501/_stcore/health", "ws://localhost:8501/_stcore/stream", "data:image/png;base64,AA"])
    []
    >>> outside_requests(["https://fonts.example/icons.woff2", "http://127.0.0.1.example/"])
    ['https://fonts.example/icons.woff2', 'http://127.0.0.1.example/']
    """
    network = {"http", "https", "ws", "wss", "ftp"}
    return [
        url for url in urls if urlsplit(url).scheme in network and urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}
    ]


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def streamlit_server(script: Path, log: Path) -> Iterator[str]:
    """Run the script under the real Streamlit as a user would, from the repository's root; give its address."""
    port = free_port()
    options = {
        "server.headless": "true",
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(script), *(f"--{key}={value}" for key, value in options.items())]
    with log.open("wb") as output, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll until the server says ok; where it does not, raise with what it printed."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the Streamlit server did not start within {SECONDS} s; it printed:\n{log.read_text(errors='replace')}")


class Pages:
    """Opens pages of one server, each in a browser context of its own, and keeps every address they asked for."""

    def __init__(self, browser: "Browser", server: str) -> None:
        self.browser, self.server = browser, server
        self.requested: list[str] = []

    def __call__(self, path: str = "/", *, width: int = 1280, height: int = 900, dark: bool = False) -> "Page":
        """Open a path of the server and wait until it has settled."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        context.set_default_timeout(SECONDS * 1000)
        context.on("request", lambda request: self.requested.append(request.url))
        page = context.new_page()
        page.on("websocket", lambda stream: self.requested.append(stream.url))
        page.goto(self.server + path)
        settle(page)
        return page


def settle(page: "Page") -> None:
    """Wait until the script has run to its end and stays so: an action's rerun begins a moment after the action."""
    app = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    app.wait_for()
    page.wait_for_timeout(200)
    app.wait_for()
