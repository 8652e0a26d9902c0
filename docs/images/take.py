"""Take the pictures of the dashboard's pages that the documents show: `.venv/bin/python docs/images/take.py [PAGE...]`."""

import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from browsing import CHROMIUM_OPTIONS, ROOT, Pages, find_chromium, settle, streamlit_server
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
PAGES = ("explore", "find", "temperatures", "diagnose", "zoo", "claims", "data", "method")
LOOKS = {"light": (1280, 960, False), "dark": (1280, 960, True), "narrow": (390, 844, False)}


def main(names: list[str]) -> None:
    """Take the pictures of the named pages, or of all."""
    with (
        tempfile.TemporaryDirectory() as folder,
        streamlit_server(ROOT / "app" / "main.py", Path(folder) / "log") as address,
        sync_playwright() as playwright,
    ):
        pages = Pages(playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_OPTIONS), address)
        for name in names or PAGES:
            for look in LOOKS:
                _take(pages, name, look)


def _take(pages: Pages, name: str, look: str) -> None:
    width, height, dark = LOOKS[look]
    page = pages("/" if name == "explore" else f"/{name}", width=width, height=height, dark=dark)
    page.wait_for_timeout(3000)
    settle(page)
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(HERE / f"{name}-{look}.png", optimize=True)
    page.context.close()


if __name__ == "__main__":
    main(sys.argv[1:])
