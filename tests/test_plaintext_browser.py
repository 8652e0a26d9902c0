"""A set whose every text is markup, in a real browser: it makes no link, no picture, and no request to another machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import ROOT, opened_pages, settle, streamlit_server
from hostile import hostile_store
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser

PAGES = ("", "find", "compare", "temperatures", "claims", "diagnose", "alike", "zoo", "method")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store: Path = hostile_store(tmp_path_factory.mktemp("store"))
    log = tmp_path_factory.mktemp("log") / "streamlit.log"
    with streamlit_server(ROOT / "app" / "main.py", log, DUO_STORE=str(store)) as address:
        yield address


def test_a_set_of_markup_is_shown_as_text(browser: Browser, server: str) -> None:
    with opened_pages(browser, server) as opened:  # which fails where another machine was asked
        page = opened("/?set=hostile")
        for name in PAGES:
            page.locator(f"a[href$='/{name}']").first.click()
            page.wait_for_url(re.compile(rf"/{name}\?.*set=hostile"))
            settle(page)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            made = page.locator("[href*='outside.example'], [src*='outside.example'], [href^='mailto:']")
            expect(made).to_have_count(0)
            assert page.evaluate("() => window.attacked") is None
            assert page.locator("strong, em, del, .katex").filter(has_text="evil").count() == 0
            assert page.get_by_text("skull", exact=True).count() == 0
            assert page.locator("code").get_by_text("evil", exact=True).count() == 0
