"""How much one session's sweep of many models slows the clicks of another, on the real server.

One session opens pairs of the shipped set, each for the first time, while nothing else is done; then while another session waits
for all pairs of a set of 120 models; then alone again. Each session speaks Streamlit's protocol over a websocket of its own.
Alone is measured before and after, since other programs of the machine come and go.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import websockets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browsing import ROOT, free_port, serving
from wire import Browser

from benchmarks import synthetic
from duo_core.logits import FIT_SPLIT
from duo_core.logits.store import Store

SHIPPED, SPLIT = "cifar10", "test"
TARGET = 2.0


@asynccontextmanager
async def session(server: str) -> AsyncIterator[Browser]:
    address, protocol = f"{server.replace('http', 'ws')}/_stcore/stream", websockets.Subprotocol("streamlit")
    async with websockets.connect(address, subprotocols=[protocol], max_size=None, ping_interval=None) as stream:
        yield Browser(stream)


async def clicks(browser: Browser, pairs: list[tuple[str, str]]) -> list[float]:
    """Seconds until the answer to each of these pairs was whole."""
    took = []
    for base, sidekick in pairs:
        start = time.perf_counter()
        await browser.follow("explore", set=SHIPPED, split=SPLIT, base=base, sidekick=sidekick)
        took.append(time.perf_counter() - start)
    return took


async def sweeping(server: str, name: str, begun: asyncio.Event) -> None:
    """A session that opens the page of all pairs of the large set, and waits until it is told to go."""
    async with session(server) as other:
        await other.follow("explore", set=SHIPPED, split=SPLIT)
        await other.follow("find", wait=False, set=name, split=SPLIT)
        begun.set()
        await other.quiet()
        print("  the sweep ended before the clicks did: take more models or images (--models, --images)")


async def compared(server: str, name: str, each: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of clicks alone, beside the sweep, and alone again."""
    models = Store(ROOT / "data").open(SHIPPED).models(FIT_SPLIT, SPLIT)
    pairs = [(one, other) for one, other in itertools.permutations(models, 2)][: 3 * each + 4 : 1]
    async with session(server) as browser:
        await clicks(browser, pairs[:4])
        alone = await clicks(browser, pairs[4::3])
        begun = asyncio.Event()
        other = asyncio.create_task(sweeping(server, name, begun))
        await begun.wait()
        await asyncio.sleep(5)  # it reads its models first
        beside = await clicks(browser, pairs[5::3])
        other.cancel()
        await asyncio.sleep(3)
        return alone, beside, await clicks(browser, pairs[6::3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=120)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--clicks", type=int, default=15)
    parser.add_argument("--folder", type=Path, help="where the large set is kept (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = options.folder or Path(folder) / "made"
        made.mkdir(exist_ok=True)
        own = synthetic.stored(made, options.models, n=options.images, n_fit=1000, k=100)
        store = Path(folder) / "store"
        store.mkdir()
        shutil.copytree(ROOT / "data" / SHIPPED, store / SHIPPED)
        (store / own.name).symlink_to((made / own.name).resolve(), target_is_directory=True)
        port, environment = free_port(), {**os.environ, "DUO_STORE": str(store)}
        with serving(["duo_core", "app", "--port", str(port)], port, Path(folder) / "log", environment) as server:
            time.sleep(8)  # what is compiled is loaded beside
            alone, beside, again = (statistics.median(took) for took in asyncio.run(compared(server, own.name, options.clicks)))
    ratio = beside / statistics.mean([alone, again])
    print(f"A sweep of {options.models} models, {options.images:,} images; medians of {options.clicks} new pairs of {SHIPPED}:")
    print(f"  alone {alone * 1e3:.0f} ms, beside the sweep {beside * 1e3:.0f} ms, alone again {again * 1e3:.0f} ms")
    print(f"  the sweep slows them {ratio:.2f} times (target: at most {TARGET:g})")


if __name__ == "__main__":
    main()
