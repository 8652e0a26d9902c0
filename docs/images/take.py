"""Take the pictures of the dashboard's pages that the documents show: `.venv/bin/python docs/images/take.py [PAGE...]`."""

import sys
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from browsing import CHROMIUM_OPTIONS, ROOT, Pages, find_chromium, settle, streamlit_server
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
PAGES = ("explore", "find", "compare", "temperatures", "diagnose", "alike", "zoo", "learn", "claims", "data", "method")
Look = tuple[int, int, bool]
LOOKS = {"light": (1280, 960, False), "dark": (1280, 960, True), "narrow": (390, 844, False)}
STEPS = range(1, 11)
LESSON = (1280, 800, False)
"""The screen that a step of the course is made for."""


def main(names: list[str]) -> None:
    """Take the pictures of the named pages, or of all."""
    with (
        tempfile.TemporaryDirectory() as folder,
        streamlit_server(ROOT / "app" / "main.py", Path(folder) / "log") as address,
        sync_playwright() as playwright,
    ):
        pages = Pages(playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_OPTIONS), address)
        for name in names or PAGES:
            for stem, path, look in _shots(name):
                _take(pages, path, look, HERE / f"{stem}.png")


def _shots(name: str) -> Iterator[tuple[str, str, Look]]:
    """Name, address and look of each picture of a page; of the course, of each step."""
    if name == "learn":
        yield from ((f"learn-{step}", f"/learn?step={step}", LESSON) for step in STEPS)
        yield "learn-dark", "/learn?step=6&newton=3", (*LESSON[:2], True)
        yield "learn-narrow", "/learn?step=3", (390, 1480, False)
    else:
        yield from ((f"{name}-{look}", "/" if name == "explore" else f"/{name}", LOOKS[look]) for look in LOOKS)


def _take(pages: Pages, path: str, look: Look, file: Path) -> None:
    width, height, dark = look
    page = pages(path, width=width, height=height, dark=dark)
    page.wait_for_timeout(3000)
    settle(page)
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(file, optimize=True)
    page.context.close()


if __name__ == "__main__":
    main(sys.argv[1:])
