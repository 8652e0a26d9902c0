"""What an interaction costs, in a real Chromium on `duo app`: milliseconds of the server and of the browser's main thread.

Server: from the browser's question to the end of the script that answers it, as they pass between the two. Browser: what its main
thread worked, in time of the processor, from the click until the page stands still. Waiting is not counted, and neither is what it
costs to watch whether the page stands still, which is measured on a page that does. Above them stand the first page: when its first
chart was there, asked for as soon as the server answered; how far things moved while it was drawn (cumulative layout shift), and
which part of that was the frame's, which Streamlit draws around every page; and its nodes.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browsing import CHROMIUM_OPTIONS, Pages, find_chromium, free_port, serving, settle  # noqa: E402

from benchmarks.driving import line  # noqa: E402
from benchmarks.relay import Relay  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERVER, BROWSER = 300.0, 500.0
"""Milliseconds that an interaction may take."""
SHIFT = 0.1
FIRST_CHART = 5000.0
"""Milliseconds until the first chart of a server that nobody has asked yet."""
SHIFTS = """
window.shift = {frame: 0, page: 0};
const FRAME = '[data-testid=stMain], [data-testid=stMainBlockContainer], :has(> [data-testid=stMain]), header, header *';
const framed = ({node}) => node instanceof Element && node.matches(FRAME);
new PerformanceObserver(list => list.getEntries().forEach(each => {
    if (!each.hadRecentInput) window.shift[each.sources.length && each.sources.every(framed) ? 'frame' : 'page'] += each.value;
})).observe({type: 'layout-shift', buffered: true});
"""
Action = Callable[["Page", int], None]


class Cost(NamedTuple):
    """Of one interaction, in milliseconds."""

    server: float
    browser: float


class Clock:
    """Times a page's questions to its server, and its main thread's work."""

    def __init__(self, page: "Page", relay: Relay) -> None:
        self._relay, self._tracing = relay, page.context.new_cdp_session(page)
        self._tracing.send("Performance.enable", {"timeDomain": "threadTicks"})

    @property
    def served(self) -> float:
        """Milliseconds that the last answer took."""
        return 1e3 * (self._relay.answered - self._relay.asked)

    @property
    def worked(self) -> float:
        """Milliseconds that the page's main thread has worked so far."""
        metrics = {each["name"]: each["value"] for each in self._tracing.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"] * 1e3)


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


def walked(page: "Page", clock: Clock, action: Action, repeats: int) -> list[Cost]:
    """Costs of an interaction, again and again; the first of all, which fetches code, is left out."""
    found = []
    for turn in range(repeats + 2 - repeats % 2):
        before = clock.worked
        action(page, turn)
        settle(page)
        found.append(Cost(clock.served, clock.worked - before))
    return found[1:]


def watching(page: "Page", clock: Clock, repeats: int) -> float:
    """Milliseconds of the main thread that it takes to see that a page stands still."""
    found = []
    for _ in range(repeats):
        before = clock.worked
        settle(page)
        found.append(clock.worked - before)
    return statistics.median(found)


def opened(page: "Page", address: str) -> None:
    """Open a page for the first time, and print what that was like."""
    page.add_init_script(SHIFTS)
    start = time.perf_counter()
    page.goto(address)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    first = 1e3 * (time.perf_counter() - start)
    settle(page)
    shift, nodes = page.evaluate("[window.shift, document.querySelectorAll('.js-plotly-plot *').length]")
    total = shift["frame"] + shift["page"]
    line("opened: first chart, ms", f"{first:.0f}", f"> {FIRST_CHART:.0f}" if first > FIRST_CHART else "")
    line(
        "opened: layout shift, of that the frame's", f"{total:.3f}", f"{shift['frame']:.3f}", f"> {SHIFT}" if total > SHIFT else ""
    )
    line("opened: nodes of its charts", f"{nodes:,}")


def walk(pages: Pages, relay: Relay, path: str, actions: dict[str, Action], repeats: int) -> None:
    """Print one page: what it costs to open, and every interaction."""
    page = pages.empty(width=1440)
    clock = Clock(page, relay)
    opened(page, pages.server + path)
    watched = watching(page, clock, repeats)
    for name, action in actions.items():
        costs = walked(page, clock, action, repeats)
        server, browser = (statistics.median(column) for column in zip(*costs, strict=True))
        browser -= watched
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

    os.environ["STREAMLIT_SERVER_HEADLESS"] = "true"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        port, start = free_port(), time.perf_counter()
        with serving(["duo_core", "app", "--port", str(port)], port, Path(folder) / "log"), Relay(port) as relay:
            line("the server answers after, ms", f"{1e3 * (time.perf_counter() - start):.0f}")
            pages = Pages(browser, f"http://127.0.0.1:{relay.port}")
            for name, (path, actions) in WALKS.items():
                if options.only in {None, name}:
                    line(f"{name}, ms (median of {options.repeats})", "server", "browser")
                    walk(pages, relay, path, actions, options.repeats)
        browser.close()


if __name__ == "__main__":
    main()
