"""How long the dashboard takes to answer, on the server's side: opening, every page, every control.

Streamlit's AppTest runs the whole script as the server does, without a browser: what is printed holds the script, its state and the
messages it makes, not the network nor the drawing (opening.py measures those). A control of a fragment reruns the fragment alone in
a browser, here the whole page: its figures are upper bounds. "Remembered" is a store in which every page was opened before
(duo_core/systems/remembered.py), "nothing remembered" one in which none was.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.driving import (  # noqa: E402
    FIRST_PAGE,
    NOW,
    Session,
    Took,
    choose_each,
    fresh,
    line,
    milliseconds,
    store_of,
    synthetic_set,
    verdict,
)

REPEATS = 20
PATIENCE = 5.0
"""Seconds after which an opening is not repeated once more."""


@dataclass(frozen=True)
class Target:
    """Seconds that a page may take to open cold, a click to be answered, and a new pair to show its cards."""

    paint: float
    answer: float
    cards: float


SHIPPED = Target(2.0, 0.3, 0.3)
LARGE = Target(3.0, 0.6, 0.3)


def ready() -> tuple[Took, Took]:
    """What `duo app` does while its server starts: imports, then loading what is compiled."""
    start = Took.since(NOW)
    views = import_module("app.views")
    for module in iter_modules(views.__path__):
        import_module(f"app.views.{module.name}")
    imports, start = Took.since(start), Took.since(NOW)
    warmup = import_module("duo_core.warmup")
    warmup.load()
    warmup.settle()
    return imports, Took.since(start)


def pages_of(store: Path, name: str) -> list[str]:
    """Names of the dashboard's pages."""
    os.environ["DUO_STORE"] = str(store)
    session = Session(name)
    session.open(FIRST_PAGE)
    return list(session.app.session_state["pages"])


def opening(store: Path, name: str, page: str, *, remembered: bool) -> tuple[tuple[Took, Took], list[Took]]:
    """Open one page again and again, by a server that has just started each time."""
    from app.state.caches import CACHE

    os.environ["DUO_STORE"] = str(store)
    loaded, took = ready(), []
    while len(took) < REPEATS and sum(one.wall for one in took) < PATIENCE:
        CACHE.clear()
        if not remembered:
            shutil.rmtree(store / ".results", ignore_errors=True)
        took.append(Session(name).open(page))
    return loaded, took


def visits(store: Path, name: str) -> None:
    """Open every page once, with both uncertainties where the page has them."""
    os.environ["DUO_STORE"] = str(store)
    session = Session(name)
    session.open(FIRST_PAGE)
    for page in session.app.session_state["pages"]:
        session.open(page)
        for button in session.app.button_group:
            if button.key == "uncertainty":
                choose_each(session, lambda button=button: session.app.button_group(key=button.key), button.options[1:])


def answers(store: Path, name: str) -> dict[str, list[Took]]:
    """Times of each answer to each kind of click."""
    os.environ["DUO_STORE"] = str(store)
    ready()
    session = Session(name)
    session.open(FIRST_PAGE)
    found = dict(_pairs(session))
    found |= dict(_explore(session))
    found |= dict(_pages(session))
    found |= _first_visits(name)
    return {label: took for label, took in found.items() if took}


def _pairs(session: Session) -> Iterator[tuple[str, list[Took]]]:
    """Models chosen for the first time and again."""
    new_base: list[Took] = []
    new_pair: list[Took] = []
    cards: list[Took] = []
    shown = cards_shown()
    for base in session.others("base"):
        new_base.append(session.choose("base", base))
        for sidekick in session.others("sidekick"):
            if len(new_pair) < REPEATS:
                start = Took.since(NOW)
                new_pair.append(session.choose("sidekick", sidekick))
                cards.append(Took(*(after - before for after, before in zip(shown[-2], start, strict=True))))
    yield "another base, seen for the first time", new_base[:REPEATS]
    yield "another sidekick, seen for the first time (new pair)", new_pair
    yield "its cards, which come first, then again with intervals", cards
    for key in ("base", "sidekick"):
        two = [session.others(key)[0], session.app.selectbox(key=key).options[session.app.selectbox(key=key).index]]
        session.choose(key, two[0])
        session.choose(key, two[1])
        yield f"another {key}, seen before", [session.choose(key, option) for option in islice(cycle(two), REPEATS)]


def cards_shown() -> list[Took]:
    """When the first page has drawn its cards, from now on: of a new pair twice in a run, without and with intervals."""
    from app.views import explore

    shown: list[Took] = []
    draw = explore._cards

    def drawn(*arguments: Any) -> None:
        draw(*arguments)
        shown.append(Took.since(NOW))

    explore._cards = drawn
    return shown


def _explore(session: Session) -> Iterator[tuple[str, list[Took]]]:
    """The other controls of the first page."""
    app = session.app
    for key in ("metric", "split"):
        options = app.selectbox(key=key).options
        if len(options) > 1:
            yield key, [session.choose(key, option) for option in islice(cycle([*options[1:], options[0]]), REPEATS)]
    switch = lambda: app.button_group(key="uncertainty")  # noqa: E731
    yield "uncertainty", choose_each(session, switch, list(islice(cycle(switch().options[::-1]), REPEATS)))
    yield "coverage slider", choose_each(session, lambda: app.slider(key="coverage"), range(50, 50 + REPEATS))
    temperature = lambda: next(slider for slider in app.slider if slider.label.startswith("T_base"))  # noqa: E731
    step, top = temperature().step, temperature().max
    yield "temperature slider", choose_each(session, temperature, [top / 2 + i * step for i in range(REPEATS)])
    yield "swap", [_swapped(session) for _ in range(REPEATS)]


def _swapped(session: Session) -> Took:
    session.app.button(key="swap").click()
    return session.run()


def _pages(session: Session) -> Iterator[tuple[str, list[Took]]]:
    """Every page from another, and each page's own switches, lists and sliders."""
    pages = list(session.app.session_state["pages"])
    for page in pages:
        session.open(page)
    again: dict[str, list[Took]] = {page: [] for page in pages}
    for page in islice(cycle(pages), REPEATS * len(pages)):
        again[page].append(session.open(page))
    yield from ((f"{page}: from the page before", took) for page, took in again.items())
    for page in pages:
        if page != FIRST_PAGE:
            session.open(page)
            yield from _own_controls(session, page)


def _first_visits(name: str) -> dict[str, list[Took]]:
    """Every page for the first time, in a session that begins on the first page of a server that has just started.

    Every pair was shown before, so that the store remembers it; what a page takes otherwise, its first run says.
    """
    from app.state.caches import CACHE

    found: dict[str, list[Took]] = {}
    for _ in range(REPEATS):
        CACHE.clear()
        session = Session(name)
        session.open(FIRST_PAGE)
        for page in session.app.session_state["pages"]:
            if page != FIRST_PAGE:
                found.setdefault(f"{page}: first time in a session", []).append(session.open(page))
    return found


def _own_controls(session: Session, page: str) -> Iterator[tuple[str, list[Took]]]:
    main = session.app.main
    for kind in ("button_group", "selectbox", "slider"):
        for key in [widget.key for widget in getattr(main, kind)]:
            with suppress(KeyError):  # a switch between parts takes away the controls of the part before
                widget = lambda kind=kind, key=key: getattr(session.app, kind)(key=key)  # noqa: E731
                yield f"{page}: {widget().label}", choose_each(session, widget, list(islice(cycle(_values(widget())), REPEATS)))


def _values(widget: Any) -> list[Any]:
    """What a widget can be set to."""
    if widget.type == "slider":
        step = widget.step or 1
        return [widget.min + i * step for i in range(1, 1 + min(REPEATS, int((widget.max - widget.min) / step)))]
    several = widget.type == "button_group" and not widget._is_single_select
    return [[option] if several else option for option in [*widget.options[1:], widget.options[0]]]


def openings(store: Path, name: str, target: Target, *, remembered: bool) -> None:
    """Print each page's first run by a server that has just started."""
    line("first run of a page, ms", "median", "slowest", "CPU", "of", f"<= {target.paint * 1e3:.0f}")
    for page in fresh(pages_of, store, name):  # which also fills the system's file cache
        (imports, loading), took = fresh(partial(opening, remembered=remembered), store, name, page)
        print_answers(page, took, target.paint)
    line("before, while the server starts: imports, compiled code", *milliseconds(imports.wall, loading.wall))


def print_answers(label: str, took: Sequence[Took], at_most: float) -> None:
    wall, cpu = (statistics.median(column) for column in zip(*took, strict=True))
    line(label, *milliseconds(wall, max(took).wall, cpu), f"{len(took)}", verdict(wall, at_most))


def clicks(store: Path, name: str, target: Target) -> None:
    """Print how long clicks take."""
    line("answers, ms", "median", "slowest", "CPU", "of", f"<= {target.answer * 1e3:.0f}")
    for label, took in fresh(answers, store, name).items():
        print_answers(label, took, target.cards if "cards" in label else target.answer)


def measured(folder: Path, logit_set: Path, target: Target) -> None:
    """Print everything about one set."""
    name, empty, seen = logit_set.name, *(store_of(folder / kind / logit_set.name, logit_set) for kind in ("empty", "seen"))
    print(f"\n{name}, nothing remembered")
    openings(empty, name, target, remembered=False)
    shutil.rmtree(empty / ".results", ignore_errors=True)
    clicks(empty, name, target)
    fresh(visits, seen, name)
    print(f"\n{name}, remembered")
    openings(seen, name, target, remembered=True)
    clicks(seen, name, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=6, help="of the set of ImageNet's size; each takes 200 MB of disk")
    parser.add_argument("--folder", type=Path, help="where that set is kept (default: a temporary folder)")
    parser.add_argument("--only", choices=("shipped", "large"), help="one of the two sets")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets: dict[str, Callable[[], tuple[Path, Target]]] = {
            "shipped": lambda: (ROOT / "data" / "cifar10", SHIPPED),
            "large": lambda: (synthetic_set(options.folder or folder / "large", options.models), LARGE),
        }
        for which, made in sets.items():
            if options.only in {None, which}:
                try:
                    measured(folder, *made())
                except RuntimeError as error:
                    print(f"  {error}")


if __name__ == "__main__":
    main()
