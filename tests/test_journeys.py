"""One journey a page, as users make it: open, pick, act, switch to the shifted split, open its link elsewhere, take files home."""

import csv
import re
import xml.etree.ElementTree as ET

import pytest
from browsing import Pages, chart, click_point, settle
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

PAIR = "set=toy&split=test&base=large&sidekick=middle"


def pick(page, label, option):
    """Choose an option of a selectbox by its beginning."""
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).click()
    settle(page)


def press(page, name):
    """Press a button, or a part of a segmented control."""
    page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("radio", name=name, exact=True)).first.click()
    settle(page)


def same_elsewhere(page, pages: Pages):
    """The address opens the same view for somebody who has never been here."""
    settle(page)
    elsewhere = pages.elsewhere(page.url.removeprefix(pages.server))
    fields = page.get_by_test_id("stSidebar").get_by_role("combobox").all()
    assert fields
    for number, field in enumerate(fields):
        there = elsewhere.get_by_test_id("stSidebar").get_by_role("combobox").nth(number)
        expect(there).to_have_value(field.input_value())
    expect(elsewhere.locator("h1")).to_have_text(page.locator("h1").inner_text())
    expect(elsewhere).to_have_url(page.url)


def table_taken_home(page, label):
    """Open the numbers under a chart and take them as CSV; the rows."""
    expander = page.get_by_test_id("stExpander").filter(has_text=label)
    expander.locator("summary").click()
    expander.get_by_test_id("stDataFrame").wait_for()
    settle(page)  # what comes into the table moves the button
    with page.expect_download() as download:
        expander.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert rows
    return rows


def picture_taken_home(page, key):
    """Take a chart as SVG; its text."""
    plot = chart(page, key)
    plot.hover()
    with page.expect_download() as download:
        plot.locator(".modebar-btn").last.click()
    assert download.value.suggested_filename.endswith(".svg")
    root = ET.parse(download.value.path()).getroot()
    return " ".join(text for element in root.iter() if (text := (element.text or "").strip()))


def test_explore(toy):
    page = toy(f"/?{PAIR}")
    click_point(page, "sidekicks", "Duo", "t.customdata.indexOf('small')")
    page.wait_for_url(re.compile("sidekick=small"))
    settle(page)
    pick(page, "Sidekick", "tiny")
    before = page.locator("h1").inner_text()
    pick(page, "Evaluation split", "shift")
    expect(page.locator("h1")).not_to_have_text(before)
    slider = page.get_by_role("slider", name=re.compile("^T_base"))
    slider.press("Home")
    card = page.get_by_test_id("stMetric").filter(has_text="NLL, fit split")
    expect(card).not_to_contain_text("same as fit")
    settle(page)
    press(page, "Back to the fit")
    expect(card).to_contain_text("same as fit")
    same_elsewhere(page, toy)
    assert {"coverage", "duo", "base", "oracle"} <= set(table_taken_home(page, "The curves as numbers")[0])
    assert "Coverage" in picture_taken_home(page, "risk_coverage")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download report (HTML)").click()
    assert "large" in download.value.path().read_text()


def test_find_a_system(toy):
    page = toy(f"/find?{PAIR}")
    press(page, "Axes and models")
    press(page, "Gain toward perfect")
    page.wait_for_url(re.compile("show=gain"))
    page.keyboard.press("Escape")
    settle(page)
    page.get_by_role("slider", name=re.compile("^Extra compute you can spend")).press("End")
    page.wait_for_url(re.compile("budget=200"))
    settle(page)
    pick(page, "Evaluation split", "shift")
    same_elsewhere(page, toy)
    assert "Gain" in picture_taken_home(page, "systems")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").last.click()
    assert {"single", "duo"} <= {row["kind"] for row in csv.DictReader(download.value.path().read_text().splitlines())}


def test_temperatures(toy):
    page = toy(f"/temperatures?{PAIR}")
    page.get_by_role("slider", name=re.compile("^T_base")).press("Home")
    settle(page)
    press(page, "Do the weights follow the cost?")
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
        "Which images change rank?",
        "Which classes gain?",
        "Does the gain carry over?",
        "Softmax or entropy?",
        "Does confidence match accuracy?",
    ):
        press(page, part)
    pick(page, "Evaluation split", "shift")
    expect(page.locator("h1")).not_to_have_text(before)
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
    titles = {"/": page.locator("h1").inner_text()}

    def shown(path):
        page.wait_for_url(re.compile(f"{path}\\?.*sidekick=tiny"))
        settle(page)
        expect(page.get_by_role("combobox", name="Sidekick", exact=True)).to_have_value(re.compile("^tiny"))
        expect(page.locator("h1")).to_have_text(titles.setdefault(path, page.locator("h1").inner_text()))

    ways = (("Find a system", "/find"), ("Temperatures", "/temperatures"), ("Diagnose", "/diagnose"), ("Explore", "/"))
    for name, path in ways:
        page.get_by_role("link", name=name, exact=True).first.click()
        shown(path)
    assert len(set(titles.values())) == len(ways)
    for path in ("/diagnose", "/temperatures", "/find", "/"):  # one step each
        page.go_back(wait_until="commit")
        shown(path)
