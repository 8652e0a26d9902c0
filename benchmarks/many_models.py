"""Find on a set of many models and on the shipped ones: its first opening, every click, and what `duo advise` takes.

The first set is synthetic, 120 models of 2,000 images a split and 10 classes: 7,140 pairs. Of a click two things are printed: until
the page stands, but for what it says is under way (that is judged), and until nothing is. First by AppTest, without a browser, by
the clock and in CPU time of all processors together: on a busy machine the first grows, the second hardly. Then in a real Chromium:
the server's by the clock, and CPU time of the browser's main thread until the page stands, and in all.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browsing import CHROMIUM_OPTIONS, Pages, find_chromium, free_port, serving, settle, talks  # noqa: E402

from benchmarks.dashboard import ready  # noqa: E402
from benchmarks.driving import NOW, Session, Took, fresh, line, milliseconds, store_of  # noqa: E402
from benchmarks.relay import Relay  # noqa: E402
from benchmarks.walking import Action, Clock, Cost, choose, press, slide  # noqa: E402

OPENING = 20.0
"""Seconds that the first opening of the large set may take."""
CLICK, SHIPPED, BROWSER = 0.6, 0.3, 1.0
"""Seconds until the page stands after a click: on the large set, on a shipped one, and of the browser's main thread."""
SWITCHES = (
    ("show", "gain"),
    ("scale", "absolute"),
    ("scope", "all"),
    ("scope", "one"),
    ("cascades", "no"),
    ("cascades", "yes"),
    ("uncertainty", "entropy"),
    ("uncertainty", "softmax"),
    ("chart", "sizes"),
    ("chart", "gains"),
    ("scope", "all"),
    ("scope", "one"),
    ("chart", "systems"),
)
PATIENCE, GLANCE = 120, 50
"""Seconds until a page that is not drawn is an error, and milliseconds between two looks at it."""
LAST = b"Download report"
"""What the last element of the page says."""


def clicks(session: Session) -> Iterator[tuple[str, Took]]:
    """Every control of the page, changed once; then the switches again."""
    yield "again", session.run()
    for budget in (50, 5):
        session.app.select_slider(key="budget").set_value(budget)
        yield f"budget {budget} %", session.run()
    for metric in session.others("metric")[:2]:
        yield f"metric {metric}", session.choose("metric", metric)
    one, other = session.others("base")[:2]
    for base, seen in ((one, "never seen before"), (other, "never seen before"), (one, "seen before")):
        yield f"base {base}, {seen}", session.choose("base", base)
    for key, value in SWITCHES:
        yield f"{key}: {value}", switched(session, key, value)
    for key, value in SWITCHES:
        yield f"{key}: {value}, seen before", switched(session, key, value)
    session.app.session_state["ladder"] = True
    yield "the other budgets, unfolded", session.run()


def switched(session: Session, key: str, value: str) -> Took:
    widget: Any = session.app.button_group(key=key)
    widget.set_value(value)
    return session.run()


def visited(store: Path, name: str, *, only_opened: bool) -> list[tuple[str, Took, Took]]:
    """What the page takes on a server that has just started: until it stands, and in all."""
    os.environ["DUO_STORE"] = str(store)
    ready()
    session = Session(name)
    whole = session.open("find")
    found = [("first opening", session.drawn, whole)]
    return found if only_opened else [*found, *((label, session.drawn, took) for label, took in clicks(session))]


def advised(store: Path, name: str) -> list[tuple[str, Took]]:
    """What the advice takes beside the store: of one base after the other, the second with what the first found."""
    from duo_core.analysis.advisor import advise
    from duo_core.logits.store import Store
    from duo_core.systems.pair_judging import Memory

    ready()
    own, memory, found = Store(store).open(name), Memory(), []
    for base in own.models()[:: len(own.cards) // 6][:2]:
        start = Took.since(NOW)
        advise(own, base, memory=memory)
        found.append((f"duo advise --base {base}, nothing remembered on disk", Took.since(start)))
    return found


def in_turn(action: Action, turn: int) -> Action:
    return lambda page, _: action(page, turn)


def within(button: str, action: Action) -> Action:
    """An action in what a button unfolds."""

    def done(page: Any, turn: int) -> None:
        page.get_by_role("button", name=button).first.click()
        action(page, turn)
        page.keyboard.press("Escape")

    return done


BY_HAND: dict[str, Action] = {
    "budget, a step": slide("budget"),
    "metric, the next": choose("Metric"),
    "base, the next, never seen before": choose("Base"),
    "base, another one, never seen before": choose("Base"),
    "base, seen before": in_turn(choose("Base"), 1),
    "show: gain": within("Axes and models", press("Gain toward perfect")),
    "scale: absolute": within("Axes and models", press("Absolute")),
    "scope: all": press("All bases"),
    "scope: one": press("This base"),
    "cascades: no": press("Left out"),
    "cascades: yes": press("Considered"),
    "uncertainty: entropy": press("Entropy"),
    "uncertainty: softmax": press("Softmax"),
    "chart: sizes": press("Small ones or one large?"),
    "chart: gains": press("Pairs on average"),
    "of all bases": press("All bases"),
    "of this base": press("This base"),
    "chart: systems": press("All systems"),
    "the other budgets": lambda page, _: page.get_by_text("The answer under other budgets").click(),
}
"""The same controls in a browser."""


def clicked(page: Any, clock: Clock, relay: Relay, action: Action) -> tuple[Cost, float]:
    """What a click costs until the page stands, and the browser until nothing is under way, in milliseconds."""
    before, asked, end = clock.worked, relay.asked, time.monotonic() + PATIENCE
    action(page, 0)
    while relay.asked == asked or not relay.drawn:
        if time.monotonic() > end:
            raise TimeoutError(f"the page has not been drawn for {PATIENCE} s")
        page.wait_for_timeout(GLANCE)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    stands = Cost(clock.served, clock.worked - before)
    while talks[page].waiting:  # to look at the page meanwhile, as `settle` does, would be work of the page
        page.wait_for_timeout(GLANCE)
    settle(page)
    return stands, clock.worked - before


def browsed(store: Path, name: str, click: float) -> None:
    """Print what every click takes in a real Chromium, on a server that has just started."""
    from playwright.sync_api import sync_playwright

    if (chromium := find_chromium()) is None:
        print("  no Chromium on PATH; name one with DUO_CHROMIUM")
        return
    limits = click * 1e3, BROWSER * 1e3
    line("in Chromium, ms", "server", "browser", "in all", *(f"<= {limit:.0f}" for limit in limits))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        port = free_port()
        command = ["duo_core", "app", "--port", str(port)]
        with (
            serving(command, port, Path(folder) / "log", {"DUO_STORE": str(store), "STREAMLIT_SERVER_HEADLESS": "true"}),
            Relay(port, LAST) as relay,
        ):
            page = Pages(browser, f"http://127.0.0.1:{relay.port}").empty(width=1440)
            clock = Clock(page, relay)
            page.goto(f"http://127.0.0.1:{relay.port}/find?set={name}")
            settle(page)
            for label, action in BY_HAND.items():
                stands, whole = clicked(page, clock, relay, action)
                over = (f"> {limit:.0f}" if value > limit else "" for value, limit in zip(stands, limits, strict=True))
                line(label, *(f"{value:.0f}" for value in (*stands, whole)), *over)
            page.context.close()
        browser.close()


def served(store: Path, name: str, click: float, opening: float) -> None:
    """Print what every click takes on the server's side."""
    line("on the server, ms", "stands", "CPU", "in all", "CPU", f"<= {click * 1e3:.0f}")
    for label, stands, whole in fresh(visited, store, name, only_opened=False):
        judged, limit = (whole, opening) if label == "first opening" else (stands, click)
        line(label, *milliseconds(*stands, *whole), "" if judged.wall <= limit else f"> {limit * 1e3:.0f}")


def many(folder: Path, models: int, images: int, classes: int, *, browser: bool) -> None:
    """Print all about the large set."""
    from benchmarks import synthetic

    name = synthetic.stored(folder, models, n=images, n_fit=images, k=classes).name
    print(f"\n{models} models of {images:,} x {classes}")
    for label, took in fresh(advised, folder, name):
        line(label, *(f"{seconds:.2f} s" for seconds in took))
    served(folder, name, CLICK, OPENING)
    for label, stands, whole in fresh(visited, folder, name, only_opened=True):
        line(f"{label}, all remembered on disk", *milliseconds(*stands, *whole))
    if browser:
        browsed(folder, name, CLICK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=120)
    parser.add_argument("--images", type=int, default=2000, help="of each split")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--only", help="`large`, or the name of a shipped set")
    parser.add_argument("--no-browser", action="store_true", help="the server's side alone")
    options = parser.parse_args()
    shipped = sorted(path.parent.name for path in (ROOT / "data").glob("*/set.json"))
    with tempfile.TemporaryDirectory() as folder:
        if options.only in {None, "large"}:
            many(Path(folder) / "large", options.models, options.images, options.classes, browser=not options.no_browser)
        for name in (name for name in shipped if options.only in {None, name}):
            store = store_of(Path(folder) / name, ROOT / "data" / name)
            print(f"\n{name}, nothing remembered")
            served(store, name, SHIPPED, float("inf"))
            if not options.no_browser:
                browsed(store, name, SHIPPED)


if __name__ == "__main__":
    main()
