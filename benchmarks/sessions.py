"""Many sessions that click at once on the real server: is every answer about the session's own pair, and does memory stay flat?

Each session speaks Streamlit's protocol over a websocket of its own, as a browser does: it sends the state of all widgets and which
one was moved, a fragment's own with the fragment's id. What it clicks is drawn from its own seed; now and then it does not wait for
the answer. After each answer it checks that no exception came, that heading, sidebar and address name its own pair, and that the
cards on the first page are those of `duo_core.systems.sweep.evaluate` for this pair. Some upload a set of their own, which has to
be the only upload that they see, and take reports home, which have to be about their pair.

Afterwards a session with a large upload goes away, and it is timed until the server's memory is what it was; and the server is
killed and started again under an open page, which has to recover.
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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import websockets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browsing import ROOT, free_port, wait_until_healthy
from visitor import SPLIT, Reference, Stay, Visitor, WrongError, own_file
from wire import Browser

from app.controls import UNCERTAINTIES
from duo_core.logits import FIT_SPLIT
from duo_core.logits.store import Store, default_store
from duo_core.metrics import METRICS
from duo_core.systems.sweep import sweep

EVERY = 5.0
"""Seconds between two looks at the memory."""
MINUTE = 60.0
"""Seconds within which what a session held has to be let go of when it has gone."""
REST = 0.15
"""The share of it that may stay: what the process keeps for others and allocators round up."""


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
    async with connected(port) as stream:
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
async def server(port: int | None = None) -> AsyncIterator[tuple[int, int]]:
    """The dashboard as `duo app` serves it; its port and process."""
    port = port or free_port()
    command = [sys.executable, "-m", "duo_core", "app", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "streamlit.log"
        with log.open("wb") as output, subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                await asyncio.to_thread(wait_until_healthy, f"http://127.0.0.1:{port}/_stcore/health", process, log)
                yield port, process.pid
            finally:
                process.kill()
                process.wait()
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


async def freed(port: int, process: int, rows: int) -> None:
    """Print how long what a session had uploaded stays in memory after it has gone."""
    await uploaded(port, process, rows)  # what the first upload alone takes, code that is read, say, is not the session's
    await asyncio.sleep(EVERY)
    before = memory(process)
    there = await uploaded(port, process, rows)
    start = time.monotonic()
    while memory(process) > before + REST * (there - before) and time.monotonic() < start + MINUTE:
        await asyncio.sleep(0.5)
    took, now = time.monotonic() - start, memory(process)
    verdict = f"after {took:.1f} s" if took < MINUTE else f"NOT within {MINUTE:.0f} s"
    print(f"  a session with {there - before:.0f} MB goes away: {before:.0f} MB before, {there:.0f} with it, {now:.0f} {verdict}")


async def uploaded(port: int, process: int, rows: int) -> float:
    """The server's memory while a session uses what it has uploaded, at whose end the session goes away."""
    async with connected(port) as stream:
        browser = Browser(stream)
        await browser.follow("explore")  # whose answer has the pages
        await browser.open("data")
        await browser.drop(f"http://127.0.0.1:{port}", {"large.npz": own_file("large", 0, n=rows, k=100)})
        await browser.press("use_upload")
        return memory(process)


def connected(port: int, *session: str) -> websockets.connect:
    """A websocket; of a session that was there before, where one is named."""
    protocols = [websockets.Subprotocol(name) for name in ("streamlit", *session)]
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    return websockets.connect(address, subprotocols=protocols, max_size=None, ping_interval=None)


async def restarted(stay: Stay) -> None:
    """Print whether a page that is open recovers from a server that is killed and started again."""
    draw, port = random.Random(0), free_port()
    async with server(port) as _, connected(port) as stream:
        visitor = Visitor(Browser(stream), draw, stay, *stay.models[:2])
        await visitor.arrive()
        await visitor.other_metric()
    async with server(port) as _, connected(port, "none", visitor.browser.session) as stream:
        visitor.browser.stream = stream
        await visitor.browser.send()  # as a browser does: all that its widgets say, and the address
        visitor.check()
        await visitor.other_sidekick()
        visitor.check()
    print("  a server that was killed and started again: the open page shows its own pair, and goes on")


async def load(options: argparse.Namespace) -> None:
    models = Store().open(options.set).models(FIT_SPLIT, SPLIT)
    plain = Stay(options.set, models, reference(options.set, models), options.sessions, options.pause)
    tally, seen = Tally(), list[tuple[float, float]]()
    async with server() as (port, process):
        stay = replace(plain, server=f"http://127.0.0.1:{port}")
        end = time.monotonic() + options.seconds
        await asyncio.gather(watch(process, end, seen), *(visit(port, seed, end, stay, tally) for seed in range(options.sessions)))
        used = processor(process)
    report(tally, seen, used)
    async with server() as (port, process):  # where nothing of others is let go of meanwhile
        await freed(port, process, options.rows)
    await restarted(plain)


def report(tally: Tally, seen: list[tuple[float, float]], processor_seconds: float) -> None:
    at, used = (np.array(column) for column in zip(*seen, strict=True))
    late = at >= at[-1] / 2
    slope = np.polyfit(at[late], used[late], 1)[0] * 60 if late.sum() > 2 else float("nan")
    clicks = ", ".join(f"{name} {count}" for name, count in sorted(tally.clicks.items()))
    print(f"  memory over the last half: {slope:+.1f} MB a minute, at its highest {used.max():.0f} MB")
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
    parser.add_argument("--rows", type=int, default=50_000, help="of the large upload, of 100 classes (default 50 000: 160 MB)")
    options = parser.parse_args()
    print(f"{options.sessions} sessions on {options.set} for {options.seconds:.0f} s; memory of the server that is its own:")
    os.environ["DUO_STORE"] = str(default_store().resolve())
    asyncio.run(load(options))


if __name__ == "__main__":
    main()
