"""One journey a page, as users make it: open, pick, act, switch to the shifted split, open its link elsewhere, take files home."""

import csv
import re
import xml.etree.ElementTree as ET

import pytest
from browsing import SECONDS, Pages, settle
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

expect.set_options(timeout=SECONDS * 1000)

PAIR = "set=toy&split=test&base=large&sidekick=middle"


def drawn(page, chart):
    """The chart of that key, once it is there."""
    plot = page.locator(f".st-key-chart_{chart} .js-plotly-plot")
    plot.locator(".main-svg").first.wait_for()
    settle(page)
    plot.scroll_into_view_if_needed()
    return plot


def pick(page, label, option):
    """Choose an option of a selectbox by its beginning."""
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).click()
    settle(page)


def click_point(page, chart, trace, name):
    """Move onto a model's point of a chart and click it, as a hand does."""
    plot = drawn(page, chart)
    x, y = plot.evaluate(
        """(plot, [trace_name, name]) => {
            const trace = plot._fullData.find(t => t.name === trace_name), i = trace.customdata.indexOf(name);
            const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
            return [box.x + xaxis._offset + xaxis.d2p(trace.x[i]), box.y + yaxis._offset + yaxis.d2p(trace.y[i])];
        }""",
        [trace, name],
    )
    page.mouse.move(x - 20, y - 5)
    page.mouse.move(x, y, steps=4)
    page.wait_for_timeout(200)
    page.mouse.click(x, y)
    settle(page)


def press(page, name):
    """Press a button, or a part of a segmented control."""
    page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("radio", name=name, exact=True)).first.click()
    settle(page)


def sidebar(page):
    """What the sidebar's fields hold."""
    return [field.input_value() for field in page.get_by_test_id("stSidebar").get_by_role("combobox").all()]


def same_elsewhere(page, pages: Pages):
    """The address opens the same view in a browser that has never been here."""
    page.wait_for_timeout(300)
    elsewhere = pages(page.url.removeprefix(pages.server))
    elsewhere.locator("h1").first.wait_for()
    settle(elsewhere)
    assert elsewhere.url == page.url
    assert elsewhere.locator("h1").first.inner_text() == page.locator("h1").first.inner_text()
    assert sidebar(elsewhere) == sidebar(page)
    return elsewhere


def table_taken_home(page, label):
    """Open the numbers under a chart and take them as CSV; the rows."""
    expander = page.get_by_test_id("stExpander").filter(has_text=label)
    expander.locator("summary").click()
    with page.expect_download() as download:
        expander.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert rows
    return rows


def picture_taken_home(page, chart):
    """Take a chart as SVG; its text."""
    plot = drawn(page, chart)
    plot.hover()
    with page.expect_download() as download:
        plot.locator(".modebar-btn").first.click()
    assert download.value.suggested_filename.endswith(".svg")
    root = ET.parse(download.value.path()).getroot()
    return " ".join(text for element in root.iter() if (text := (element.text or "").strip()))


def test_explore(toy):
    page = toy(f"/?{PAIR}")
    before = page.locator("h1").inner_text()
    click_point(page, "sidekicks", "Duo", "small")
    page.wait_for_url(re.compile("sidekick=small"))
    pick(page, "Sidekick", "tiny")
    pick(page, "Evaluation split", "shift")
    assert page.locator("h1").inner_text() != before
    slider = page.get_by_role("slider", name=re.compile("^T_base"))
    slider.press("Home")
    card = page.get_by_test_id("stMetric").filter(has_text="NLL, fit split")
    expect(card).not_to_contain_text("same as learned")
    press(page, "Back to learned")
    expect(card).to_contain_text("same as learned")
    same_elsewhere(page, toy)
    assert {"coverage", "duo", "base", "oracle"} <= set(table_taken_home(page, "The curves as numbers")[0])
    assert "Coverage" in picture_taken_home(page, "risk_coverage")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download report (HTML)").click()
    assert "large" in download.value.path().read_text()


def test_find_a_pair(toy):
    page = toy(f"/find?{PAIR}")
    drawn(page, "landscape")
    press(page, "Gain toward perfect")
    page.wait_for_url(re.compile("show=gain"))
    page.get_by_role("slider", name=re.compile("^Budget")).press("End")
    page.wait_for_url(re.compile("budget=100"))
    settle(page)
    page.get_by_text(re.compile("under .100 %")).first.wait_for()
    pick(page, "Evaluation split", "shift")
    press(page, "Take this pair")
    same_elsewhere(page, toy)
    assert "balance" in picture_taken_home(page, "landscape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").first.click()
    assert {row["split"] for row in csv.DictReader(download.value.path().read_text().splitlines())} == {"shift"}


def test_temperatures(toy):
    page = toy(f"/temperatures?{PAIR}")
    drawn(page, "bowl")
    page.get_by_role("slider", name=re.compile("^T_base")).press("Home")
    settle(page)
    press(page, "Does it follow the cost?")
    page.wait_for_url(re.compile("question=ratios"))
    pick(page, "Evaluation split", "shift")
    same_elsewhere(page, toy)
    press(page, "Where is the best weighting?")
    assert "T_base" in picture_taken_home(page, "bowl")
    assert len(table_taken_home(page, "The marks as numbers")) >= 4


def test_diagnose(toy):
    page = toy(f"/diagnose?{PAIR}")
    before = page.locator("h1").inner_text()
    for part in (
        "Which images move?",
        "Which classes gain?",
        "Does it carry over?",
        "Softmax or entropy?",
        "Is it as sure as right?",
    ):
        press(page, part)
    pick(page, "Evaluation split", "shift")
    assert page.locator("h1").inner_text() != before
    same_elsewhere(page, toy)
    assert table_taken_home(page, "The bins as numbers")
    assert "Confidence" in picture_taken_home(page, "reliability")


def test_zoo(toy):
    page = toy("/zoo?set=toy")
    press(page, "Parameters")
    page.wait_for_url(re.compile("size=parameters"))
    pick(page, "Evaluation split", "shift")
    same_elsewhere(page, toy)
    assert len(table_taken_home(page, "Size and quality as numbers")) == 4
    assert "Parameters" in picture_taken_home(page, "quality_by_size")


def test_from_page_to_page_the_pair_stays(toy):
    page = toy(f"/?{PAIR}".replace("middle", "tiny"))
    for name in ("Find a pair", "Temperatures", "Diagnose", "Explore"):
        page.get_by_role("link", name=name, exact=True).first.click()
        settle(page)
        assert page.get_by_role("combobox", name="Sidekick", exact=True).input_value().startswith("tiny")
