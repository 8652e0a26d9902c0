"""Many sessions that click at once on the real server: is every answer about the session's own pair, and does memory stay flat?

Each session speaks Streamlit's protocol over a websocket of its own, as a browser does: it sends the state of all widgets and which
one was moved, a fragment's own with the fragment's id. What it clicks is drawn from its own seed. After each answer it checks that
no exception came, that heading, sidebar and address name its own pair, and that the cards on the first page are those of
`duo_core.sweep.evaluate` for this pair.
"""

import argparse
import asyncio
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browsing import ROOT, free_port, wait_until_healthy

from app import words
from app.controls import UNCERTAINTIES
from duo_core.figures.screen import SCREEN
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.store import Store, default_store
from duo_core.sweep import sweep

EVERY = 5.0
"""Seconds between two looks at the memory."""
PATIENCE = 120.0
"""Seconds until a missing answer is an error."""
SPLIT = "test"
PAIR_PAGES = {"explore", "temperatures", "diagnose"}
"""Their heading names the pair."""

Reference = Mapping[tuple[str, str, str], Mapping[str, float]]
"""Metrics of the duo by base, sidekick and uncertainty."""


class WrongError(Exception):
    """An answer that is not the session's own, or none."""


@dataclass
class Browser:
    """What a browser knows of one session: the page, its elements, and the state of its widgets."""

    stream: websockets.ClientConnection
    page: str = ""
    """Hash of the page that is shown."""
    address: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    """Hash of each page by its name."""
    elements: dict[tuple[int, ...], Any] = field(default_factory=dict)
    fragments: dict[str, str] = field(default_factory=dict)
    """The fragment that a widget lies in, by the widget's id."""
    values: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Field and value of each widget's state, by its id."""

    async def send(self, *, fragment: str = "", trigger: str = "") -> None:
        """Ask for a run of the page, or of one of its fragments."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash, state.fragment_id = self.address, self.page, fragment
        for identity, (kind, value) in self.values.items():
            widget = state.widget_states.widgets.add(id=identity)
            if kind.endswith("array_value"):
                getattr(widget, kind).data.extend(value)
            else:
                setattr(widget, kind, value)
        if trigger:
            state.widget_states.widgets.add(id=trigger, trigger_value=True)
        await self.stream.send(message.SerializeToString())
        await self._answer()

    async def _answer(self) -> None:
        """Take in messages until the script has run to its end."""
        while True:
            message = ForwardMsg.FromString(await asyncio.wait_for(self.stream.recv(decode=False), PATIENCE))
            kind = message.WhichOneof("type")
            if kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                break
            if kind in {"new_session", "navigation", "page_info_changed", "delta"}:
                getattr(self, f"_{kind}")(message)
        shown = {proto.id for _, proto in self.widgets()}
        self.values = {identity: value for identity, value in self.values.items() if identity in shown}

    def _new_session(self, message: ForwardMsg) -> None:
        self.page = message.new_session.page_script_hash
        if not message.metadata.run.fragment_ids:
            self.elements.clear()
            self.fragments.clear()

    def _navigation(self, message: ForwardMsg) -> None:
        self.page = message.navigation.page_script_hash
        self.pages = {page.url_pathname or "explore": page.page_script_hash for page in message.navigation.app_pages}

    def _page_info_changed(self, message: ForwardMsg) -> None:
        self.address = message.page_info_changed.query_string

    def _delta(self, message: ForwardMsg) -> None:
        if message.delta.WhichOneof("type") != "new_element":
            return
        element = message.delta.new_element
        self.elements[tuple(message.metadata.delta_path)] = element
        proto = getattr(element, element.WhichOneof("type"))
        if (value := _value(proto)) is not None and (proto.id not in self.values or proto.set_value):
            self.values[proto.id] = value
        if message.delta.fragment_id and hasattr(proto, "id"):
            self.fragments[proto.id] = message.delta.fragment_id

    def of(self, kind: str) -> list[Any]:
        """All elements of a kind."""
        return [getattr(element, kind) for element in self.elements.values() if element.WhichOneof("type") == kind]

    def widgets(self) -> list[tuple[str, Any]]:
        """Key and element of all widgets."""
        protos = [getattr(element, element.WhichOneof("type")) for element in self.elements.values()]
        return [(_key(proto.id), proto) for proto in protos if getattr(proto, "id", "").startswith("$$ID-")]

    def widget(self, key: str) -> Any:
        """The widget of a key; None where the page has none."""
        return next((proto for own, proto in self.widgets() if own == key), None)

    def value(self, key: str) -> Any:
        """What a widget shows."""
        return self.values[self.widget(key).id][1]

    async def set(self, key: str, value: Any) -> None:
        """Move a widget."""
        proto = self.widget(key)
        self.values[proto.id] = (self.values[proto.id][0], value)
        await self.send(fragment=self.fragments.get(proto.id, ""))

    async def press(self, key: str) -> None:
        """Press a button."""
        proto = self.widget(key)
        await self.send(fragment=self.fragments.get(proto.id, ""), trigger=proto.id)

    async def open(self, page: str) -> None:
        """Go to another page as the navigation does: with an empty address."""
        self.page, self.address = self.pages[page], ""
        await self.send()

    async def follow(self, page: str, **query: str) -> None:
        """Open a link."""
        self.page, self.address = self.pages.get(page, ""), urlencode(query)
        await self.send()


def _key(identity: str) -> str:
    """The key that an element was given, of the id that Streamlit made of it."""
    return identity.split("-", 2)[2]


def _value(proto: Any) -> tuple[str, Any] | None:
    """Field and value that a browser keeps of a widget that comes in; None where it keeps nothing."""
    match proto.DESCRIPTOR.name:
        case "Selectbox":
            return "string_value", proto.raw_value if proto.set_value else proto.options[proto.default]
        case "ButtonGroup":
            chosen = proto.raw_values if proto.set_value else [proto.options[i].content for i in proto.default]
            return "string_array_value", list(chosen)
        case "MultiSelect":
            chosen = proto.raw_values if proto.set_value else [proto.options[i] for i in proto.default]
            return "string_array_value", list(chosen)
        case "Slider" if proto.options:
            chosen = proto.raw_value if proto.set_value else [proto.options[int(i)] for i in proto.default]
            return "string_array_value", list(chosen)
        case "Slider":
            return "double_array_value", list(proto.value if proto.set_value else proto.default)
    return None


@dataclass(frozen=True)
class Stay:
    """What all visitors have in common."""

    set: str
    models: Sequence[str]
    reference: Reference
    sessions: int
    pause: float


@dataclass
class Visitor:
    """Someone with a pair of their own who clicks through the pages."""

    browser: Browser
    random: random.Random
    stay: Stay
    base: str
    sidekick: str
    page: str = "explore"
    kind: str = "softmax"
    metric: str = "aurc"
    seconds: list[float] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def arrive(self) -> None:
        await self.browser.follow("explore", set=self.stay.set, split=SPLIT, base=self.base, sidekick=self.sidekick)
        self.check()

    async def click(self) -> str:
        """Do one thing, check what came back, and say what it was."""
        actions = [self.turn_page, self.turn_page, self.follow_link]
        if self.browser.widget("sidekick"):
            actions += [self.other_sidekick, self.other_base, self.other_metric, self.swap]
        if self.browser.widget("uncertainty"):
            actions.append(self.other_uncertainty)
        if self.browser.widget("coverage"):
            actions += [self.move_coverage, self.move_temperature]
        action = self.random.choice(actions)
        self.done.append(action.__name__)
        start = time.perf_counter()
        await action()
        self.seconds.append(time.perf_counter() - start)
        self.check()
        return action.__name__

    async def turn_page(self) -> None:
        self.page = self.random.choice([page for page in self.browser.pages if page != self.page])
        await self.browser.open(self.page)

    async def follow_link(self) -> None:
        self.base, self.sidekick = self.random.sample(self.stay.models, 2)
        self.page, self.metric, self.kind = self.random.choice(sorted(PAIR_PAGES)), "aurc", "softmax"
        pair = {"set": self.stay.set, "split": SPLIT, "base": self.base, "sidekick": self.sidekick}
        await self.browser.follow(self.page, **pair)

    async def other_sidekick(self) -> None:
        self.sidekick = self._other(self.base, self.sidekick)
        await self.browser.set("sidekick", self._option("sidekick", self.sidekick))

    async def other_base(self) -> None:
        self.base = self._other(self.base, self.sidekick)
        await self.browser.set("base", self._option("base", self.base))

    def _other(self, *but: str) -> str:
        return self.random.choice([model for model in self.stay.models if model not in but])

    def _option(self, key: str, model: str) -> str:
        return next(option for option in self.browser.widget(key).options if option.split(" · ")[0] == model)

    async def other_metric(self) -> None:
        self.metric = self.random.choice([key for key in METRICS if key != self.metric])
        await self.browser.set("metric", METRICS[self.metric].label)

    async def other_uncertainty(self) -> None:
        self.kind = "entropy" if self.kind == "softmax" else "softmax"
        await self.browser.set("uncertainty", [UNCERTAINTIES[self.kind]])

    async def swap(self) -> None:
        self.base, self.sidekick = self.sidekick, self.base
        await self.browser.press("swap")

    async def move_coverage(self) -> None:
        await self.browser.set("coverage", [float(self.random.randint(1, 100))])

    async def move_temperature(self) -> None:
        key = f"temperature_{self.stay.set}/{self.base}/{self.sidekick}/sidekick"
        proto = self.browser.widget(key)
        await self.browser.set(key, [round(self.random.randint(0, 200) * proto.step, 9)])

    def check(self) -> None:
        """Raise where the page is not about this visitor's pair."""
        for found in self.browser.of("exception"):
            raise WrongError(f"{self.page} shows {found.type}: {found.message}\n" + "\n".join(found.stack_trace))
        if self.page in PAIR_PAGES:
            self._same("heading", f":blue-background[{self.base}] + :orange-background[{self.sidekick}]", self._headings())
        if self.browser.widget("sidekick"):
            shown = [self.browser.value(key).split(" · ")[0] for key in ("base", "sidekick")]
            self._same("sidebar", [self.base, self.sidekick], [shown])
            address = parse_qs(self.browser.address)
            if address:
                self._same("address", [[self.base], [self.sidekick]], [[address.get("base"), address.get("sidekick")]])
        if self.page == "explore":
            self._cards()

    def _headings(self) -> list[str]:
        bodies = [markdown.body for markdown in self.browser.of("markdown")]
        return [body for body in bodies if body.startswith(":blue-background")]

    def _cards(self) -> None:
        expected = self.stay.reference[self.base, self.sidekick, self.kind]
        shown = {metric.label: metric.body for metric in self.browser.of("metric") if "split" not in metric.label}
        for key in ("auroc", "sac98"):  # the cards of temperatures set by hand have other labels
            self._same(f"card {key}", SCREEN[key].text(expected[key]), [shown.get(words.card_label(key))])

    def _same(self, what: str, expected: Any, found: list[Any]) -> None:
        if expected not in found:
            raise WrongError(f"{self.page}: the {what} should be {expected}, but shows {found}")


@dataclass
class Tally:
    """What all sessions saw."""

    clicks: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


async def visit(port: int, seed: int, end: float, stay: Stay, tally: Tally) -> None:
    """One session from its arrival to the end of the time."""
    draw = random.Random(seed)
    pairs = list(itertools.permutations(stay.models, 2))
    base, sidekick = pairs[seed * len(pairs) // stay.sessions]
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with websockets.connect(address, subprotocols=[websockets.Subprotocol("streamlit")], max_size=None) as stream:
        visitor = Visitor(Browser(stream), draw, stay, base, sidekick)
        try:
            await visitor.arrive()
            while time.monotonic() < end:
                await asyncio.sleep(draw.uniform(0, 2 * stay.pause))
                done = await visitor.click()
                tally.clicks[done] = tally.clicks.get(done, 0) + 1
        except (WrongError, TimeoutError, websockets.WebSocketException) as error:
            last = ", ".join(visitor.done[-4:]) or "arrival"
            tally.wrong.append(f"session {seed}, after {last}: {type(error).__name__} {error}")
        tally.seconds += visitor.seconds


def memory(process: int) -> float:
    """MB in memory that are a process's own, mapped files not counted."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(row.split()[1]) / 1024 for row in status.splitlines() if row.startswith("RssAnon"))


def processor(process: int) -> float:
    """Seconds of all cores that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch(process: int, end: float, seen: list[tuple[float, float]]) -> None:
    start = time.monotonic()
    while time.monotonic() < end:
        seen.append((time.monotonic() - start, memory(process)))
        print(f"  {seen[-1][0]:6.0f} s {seen[-1][1]:8.0f} MB  {'#' * round(seen[-1][1] / 20)}", flush=True)
        await asyncio.sleep(EVERY)


@asynccontextmanager
async def server() -> AsyncIterator[tuple[int, int]]:
    """The dashboard under the real server; its port and process."""
    port = free_port()
    options = [f"--server.port={port}", "--server.address=127.0.0.1", "--server.fileWatcherType=none"]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py"), *options]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "streamlit.log"
        with log.open("wb") as output, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                await asyncio.to_thread(wait_until_healthy, f"http://127.0.0.1:{port}/_stcore/health", process, log)
                yield port, process.pid
            finally:
                process.kill()
        said = [row for row in log.read_text(errors="replace").splitlines() if "Traceback" in row or "Error" in row]
        print(f"  the server's log has {len(said)} lines about errors" + "".join(f"\n    {row}" for row in said[:5]))


def reference(name: str, models: Sequence[str]) -> Reference:
    """What the pages are compared with: the duos of every base with every sidekick."""
    pairs = list(itertools.permutations(models, 2))
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for kind in UNCERTAINTIES:
        table = sweep(Store().open(name), [SPLIT], kind=kind, only=pairs)
        duos = table[table["variant"] == "duo"].to_dict("records")
        rows |= {(row["base"], row["sidekick"], kind): {key: row[key] for key in METRICS} for row in duos}
    return rows


async def load(options: argparse.Namespace) -> None:
    models = Store().open(options.set).models(FIT_SPLIT, SPLIT)
    stay = Stay(options.set, models, reference(options.set, models), options.sessions, options.pause)
    tally, seen = Tally(), list[tuple[float, float]]()
    async with server() as (port, process):
        end = time.monotonic() + options.seconds
        await asyncio.gather(watch(process, end, seen), *(visit(port, seed, end, stay, tally) for seed in range(options.sessions)))
        used = processor(process)
    report(tally, seen, used)


def report(tally: Tally, seen: list[tuple[float, float]], processor_seconds: float) -> None:
    at, used = (np.array(column) for column in zip(*seen, strict=True))
    late = at >= at[-1] / 2
    slope = np.polyfit(at[late], used[late], 1)[0] * 60 if late.sum() > 2 else float("nan")
    clicks = ", ".join(f"{name} {count}" for name, count in sorted(tally.clicks.items()))
    print(f"  memory over the second half: {slope:+.1f} MB a minute")
    print(f"  {sum(tally.clicks.values())} clicks answered ({clicks})")
    if tally.seconds:
        slow = float(np.quantile(tally.seconds, 0.95))
        print(f"  answers, all sessions at once: median {statistics.median(tally.seconds):.2f} s, 95 % within {slow:.2f} s")
        print(f"  the server's own work: {processor_seconds / len(tally.seconds):.2f} CPU seconds an answer, its start included")
    print(f"  {len(tally.wrong)} sessions saw something wrong" + "".join(f"\n    {row}" for row in tally.wrong))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between an answer and the next click")
    parser.add_argument("--set", default="cifar10")
    options = parser.parse_args()
    print(f"{options.sessions} sessions on {options.set} for {options.seconds:.0f} s; memory of the server:")
    os.environ["DUO_STORE"] = str(default_store().resolve())
    asyncio.run(load(options))


if __name__ == "__main__":
    main()
