"""The first page of a visit: nothing moves while it is drawn, and a browser knows early what it will need."""

import asyncio
import json
from importlib.resources import files
from types import SimpleNamespace

import pytest
from browsing import settle

from app import dress, guard, preload
from benchmarks.walking import SHIFT, SHIFTS

STATIC = files("streamlit").joinpath("static")


def named(header: str) -> list[str]:
    return [part.partition(">")[0].removeprefix("<./") for part in header.split(", ")]


def test_a_browser_is_told_of_the_charts_code_and_of_what_that_imports():
    modules = named(preload.header().decode())
    assert all(STATIC.joinpath(module).is_file() for module in modules)
    page = STATIC.joinpath("index.html").read_text(encoding="utf-8")
    assert not [module for module in modules if module in page], "the page itself asks for these"
    charts = next(module for module in modules if "PlotlyChart" in module)
    manifest = json.loads(STATIC.joinpath("manifest.json").read_text(encoding="utf-8"))
    imported = next(entry for entry in manifest.values() if entry["file"] == charts)["imports"]
    assert {manifest[name]["file"] for name in imported} - set(modules) <= {file for file in _files(manifest) if file in page}


def _files(manifest):
    return {entry["file"] for entry in manifest.values()}


def test_the_header_fits_beside_others_into_what_a_proxy_reads():
    assert 0 < len(preload.header()) < 1024


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"index.html": {}}', '{"index.html": {"imports": ["gone"]}}'])
def test_a_page_that_says_otherwise_what_it_is_made_of_opens_without_it(manifest, monkeypatch, tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "manifest.json").write_text(manifest)
    monkeypatch.setattr(preload, "files", lambda _: tmp_path)
    assert preload.header.__wrapped__() == b""


def answered(accept: bytes) -> list[tuple[bytes, bytes]]:
    """Headers of what stands behind the guard, as a browser gets them."""
    heard = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"page"})

    async def send(message):
        heard.append(message)

    async def asked():
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept", accept)]}
        await guard.Guard(app)(scope, None, send)

    asyncio.run(asked())
    assert heard[1]["body"] == b"page", "nothing of the page itself is changed"
    return heard[0]["headers"]


def test_pages_alone_bring_the_header(monkeypatch):
    monkeypatch.setattr(guard.Guard, "stands", guard.Guard.stands)
    assert answered(b"text/html,*/*") == [(b"content-type", b"text/html"), (b"link", preload.header())]
    assert answered(b"*/*") == [(b"content-type", b"text/html")]
    monkeypatch.setattr(preload, "header", lambda: b"")
    assert answered(b"text/html") == [(b"content-type", b"text/html")]


def test_the_style_goes_before_all_else_and_waits_once(open_view, monkeypatch):
    waited = []
    monkeypatch.setattr(dress, "time", SimpleNamespace(sleep=waited.append))
    app = open_view("explore")
    first = app.main.children[0].children[0]
    assert first.value.startswith("<style>")
    assert first.value.count("<") == 2, "of markup there is nothing but the style"
    app.run()
    assert waited == [dress.BEFORE]


def shift_of(page, address):
    """How far things move while a page is opened."""
    page.add_init_script(SHIFTS)
    page.goto(address)
    settle(page)
    shift = page.evaluate("window.shift")
    return shift["frame"] + shift["page"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_moves_while_the_first_page_is_drawn(toy, width):
    """At one of three visits: a machine that has much else to do may keep a browser from what came first."""
    shifts = []
    while not shifts or (min(shifts) >= SHIFT and len(shifts) < 3):
        page = toy.empty(width=width, apart=True)
        shifts.append(shift_of(page, toy.server + "/"))
    assert min(shifts) < SHIFT, shifts
    assert not page.locator(".st-key-style").is_visible()
    top = page.locator("[data-testid=stMainBlockContainer] > [data-testid=stVerticalBlock]").bounding_box()["y"]
    assert page.locator(".st-key-welcome").bounding_box()["y"] == pytest.approx(top, abs=1), "the style takes no room"
