"""What only a browser shows of a report: opened as a file it asks for nothing, draws every chart, and fits screen and paper."""

import csv
import json
import re
import time

import pytest
from browsing import SECONDS
from hostile import ATTACK, hostile_pair_report, hostile_set_report

from duo_core.figures.screen import DARK, LIGHT

pytestmark = pytest.mark.browser

CHARTS = {"pair": 4, "set": 3}
MAKERS = {"pair": hostile_pair_report, "set": hostile_set_report}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, make in MAKERS.items():
        (folder / f"{name}.html").write_text(make(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def reader(browser, files):
    """A context in which one page stays, and with it the process that has compiled the charts' code, which every report holds."""
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(SECONDS * 1000)
    (files / "stays.html").write_text("<title>This page stays</title>", encoding="utf-8")
    context.new_page().goto((files / "stays.html").as_uri())
    yield context
    context.close()


@pytest.fixture
def opened(reader, files):
    """Open a report from disk; the test fails if it asks for anything, complains, or runs what a name says."""
    seen, said, pages = [], [], []

    def open_one(name, *, width=1100, dark=False):
        page = reader.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("request", lambda request: seen.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((files / f"{name}.html").as_uri())
        pages.append(page)
        return page

    yield open_one
    assert [page.evaluate("window.attacked") for page in pages] == [None] * len(pages)
    for page in pages:
        page.close()
    assert [url for url in seen if not re.match(r"(file:///.*\.html|data:|blob:)", url)] == []
    assert sum(url.startswith("file:") for url in seen) == len(pages)
    assert said == []


def drawn(page):
    """How many charts show marks of their data."""
    return page.evaluate("[...document.querySelectorAll('.chart')].filter(c => c.querySelector('.main-svg .trace path')).length")


def eventually(page, true):
    """Wait from outside: the report's policy does not let the browser wait for a condition of ours."""
    end = time.monotonic() + SECONDS
    while not true() and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert true()


def background(page):
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def colours(page):
    """Colours of the charts' data, as they came to the browser."""
    used = page.evaluate("JSON.stringify([...document.querySelectorAll('.chart')].map(chart => chart.data))")
    return set(re.findall("#[0-9a-f]{6}", used))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_drawn_in_the_reader_s_colours(opened, name, dark):
    page = opened(name, dark=dark)
    eventually(page, lambda: drawn(page) == page.locator(".chart").count() == CHARTS[name])
    assert colours(page) <= set((DARK if dark else LIGHT).values())
    assert background(page) == ("rgb(15, 20, 26)" if dark else "rgb(255, 255, 255)")


def test_the_charts_follow_a_change_of_colours(opened):
    page = opened("pair")
    page.emulate_media(color_scheme="dark")
    eventually(page, lambda: DARK["duo"] in colours(page))
    page.emulate_media(color_scheme="light")
    eventually(page, lambda: LIGHT["duo"] in colours(page))


@pytest.mark.parametrize("width", [390, 768, 1440])
@pytest.mark.parametrize("name", CHARTS)
def test_it_fits_the_screen(opened, name, width):
    page = opened(name, width=width)
    eventually(page, lambda: drawn(page) == CHARTS[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for box in (chart.bounding_box() for chart in page.locator(".chart .main-svg").all()):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_axis_titles_break_where_they_are_too_long(opened):
    narrow, wide = (opened("pair", width=width).locator("#chart-reliability .xtitle tspan").count() for width in (390, 1100))
    assert narrow > wide


@pytest.mark.parametrize("name", CHARTS)
def test_on_paper_it_is_light_and_open_and_afterwards_as_before(opened, name):
    page = opened(name, dark=True)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    eventually(page, lambda: background(page) == "rgb(255, 255, 255)")
    eventually(page, lambda: colours(page) <= set(LIGHT.values()))
    assert page.locator("details:not([open])").count() == 0
    assert not page.get_by_role("button").first.is_visible()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    eventually(page, lambda: colours(page) <= set(DARK.values()))
    assert page.locator("details[open]").count() == 0
    assert len(page.pdf()) > 10_000


def test_names_show_as_they_are(opened):
    page = opened("set")
    assert ATTACK in page.locator("h1").inner_text()
    legends = " ".join(page.locator("#chart-landscape text").all_text_contents())
    assert ATTACK in legends.replace("\xa0", " ")


def saved(page, table, tmp_path):
    with page.expect_download() as download:
        page.locator(f"table[data-name={table}] caption button").click()
    assert download.value.suggested_filename == f"{table}.csv"
    file = tmp_path / f"{table}.csv"
    download.value.save_as(file)
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def test_tables_are_sorted_by_any_column_and_saved_as_they_stand(opened, tmp_path):
    page = opened("set")
    page.locator("#table summary").click()
    accuracy = page.locator("table[data-name=pairs] thead th").nth(4)
    for direction in ("ascending", "descending"):
        accuracy.get_by_role("button").press("Enter")
        eventually(page, lambda direction=direction: accuracy.get_attribute("aria-sort") == direction)
        head, *rows = saved(page, "pairs", tmp_path)
        values = [float(row[4]) for row in rows]
        assert values == sorted(values, reverse=direction == "descending")
    assert head[:5] == ["Base", "Sidekick", "System", "Extra compute", "Accuracy"]
    assert any(ATTACK in row[0] for row in rows)
    page.locator("table[data-name=pairs] thead th").nth(1).get_by_role("button").click()
    names = [row[1] for row in saved(page, "pairs", tmp_path)[1:]]
    assert names == page.evaluate("names => [...names].sort((a, b) => a.localeCompare(b))", names)


def test_a_chart_saves_itself_as_svg(opened):
    page = opened("pair")
    chart = page.locator("#chart-risk-coverage")
    chart.hover()
    with page.expect_download() as download:
        chart.locator("[data-title^=Download]").click()
    assert download.value.suggested_filename == "risk-coverage.svg"


def test_a_chart_says_a_point_s_numbers(opened):
    page = opened("pair")
    chart = page.locator("#chart-risk-coverage")
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").bounding_box()
    middle = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(middle[0] - 15, middle[1])
    page.mouse.move(*middle, steps=4)
    eventually(page, lambda: "Keep" in (chart.locator(".hoverlayer").text_content() or ""))


def test_without_scripts_the_numbers_are_there(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((files / "pair.html").as_uri())
    assert page.locator("noscript p").is_visible()
    assert page.locator("table[data-name=metrics] data").count() == 40
    context.close()


def test_a_script_that_is_not_the_report_s_own_does_not_run(browser, files, tmp_path):
    """The policy, not only escaping, stands against a name that is markup."""
    text = (files / "pair.html").read_text(encoding="utf-8").replace("</main>", f"{ATTACK}<img src=http://127.0.0.1:9/x></main>")
    (tmp_path / "changed.html").write_text(text, encoding="utf-8")
    context = browser.new_context()
    page, refused = context.new_page(), []
    page.on("console", lambda message: refused.append(message.text))
    page.goto((tmp_path / "changed.html").as_uri())
    assert page.evaluate("window.attacked") is None
    eventually(page, lambda: drawn(page) == CHARTS["pair"])
    assert len([text for text in refused if "Content Security Policy" in text]) == 2, json.dumps(refused)
    context.close()
