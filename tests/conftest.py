"""Fixtures and markers that every test file may use; no test reaches another machine."""

import gc
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from browsing import CHROMIUM_OPTIONS, LOOPBACK, ROOT, SECONDS, Pages, find_chromium, opened_pages, streamlit_server
from effort import tried

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from duo_core.systems.sweep import Evaluation

# The first call of a kernel compiles it, which no deadline of a single example allows for.
hypothesis.settings.register_profile("compiled", deadline=None, max_examples=tried(25, 200))
hypothesis.settings.load_profile("compiled")

# Tests compute on small arrays, where many threads only wait for each other; what they start inherits it.
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))


# What is imported and collected stays, and to look through it takes a third of a second each time.
gc.disable()


kept = 0
"""Modules that were there when the collector was last told to leave out what is there."""


def pytest_collection_finish() -> None:
    """Have Python's garbage collector look from here on, at what tests make alone."""
    leave_out()
    gc.enable()


def leave_out() -> None:
    """Leave out what is there, once more where a test has brought many libraries: torch's compiler has 200,000 objects."""
    global kept  # noqa: PLW0603
    if len(sys.modules) > kept + 300:
        kept = len(sys.modules)
        gc.collect()
        gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without a test for this run are not even imported; some are what a server runs, and alter Streamlit as they begin."""
    if collection_path.suffix != ".py" or collection_path.parent.name != "tests":
        return None
    of = "mark.browser" if config.getoption("markexpr") == "browser" else "def test_" if is_test(collection_path) else ">>> "
    return of not in collection_path.read_text(encoding="utf-8") or None


def is_test(path: Path) -> bool:
    return path.name.startswith("test_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, in their order: all would wait for a long file that is begun last."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


LONG = """
test_data_browser test_learn_browser test_accessibility test_journeys test_browser test_plaintext_browser test_sessions
test_wheel test_cost test_data_page test_deploy_shipped test_app test_learn_page test_formats_limits test_deploy_export
test_bootstrap test_claims_page test_diagnose_page test_find test_duo
""".split()  # noqa: SIM905 (one can be moved without a comma)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with a reason, what a marked test needs and this machine lacks; begin as if no test had been before."""
    leave_out()
    for marker, needed in {"shared": shared_folder, "browser": chromium_path, "gpu": gpu, "ray": ray}.items():
        if item.get_closest_marker(marker):
            needed()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(THREADS)  # sums of floats depend on it, and the dashboard sets it where it is imported
        torch.manual_seed(0)


def shared_folder() -> Path:
    folder = Path(os.environ.get("DUO_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no folder of images and checkpoints at {folder} (DUO_SHARED names another)")
    return folder


def chromium_path() -> str:
    path = find_chromium()
    if path is None:
        missing = "no Chromium on PATH (DUO_CHROMIUM names one elsewhere)"
        pytest.fail(missing) if os.environ.get("DUO_REQUIRE_BROWSER") == "1" else pytest.skip(missing)
    return path


def gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def ray() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed (pip install -r requirements-cluster.txt)")


@pytest.fixture(autouse=True)
def process_as_found() -> Iterator[None]:
    """Take back what a test leaves set for the whole process, so that none depends on those before it in the same one."""
    folder, environment, main = os.getcwd(), dict(os.environ), sys.modules["__main__"]
    yield
    os.chdir(folder)
    sys.modules["__main__"] = main  # a page takes its place, and every process that is spawned afterwards would run it first
    for key in os.environ.keys() - environment.keys():
        del os.environ[key]
    os.environ.update(environment)
    if torch := sys.modules.get("torch"):
        torch.set_default_dtype(torch.float32)
        if torch.are_deterministic_algorithms_enabled():  # to say so imports torch's compiler: 1.5 seconds
            torch.use_deterministic_algorithms(mode=False)
        torch.set_grad_enabled(True)


@pytest.fixture(autouse=True)
def no_network(process_as_found: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that connects to another machine; what pytest raises is no Exception, so no fallback can hide it."""

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def checked(self: socket.socket, address: Any, /) -> Any:
            if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in LOOPBACK:
                pytest.fail(f"a test must not reach another machine, but it connects to {address[0]}:{address[1]}")
            return connect(self, address)

        return checked

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.fixture
def rng() -> np.random.Generator:
    """The one source of randomness; every test that takes it starts from the same seed."""
    return np.random.default_rng(20250526)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of images and checkpoints that lies beside some checkouts."""
    return shared_folder()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one the test is skipped, or fails where DUO_REQUIRE_BROWSER=1."""
    return chromium_path()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the dashboard, run by the real Streamlit on the shipped logit sets."""
    with streamlit_server(ROOT / "app" / "main.py", tmp_path_factory.mktemp("server") / "streamlit.log") as address:
        yield address


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[Browser]":
    """A headless Chromium; a module's own, since its event loop would be in the way of other modules' tests."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        expect.set_options(timeout=SECONDS * 1000)
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield running
        running.close()


@pytest.fixture
def page(browser: "Browser", server: str) -> Iterator[Pages]:
    """Open pages of the dashboard: `page("/?step=2", width=390, dark=True)`. The test fails if one asks another machine."""
    with opened_pages(browser, server) as pages:
        yield pages


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small set, `toy`, which no test changes."""
    from logit_sets import write_set  # brings torch, which reads the number of threads set above

    return write_set(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def found(toy_store: Path) -> "Evaluation":
    """The pair large + small of `toy`, judged on test."""
    from duo_core.logits.store import Store
    from duo_core.systems.sweep import evaluate

    return evaluate(Store(toy_store).open("toy"), "large", "small")


@pytest.fixture
def open_view(monkeypatch: pytest.MonkeyPatch, toy_store: Path) -> Callable[..., Any]:
    """Open a page without a browser, by name and address: on the set `toy`, or another store."""
    from dashboard import open_page

    def opened(name: str, store: Path = toy_store, **query: str) -> Any:
        monkeypatch.setenv("DUO_STORE", str(store))
        return open_page(name, **query)

    return opened


@pytest.fixture(scope="session")
def toy_server(toy_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the dashboard on the set `toy`."""
    log = tmp_path_factory.mktemp("log") / "streamlit.log"
    with streamlit_server(ROOT / "app" / "main.py", log, DUO_STORE=str(toy_store)) as address:
        yield address


@pytest.fixture
def toy(browser: "Browser", toy_server: str) -> Iterator[Pages]:
    """Open pages of the dashboard on the set `toy`, as `page` does."""
    with opened_pages(browser, toy_server) as pages:
        yield pages
