"""Find on a set of many models: its first opening, every click, and what `duo advise` takes; on the server's side, by AppTest.

The set is synthetic, 120 models of 2,000 images a split and 10 classes: 7,140 pairs. Seconds are those of the clock, and CPU
those of all processors together: on a busy machine the first grow, the second hardly. What is new, as a base that was not seen
before, is weighed while progress is shown.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.dashboard import ready  # noqa: E402
from benchmarks.driving import NOW, Session, Took, fresh, line  # noqa: E402

OPENING, CLICK = 20.0, 0.6
"""Seconds that the first opening and each click may take."""
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
    ("chart", "systems"),
)


def clicks(session: Session) -> Iterator[tuple[str, Took]]:
    """Every control of the page, changed once."""
    yield "again", session.run()
    for budget in (50, 5):
        session.app.select_slider(key="budget").set_value(budget)
        yield f"budget {budget} %", session.run()
    for metric in session.others("metric")[:2]:
        yield f"metric {metric}", session.choose("metric", metric)
    one, other = session.others("base")[20:22]
    for base, seen in ((one, "never seen before"), (other, "never seen before"), (one, "seen before")):
        yield f"base {base}, {seen}", session.choose("base", base)
    for key, value in SWITCHES:
        yield f"{key}: {value}", _switched(session, key, value)
    for key, value in SWITCHES:
        yield f"{key}: {value}, seen before", _switched(session, key, value)


def _switched(session: Session, key: str, value: str) -> Took:
    widget: Any = session.app.button_group(key=key)
    widget.set_value(value)
    return session.run()


def visited(store: Path, name: str, *, only_opened: bool) -> list[tuple[str, Took]]:
    """What the page takes on a server that has just started."""
    os.environ["DUO_STORE"] = str(store)
    ready()
    session = Session(name)
    found = [("first opening", session.open("find"))]
    return found if only_opened else [*found, *clicks(session)]


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


def main() -> None:
    from benchmarks import synthetic

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=120)
    parser.add_argument("--images", type=int, default=2000, help="of each split")
    parser.add_argument("--classes", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = synthetic.stored(Path(folder), options.models, n=options.images, n_fit=options.images, k=options.classes)
        line(f"{options.models} models of {options.images:,} x {options.classes}", "seconds", "CPU", f"<= {CLICK}")
        for label, took in fresh(advised, Path(folder), own.name):
            line(label, *(f"{seconds:.2f}" for seconds in took))
        for label, took in fresh(visited, Path(folder), own.name, only_opened=False):
            target = OPENING if label == "first opening" else CLICK
            line(label, *(f"{seconds:.2f}" for seconds in took), "" if took.wall <= target else f"> {target}")
        for label, took in fresh(visited, Path(folder), own.name, only_opened=True):
            line(f"{label}, all remembered on disk", *(f"{seconds:.2f}" for seconds in took))


if __name__ == "__main__":
    main()
