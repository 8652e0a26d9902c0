"""How long a browser waits for the dashboard: `duo app` on a store, and a real Chromium that has never been there.

Each page is opened by a server of its own, some seconds after it said its address, as a hand does; the first page also at once.
Beside them stands a page of Streamlit's own with a title, a number and a chart: what a browser takes for that on this machine.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browsing import CHROMIUM_OPTIONS, SECONDS, find_chromium, free_port, serving, streamlit_server  # noqa: E402

from benchmarks.driving import FIRST_PAGE, line, milliseconds, store_of, synthetic_set  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = (FIRST_PAGE, "find", "compare", "temperatures", "diagnose", "alike", "zoo", "training", "claims", "learn", "data", "method")
HAND = 6.0
"""Seconds between the server's address and the browser's request."""
PLAIN = """\
import plotly.graph_objects as go
import streamlit as st

st.title("A title")
st.metric("A number", 1)
st.plotly_chart(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])))
"""
SEEN = {
    "first": ".stMain h1, .stSidebar .stSelectbox",
    "heading": ".stMain h1",
    "chart": ".stMain .js-plotly-plot .main-svg",
}
"""What is waited for, in this order; `first` is the first that is the page's own, its choices or its heading."""
WITHOUT_CHART = {"data", "method"}


def opened(browser: "Browser", address: str, *seen: str) -> list[str]:
    """Milliseconds until each of these is there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    start, found = time.perf_counter(), []
    page.goto(address, wait_until="commit")
    for name in seen:
        page.locator(SEEN[name]).first.wait_for()
        found.append(time.perf_counter() - start)
    context.close()
    return milliseconds(*found)


def measured(browser: "Browser", folder: Path, logit_set: Path) -> None:
    """Print every page of one set, with nothing remembered, and the first page when all was seen before."""
    store = store_of(folder / logit_set.name, logit_set)

    def visit(label: str, page: str = FIRST_PAGE, *, pause: float = HAND, remembered: bool = False) -> None:
        if not remembered:
            shutil.rmtree(store / ".results", ignore_errors=True)
        port = free_port()
        with serving(["duo_core", "app", "--port", str(port), "--store", str(store)], port, folder / "log") as address:
            time.sleep(pause)
            path = "" if page == FIRST_PAGE else page
            line(label, *opened(browser, f"{address}/{path}", *(["first", "heading"] if page in WITHOUT_CHART else SEEN)))

    line(f"{logit_set.name}, ms", *SEEN)
    visit("(to read the files once)")
    for page in PAGES:
        visit(f"{page}, nothing remembered", page)
    visit(f"{FIRST_PAGE}, nothing remembered, at once", pause=0)
    visit(f"{FIRST_PAGE}, remembered", remembered=True)


def plain(browser: "Browser", folder: Path) -> None:
    script = folder / "plain.py"
    script.write_text(PLAIN)
    line("a page of Streamlit's own, ms", *SEEN)
    with streamlit_server(script, folder / "log") as address:
        for turn in ("first", "second", "third"):
            line(f"{turn} session", *opened(browser, address, *SEEN))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=5, help="of the set of ImageNet's size; each takes 200 MB of disk")
    parser.add_argument("--folder", type=Path, help="where that set is kept (default: a temporary folder)")
    parser.add_argument("--only", choices=("shipped", "large"), help="one of the two sets")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("expected a Chromium on PATH, got none; name one with DUO_CHROMIUM")
    from playwright.sync_api import sync_playwright

    os.environ["STREAMLIT_SERVER_HEADLESS"] = "true"
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        plain(browser, folder)
        if options.only != "large":
            measured(browser, folder, ROOT / "data" / "cifar10")
        if options.only != "shipped":
            measured(browser, folder, synthetic_set(options.folder or folder / "large", options.models))
        browser.close()


if __name__ == "__main__":
    main()
