"""What an interaction costs, in a real Chromium on the real server: milliseconds of the server and of the browser's main thread.

Server: from the browser's question to the end of the script that answers it, or to the page's last element where it waits for more
after that. Browser: what its main thread worked (Chromium's TaskDuration) from the click until the page stands still; waiting is
not counted, so that a busy machine tells the same. Below stand
how far things moved while the first page was drawn (cumulative layout shift), its nodes, and when its first chart was there.
"""

import argparse
import statistics
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browsing import CHROMIUM_OPTIONS, Pages, find_chromium, settle, streamlit_server, talks  # noqa: E402
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: E402
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: E402

from benchmarks.driving import line  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERVER, BROWSER = 300.0, 500.0
"""Milliseconds that an interaction may take."""
SHIFT = 0.1
ASKED, GLANCE = 300, 50
"""Milliseconds within which an action has asked the server, and between two looks whether it has answered."""
SHIFTS = """
window.shift = 0;
new PerformanceObserver(list => list.getEntries().forEach(each => { if (!each.hadRecentInput) window.shift += each.value; }))
    .observe({type: 'layout-shift', buffered: true});
"""
Action = Callable[["Page", int], None]


class Cost(NamedTuple):
    """Of one interaction, in milliseconds."""

    server: float
    browser: float


class Clock:
    """Times a page's questions to its server, by the browser's own clock of what goes over its websocket."""

    def __init__(self, tracing: Any, last: bytes = b"") -> None:
        """`last` is what the last element of the page says, where the script goes on after that."""
        self.asked = self.answered = 0.0
        self.last, self.drawn = last, False
        tracing.send("Network.enable")
        tracing.on("Network.webSocketFrameSent", self.ask)
        tracing.on("Network.webSocketFrameReceived", self.hear)

    def ask(self, event: dict[str, Any]) -> None:
        if BackMsg.FromString(_binary(event)).WhichOneof("type") == "rerun_script":
            self.asked, self.drawn = event["timestamp"], False

    def hear(self, event: dict[str, Any]) -> None:
        if not self.drawn:
            message = _binary(event)
            self.drawn = bool(self.last) and self.last in message
            if self.drawn or ForwardMsg.FromString(message).WhichOneof("type") == "script_finished":
                self.answered = event["timestamp"]


def _binary(event: dict[str, Any]) -> bytes:
    """What a frame carries; nothing where it is text."""
    frame = event["response"]
    return b64decode(frame["payloadData"]) if frame["opcode"] == 2 else b""


def press(*labels: str) -> Action:
    """Press the buttons in turn, or parts of a segmented control; a shortcut stands behind a label."""

    def pressed(page: "Page", turn: int) -> None:
        label = labels[turn % len(labels)]
        page.get_by_role("button", name=label).or_(page.get_by_role("radio", name=label)).first.click()

    return pressed


def choose(label: str) -> Action:
    """Take the next option of a select box, and the one before in turn."""

    def chosen(page: "Page", turn: int) -> None:
        page.get_by_role("combobox", name=label, exact=True).click()
        page.keyboard.press("ArrowUp" if turn % 2 else "ArrowDown")
        page.keyboard.press("Enter")

    return chosen


def slide(key: str) -> Action:
    """Move a slider a step to either side in turn, given a part of its key."""
    place = f"[class*=st-key-{key}]"
    return lambda page, turn: page.locator(place).get_by_role("slider").first.press("ArrowLeft" if turn % 2 else "ArrowRight")


def go(*names: str) -> Action:
    return lambda page, turn: page.get_by_role("link", name=names[turn % len(names)], exact=True).first.click()


WALKS: dict[str, tuple[str, dict[str, Action]]] = {
    "Explore": (
        "/",
        {
            "a coverage step": slide("coverage"),
            "another sidekick": choose("Sidekick"),
            "another metric": choose("Metric"),
            "swap": press("Swap base and sidekick"),
            "to Diagnose and back": go("Diagnose", "Explore"),
        },
    ),
    "Temperatures": ("/temperatures", {"a temperature": slide("temperature_")}),
    "Learn": ("/learn", {"the next step, and back": press("Next", "Back")}),
}


def walked(page: "Page", clock: Clock, tracing: Any, action: Action, repeats: int) -> list[Cost]:
    """Costs of an interaction, again and again; the first of all, which fetches code, is left out."""
    return [cost_of(page, clock, tracing, action, turn) for turn in range(repeats + 2 - repeats % 2)][1:]


def cost_of(page: "Page", clock: Clock, tracing: Any, action: Action, turn: int = 0) -> Cost:
    """What an interaction costs until the page stands still."""
    before = worked(tracing)
    action(page, turn)
    page.wait_for_timeout(ASKED)
    answered(page)
    return Cost(1e3 * (clock.answered - clock.asked), worked(tracing) - before)


def answered(page: "Page") -> None:
    """Wait until the page stands still and the server has no more to say."""
    while talks[page].waiting:  # to look at the page meanwhile, as `settle` does, would be work of the page
        page.wait_for_timeout(GLANCE)
    settle(page)


def worked(tracing: Any) -> float:
    """Milliseconds that the page's main thread has worked so far."""
    metrics = {each["name"]: each["value"] for each in tracing.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"] * 1e3)


def walk(pages: Pages, path: str, actions: dict[str, Action], repeats: int) -> None:
    """Print one page: what it costs to open, and every interaction."""
    page = pages.empty(width=1440)
    tracing = page.context.new_cdp_session(page)
    clock = Clock(tracing)
    tracing.send("Performance.enable")
    page.add_init_script(SHIFTS)
    start = time.perf_counter()
    page.goto(pages.server + path)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    first = 1e3 * (time.perf_counter() - start)
    settle(page)
    shift, nodes = page.evaluate("[window.shift, document.querySelectorAll('.js-plotly-plot *').length]")
    line("opened: first chart, ms", f"{first:.0f}")
    line("opened: layout shift", f"{shift:.3f}", f"> {SHIFT}" if shift > SHIFT else "")
    line("opened: nodes of its charts", f"{nodes:,}")
    for name, action in actions.items():
        found = walked(page, clock, tracing, action, repeats)
        server, browser = (statistics.median(column) for column in zip(*found, strict=True))
        slow = [f"> {most:.0f}" for cost, most in ((server, SERVER), (browser, BROWSER)) if cost > most]
        line(name, f"{server:.0f}", f"{browser:.0f}", *slow)
    page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="times that each interaction is done")
    parser.add_argument("--only", choices=tuple(WALKS), help="one page")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("expected a Chromium on PATH, got none; name one with DUO_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        with streamlit_server(ROOT / "app" / "main.py", Path(folder) / "log") as address:
            pages = Pages(browser, address)
            for name, (path, actions) in WALKS.items():
                if options.only in {None, name}:
                    line(f"{name}, ms (median of {options.repeats})", "server", "browser")
                    walk(pages, path, actions, options.repeats)
        browser.close()


if __name__ == "__main__":
    main()
