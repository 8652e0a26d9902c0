"""What the browser tests share: a Chromium, the real server, and pages that may not leave this machine."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from outlived import started

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page, WebSocket

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(view.stem for view in (ROOT / "app" / "views").glob("*.py") if view.stem != "__init__")
SECONDS = 120
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
    "--font-render-hinting=none",  # a headless shell would measure letters in whole pixels
    "--process-per-site",  # pages of one context share what was parsed and compiled
    # No other machine can be reached, so a request to one is recorded and goes nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def find_chromium() -> str | None:
    """Path of a Chromium: the one that DUO_CHROMIUM names, else the first of the usual names on PATH."""
    named = os.environ.get("DUO_CHROMIUM")
    candidates = [named] if named else ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
    return next((path for name in candidates if (path := shutil.which(name))), None)


def outside_requests(urls: Iterable[str]) -> list[str]:
    """Those of the requested addresses that lie on another machine.

    >>> outside_requests(["http://127.0.0.1:8501/_stcore/health", "ws://localhost:8501/_stcore/stream", "data:image/png;base64,AA"])
    []
    >>> outside_requests(["https://fonts.example/icons.woff2", "http://127.0.0.1.example/"])
    ['https://fonts.example/icons.woff2', 'http://127.0.0.1.example/']
    """
    return [url for url in urls if (asked := urlsplit(url)).scheme in NETWORK and asked.hostname not in LOOPBACK]


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def streamlit_server(script: Path, log: Path, **environment: str) -> AbstractContextManager[str]:
    """Run the script under the real Streamlit as a user would, from the repository's root; give its address.

    What is set in the server's environment alone does not reach the tests that run while it lives.
    """
    port = free_port()
    options = {
        "server.headless": "true",
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    command = ["streamlit", "run", str(script), *(f"--{key}={value}" for key, value in options.items())]
    return serving(command, port, log, environment)


@contextmanager
def serving(
    module: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None, *, base: str = ""
) -> Iterator[str]:
    """Run a module of Python's that serves the dashboard on a port, below a path; give its address once it answers."""
    with started(["-m", *module], log, cwd=ROOT, env={**os.environ, **(environment or {})}) as process:
        wait_until_healthy(f"http://127.0.0.1:{port}{base}/_stcore/health", process, log)
        yield f"http://127.0.0.1:{port}{base}"


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


@contextmanager
def opened_pages(browser: "Browser", server: str, *, apart: bool = False) -> "Iterator[Pages]":
    """Pages of a server; all are closed at the end, and it is an error if one has asked another machine or complained."""
    pages = Pages(browser, server, apart=apart)
    try:
        yield pages
    finally:
        pages.close()
    assert outside_requests(pages.requested) == []
    assert pages.complaints == [], pages.complaints


class Pages:
    """Opens pages of one server; keeps every address they asked for and every error.

    Each has a browser context of its own where they are `apart`, as browsers that have never been there. Else they share one, a tab
    each, for half of the work: the code of Streamlit and of its charts is parsed and compiled once.
    """

    def __init__(self, browser: "Browser", server: str, *, apart: bool = True) -> None:
        self.browser, self.server, self.apart = browser, server, apart
        self.opened: list[Page] = []
        self.requested: list[str] = []
        self.complaints: list[str] = []

    def __call__(self, path: str = "/", *, width: int = 1280, height: int = 900, dark: bool = False, apart: bool = False) -> "Page":
        """Open a path of the server and wait until it has settled."""
        page = self.empty(width=width, height=height, dark=dark, apart=apart)
        page.goto(self.server + path)
        settle(page)
        return page

    def elsewhere(self, path: str) -> "Page":
        """Open a path as somebody who has never been there: nothing is left of what other tabs have put by, but compiled code."""
        page = self.empty()
        page.context.clear_cookies()
        page.add_init_script("localStorage.clear()")
        page.goto(self.server + path)
        settle(page)
        return page

    def empty(self, *, width: int = 1280, height: int = 900, dark: bool = False, apart: bool = False) -> "Page":
        """A page that shows nothing yet."""
        context = self.browser.new_context() if apart or self.apart else self._common()
        page = context.new_page()
        self.opened.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.set_default_timeout(SECONDS * 1000)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("console", lambda message: self.complain(message.type, message.text, message.location["url"]))
        page.on("pageerror", lambda error: self.complain("error", str(error), ""))
        page.on("websocket", lambda stream: self.requested.append(stream.url))
        talks[page] = Talk(page)
        return page

    def _common(self) -> "BrowserContext":
        """The context that pages share; one stays in it, and so does the process that has compiled the code."""
        if self.browser not in commons:
            commons[self.browser] = self.browser.new_context()
            commons[self.browser].new_page().goto(f"{self.server}/_stcore/health")
        return commons[self.browser]

    def close(self) -> None:
        """Close all pages, and forget what they have kept in the browser."""
        common = commons.get(self.browser)
        for page in self.opened:
            if page.context != common:
                page.context.close()
            elif not page.is_closed():
                if page.url.startswith(self.server):
                    page.evaluate("localStorage.clear()")
                page.close()
        if common:
            common.clear_cookies()

    def complain(self, kind: str, words: str, source: str) -> None:
        # Streamlit looks for its server below the page's address first.
        if kind == "error" and "/_stcore/" not in source:
            self.complaints.append(f"{words} {source}")


class Talk:
    """What a page and its server say to each other: whether the server has still to answer."""

    def __init__(self, page: "Page") -> None:
        # Only here, so that tests that drive no browser run where there is no dashboard.
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        self.asked, self.heard = BackMsg, ForwardMsg
        self.waiting = self.begun = False
        page.on("websocket", self.listen)

    def listen(self, stream: "WebSocket") -> None:
        self.waiting = False
        stream.on("framesent", self.ask)
        stream.on("framereceived", self.hear)

    def ask(self, message: str | bytes) -> None:
        if isinstance(message, bytes) and self.asked.FromString(message).WhichOneof("type") == "rerun_script":
            self.waiting, self.begun = True, False

    def hear(self, message: str | bytes) -> None:
        heard = self.heard.FromString(message) if isinstance(message, bytes) else self.heard()
        kind = heard.WhichOneof("type")
        if kind == "new_session":
            self.begun = True
        elif kind == "script_finished" and self.begun and heard.script_finished != self.heard.FINISHED_EARLY_FOR_RERUN:
            self.waiting = False


talks: WeakKeyDictionary["Page", Talk] = WeakKeyDictionary()
commons: WeakKeyDictionary["Browser", "BrowserContext"] = WeakKeyDictionary()


def settle(page: "Page") -> None:
    """Wait until the page is connected, the server has answered all it was asked, all is drawn and in its place, and stays so.

    An action's rerun is asked for up to 200 ms after the action (a slider waits for the next move), and the code of a widget may be
    fetched after the script has ended. The page itself counts how often it was found quiet, so that a slow machine is given its
    time; a server that is slow to begin shows on the stream alone.
    """
    end = time.monotonic() + SECONDS
    while True:
        page.evaluate("window.quiet = {looks: 0, since: performance.now()}")
        page.wait_for_function(QUIET, polling=50)
        if not talks[page].waiting:
            return
        if time.monotonic() > end:
            raise TimeoutError(f"the server has not answered for {SECONDS} s")


QUIET = """() => {
    const app = document.querySelector('[data-testid=stApp]'), state = app ? app.dataset : {}, now = performance.now();
    const seen = query => [...document.querySelectorAll(query)].filter(each => each.checkVisibility());
    const tall = seen('[data-testid=stMain], [data-testid=stSidebar]').map(each => each.scrollHeight).join();
    const busy = state.testConnectionState !== 'CONNECTED' || state.testScriptState !== 'notRunning'
        || !seen('[data-testid=stMain] [data-testid=stElementContainer]').length
        || seen('[data-testid=stSkeleton], [data-stale=true]').length
        || seen('[data-testid=stPlotlyChart]').some(chart => !chart.querySelector('.main-svg'))
        || tall !== window.quiet.tall;
    window.quiet = busy ? {looks: 0, since: now, tall} : {...window.quiet, looks: window.quiet.looks + 1};
    return window.quiet.looks >= 6 && now - window.quiet.since >= 350;
}"""


def chart(page: "Page", key: str) -> "Locator":
    """The chart of that key, once the page has settled."""
    settle(page)
    found = page.locator(f".st-key-chart_{key} .js-plotly-plot")
    found.scroll_into_view_if_needed()
    return found


def click_at(page: "Page", plot: "Locator", x: float, y: float) -> None:
    """Move onto a place of a chart, given in its own units, and click it, as a hand does."""
    end = time.monotonic() + SECONDS
    hovered = False
    while not hovered:  # again where the chart was drawn anew under the hand
        assert time.monotonic() < end, "the chart does not answer to the mouse"
        left, top = plot.evaluate(PLACE, [x, y])
        page.mouse.move(left - 20, top - 5)
        page.mouse.move(left, top, steps=4)
        hovered = plot.evaluate(HOVERED)
    page.mouse.click(left, top)


PLACE = """(plot, [x, y]) => {
    const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
    return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)];
}"""
HOVERED = "plot => new Promise(done => setTimeout(() => done(Boolean(plot._hoverdata && plot._hoverdata.length)), 100))"


def click_point(page: "Page", key: str, trace: str, place: str) -> Any:
    """Click a point of a trace, its place in JavaScript (`t` the trace); what the point carries."""
    plot = chart(page, key)
    x, y, carried = plot.evaluate(
        f"(plot, name) => {{ const t = plot._fullData.find(t => t.name === name), i = {place};"
        "return [t.x[i], t.y[i], t.customdata && t.customdata[i]]; }",
        trace,
    )
    click_at(page, plot, x, y)
    return carried
