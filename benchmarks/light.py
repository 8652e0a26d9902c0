"""What a light install costs and saves: bytes on the disk, and seconds to the first chart, of this environment.

Sizes are those of the files that the packages which requirements ask for have here, theirs included. What CUDA brings is counted
apart: PyTorch's own builds for the CPU come without it, and without torchvision beside them any build of torch will do. The seconds
are those of a fresh server with and without the libraries of models in its way, each the best of some starts.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import websockets
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browsing import ROOT, free_port, serving
from wire import Browser

from duo_core.__main__ import OF_MODELS

CUDA = ("nvidia-", "cuda-", "triton")
PAIR = {"set": "cifar10", "split": "test", "base": "resnet56", "sidekick": "resnet20"}
BLOCKED = f"import sys\nfor name in {sorted(OF_MODELS)!r}:\n    sys.modules[name] = None\n"


def asked(*files: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for file in files for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    return list(map(Requirement, filter(None, lines)))


def brought(requirements: Iterable[Requirement]) -> set[str]:
    """Names of all packages that requirements bring."""
    found, todo = set[str](), list(requirements)
    while todo:
        wanted = todo.pop()
        name = str(canonicalize_name(wanted.name))
        if name in found or (wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras))):
            continue
        try:
            todo += map(Requirement, distribution(name).requires or [])
        except PackageNotFoundError:
            continue
        found.add(name)
    return found


def size(names: Iterable[str]) -> int:
    files = [file.locate() for name in names for file in distribution(name).files or []]
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


async def chart(server: str) -> None:
    address, protocol = f"{server.replace('http', 'ws')}/_stcore/stream", websockets.Subprotocol("streamlit")
    async with websockets.connect(address, subprotocols=[protocol], max_size=None) as stream:
        browser = Browser(stream)
        await browser.follow("explore", **PAIR)
        if browser.of("exception") or not browser.of("plotly_chart"):
            raise RuntimeError("the first page has no chart")


def started(light: bool) -> float:
    """Seconds from the start of a server to the answer that has the first chart."""
    with tempfile.TemporaryDirectory() as folder:
        if light:
            (Path(folder) / "sitecustomize.py").write_text(BLOCKED)
        port, path = free_port(), os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        start = time.perf_counter()
        with serving(["duo_core", "app", "--port", str(port)], port, Path(folder) / "log", {"PYTHONPATH": path}) as server:
            asyncio.run(chart(server))
            return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=2, help="0: sizes alone")
    options = parser.parse_args()
    light, whole = brought(asked("requirements-light.txt")), brought(asked("requirements.txt"))
    cuda = {name for name in whole if name.startswith(CUDA)}
    for text, names in (("whole", whole), ("light", light), ("light, without CUDA's packages", light - cuda)):
        print(f"  {text:<34}{len(names):>4} packages {size(names) / 1e9:>7.2f} GB")
    if options.starts:
        seconds = {text: min(started(is_light) for _ in range(options.starts)) for text, is_light in (("whole", 0), ("light", 1))}
        print("  seconds to the first chart: " + ", ".join(f"{text} {value:.1f}" for text, value in seconds.items()))


if __name__ == "__main__":
    main()
