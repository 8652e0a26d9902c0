"""A session of the dashboard without a browser, with a clock; and what the benchmarks print and open in common."""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FIRST_PAGE = "explore"


class Took(NamedTuple):
    """Seconds by the clock, and of all processors together: on a busy machine the first grow, the second hardly."""

    wall: float
    cpu: float

    @classmethod
    def since(cls, start: "Took") -> "Took":
        return cls(time.perf_counter() - start.wall, time.process_time() - start.cpu)


NOW = Took(0.0, 0.0)
"""Seconds since this are the clocks themselves."""


class Session:
    """One session of the dashboard on one set, with a clock."""

    def __init__(self, name: str) -> None:
        from streamlit.logger import set_log_level
        from streamlit.testing.v1 import AppTest

        set_log_level("ERROR")  # it warns of caches that are used outside of a server
        self.app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=1800)
        self.app.query_params["set"] = name
        self.drawn = NOW
        """What the latest run took until the page stood, but for what it says is under way."""

    def run(self) -> Took:
        """Run the script once, and again where it says so."""
        from app.state import waiting

        start, wait, stood = Took.since(NOW), waiting._wait, list[Took]()

        def noted(*of: Any) -> None:
            stood.append(Took.since(start))
            wait(*of)

        with patch.object(waiting, "_wait", noted):
            self.app.run()
        took = Took.since(start)
        self.drawn = stood[0] if stood else took
        if self.app.exception:
            raise RuntimeError(f"the page shows an exception: {self.app.exception[0].message}")
        return took

    def open(self, page: str) -> Took:
        """Go to a page; the first of a session keeps its address, the others come by the navigation, with an empty one."""
        from streamlit.util import calc_hash

        if "pages" in self.app.session_state:
            self.app.query_params.clear()
        # AppTest's own way knows only pages that are files.
        self.app._page_hash = calc_hash("" if page == FIRST_PAGE else page)
        return self.run()

    def choose(self, key: str, option: str) -> Took:
        """Choose an option of a select box by its label."""
        self.app.selectbox(key=key).set_value(option)
        return self.run()

    def others(self, key: str) -> list[str]:
        """Labels of a select box, that of the chosen option left out."""
        box = self.app.selectbox(key=key)
        return [option for place, option in enumerate(box.options) if place != box.index]


def choose_each(session: Session, widget: Callable[[], Any], values: Sequence[Any]) -> list[Took]:
    """Times of each change of a widget."""
    return [_changed(session, widget(), value) for value in values]


def _changed(session: Session, widget: Any, value: Any) -> Took:
    widget.set_value(value)
    return session.run()


def fresh(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a function returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(work, *arguments, **options).result()


def store_of(folder: Path, logit_set: Path) -> Path:
    """A store that has one set and remembers nothing."""
    folder.mkdir(parents=True)
    (folder / logit_set.name).symlink_to(logit_set.resolve(), target_is_directory=True)
    return folder


def line(name: str, *values: str) -> None:
    print(f"  {name:<56}" + "".join(f"{value:>10}" for value in values), flush=True)


def milliseconds(*seconds: float) -> list[str]:
    return [f"{value * 1e3:.0f}" for value in seconds]


def verdict(seconds: float, target: float) -> str:
    return "" if seconds <= target else f"> {target * 1e3:.0f}"


def synthetic_set(folder: Path, models: int) -> Path:
    """Make a set of ImageNet's size where there is none yet."""
    from benchmarks import synthetic

    return folder / synthetic.stored(folder, models, n=47_500, n_fit=2_500, k=1000).name
