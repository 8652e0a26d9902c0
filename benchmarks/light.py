"""What a light install costs and saves: bytes on the disk, and seconds to the first chart, of this environment.

Sizes are those of the files that the packages which requirements ask for have here, theirs included. What CUDA brings is counted
apart: PyTorch's own builds for the CPU come without it, and without torchvision beside them any build of torch will do. The seconds
are those of a fresh server with and without the libraries of models in its way, each the best of some starts.

    python benchmarks/light.py
    python benchmarks/light.py --fresh  # installs the light one anew, some gigabytes, and opens all pages on all shipped sets
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import websockets
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browsing import ROOT, free_port, serving, wait_until_healthy
from outlived import started
from wire import Browser

from duo_core.__main__ import OF_MODELS
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.teaching.steps import STEPS

CUDA = ("nvidia-", "cuda-", "triton")
PAIR = {"set": "cifar10", "split": "test", "base": "resnet56", "sidekick": "resnet20"}
FOUND = f"from importlib.util import find_spec; print(*filter(find_spec, {sorted(OF_MODELS)!r}))"
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


def connected(server: str) -> websockets.connect:
    address, protocol = f"{server.replace('http', 'ws')}/_stcore/stream", websockets.Subprotocol("streamlit")
    return websockets.connect(address, subprotocols=[protocol], max_size=None, ping_interval=None)


async def chart(server: str) -> None:
    async with connected(server) as stream:
        browser = Browser(stream)
        await browser.follow("explore", **PAIR)
        if browser.of("exception") or not browser.of("plotly_chart"):
            raise RuntimeError("the first page has no chart")


def seconds_to_chart(light: bool) -> float:
    """Seconds from the start of a server to the answer that has the first chart."""
    with tempfile.TemporaryDirectory() as folder:
        if light:
            (Path(folder) / "sitecustomize.py").write_text(BLOCKED)
        port, path = free_port(), os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        start = time.perf_counter()
        with serving(["duo_core", "app", "--port", str(port)], port, Path(folder) / "log", {"PYTHONPATH": path}) as server:
            asyncio.run(chart(server))
            return time.perf_counter() - start


def installed(folder: Path) -> Path:
    """The duo of a new environment that has the light install of this checkout and nothing else."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "-c", ROOT / "constraints.txt", ROOT]
    subprocess.run(pip, check=True)
    if there := subprocess.run([python, "-c", FOUND], check=True, capture_output=True, text=True, cwd=folder).stdout.split():
        raise RuntimeError(f"expected none of the libraries that run models in a light install, got {there}")
    return folder / "bin" / "duo"


async def every_page(server: str) -> tuple[int, list[str]]:
    """Open each page on each shipped set, and each step of the course: how many were opened, and what went wrong on them."""
    names = Store(DEFAULT_STORE).names()
    steps: list[tuple[str, dict[str, str]]] = [("learn", {"step": str(step)}) for step in range(1, len(STEPS) + 1)]
    wrong = list[str]()
    async with connected(server) as stream:
        browser = Browser(stream)
        await browser.follow("explore", **PAIR)
        todo = [(page, {"set": name}) for name in names for page in browser.pages] + steps
        for page, query in todo:
            await browser.follow(page, **query)
            said = [found.message for found in browser.of("exception")]
            said += [found.body for found in browser.of("alert") if found.format == found.ERROR]
            wrong += [f"{page} {query}: {text}" for text in said]
    return len(todo), wrong


def fresh() -> None:
    """Install the light one anew, and print its size, the seconds to its first chart, and what its pages said."""
    with tempfile.TemporaryDirectory() as made:
        folder, port = Path(made) / "environment", free_port()
        duo = installed(folder)
        there = sum(file.lstat().st_size for file in folder.rglob("*"))
        print(f"  a light install in an environment of its own: {there / 1e9:.2f} GB", flush=True)
        variables = {key: value for key, value in os.environ.items() if not key.startswith(("DUO_", "PYTHON"))} | {"HOME": made}
        for turn in ("the first time, which compiles", "then"):
            start, log = time.perf_counter(), Path(made) / "log"
            command = [str(duo), "app", "--port", str(port)]
            with started(command, log, str(duo.with_name("python")), cwd=made, env=variables) as process:
                server = f"http://127.0.0.1:{port}"
                wait_until_healthy(f"{server}/_stcore/health", process, log)
                asyncio.run(chart(server))
                print(f"  seconds to the first chart, {turn}: {time.perf_counter() - start:.1f}", flush=True)
                opened, wrong = asyncio.run(every_page(server)) if turn == "then" else (0, [])
        print(f"  {opened} pages and steps opened on the shipped sets, {len(wrong)} with an error", *wrong, sep="\n    ")
        if wrong:
            raise SystemExit(1)


def compared(starts: int) -> None:
    """Print sizes and seconds of this environment's libraries, all of them and those of the light one."""
    light, whole = brought(asked("requirements-light.txt")), brought(asked("requirements.txt"))
    cuda = {name for name in whole if name.startswith(CUDA)}
    for text, names in (("whole", whole), ("light", light), ("light, without CUDA's packages", light - cuda)):
        print(f"  {text:<34}{len(names):>4} packages {size(names) / 1e9:>7.2f} GB")
    if starts:
        seconds = {text: min(seconds_to_chart(is_light) for _ in range(starts)) for text, is_light in (("whole", 0), ("light", 1))}
        print("  seconds to the first chart: " + ", ".join(f"{text} {value:.1f}" for text, value in seconds.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=2, help="0: sizes alone")
    parser.add_argument("--fresh", action="store_true", help="install the light one anew, and open every page there")
    options = parser.parse_args()
    fresh() if options.fresh else compared(options.starts)


if __name__ == "__main__":
    main()
