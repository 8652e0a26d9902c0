"""What only a browser shows of Temperatures: clicks on the bowl and on a pair; and that pages fit a narrow screen."""

import re

import pytest
from browsing import chart, click_at, click_point, settle
from playwright.sync_api import expect

from app.views import diagnose, temperatures

pytestmark = pytest.mark.browser

PAIR = "set=toy&split=test&base=large&sidekick=small"


def sliders(page):
    return [float(value) for value in page.locator("[data-testid=stSliderThumbValue]").all_inner_texts()]


def test_a_click_on_the_bowl_sets_the_sliders_and_the_cards_follow(toy):
    page = toy(f"/temperatures?{PAIR}")
    bowl, back = chart(page, "bowl"), page.get_by_role("button", name="Back to the fit")
    learned = sliders(page)
    top = bowl.evaluate("plot => [plot._fullLayout.xaxis.range[1], plot._fullLayout.yaxis.range[1]]")
    click_at(page, bowl, 0.75 * top[0], 0.6 * top[1])
    expect(back).to_be_enabled()
    settle(page)
    assert sliders(page) != learned
    assert sliders(page) == pytest.approx([0.75 * top[0], 0.6 * top[1]], rel=0.05)
    marked = chart(page, "bowl").evaluate(
        "plot => { const t = plot._fullData.find(t => t.name === 'Sliders'); return [t.x[0], t.y[0]]; }"
    )
    assert marked == pytest.approx(sliders(page), abs=1e-3)
    back.click()
    expect(back).to_be_disabled()
    settle(page)
    assert sliders(page) == learned


def test_a_click_on_a_pair_loads_it(toy):
    page = toy(f"/temperatures?{PAIR}&question=ratios")
    base, sidekick = click_point(page, "all_ratios", "Other bases", "0")
    page.wait_for_url(re.compile(f"base={base}&sidekick={sidekick}"))


NARROW = {
    "/": [],
    "/temperatures": [temperatures.QUESTIONS[key] for key in ("images", "bowl")],
    "/diagnose": [diagnose.PARTS[key] for key in ("classes", "splits")],
}


@pytest.mark.parametrize("path", NARROW)
def test_a_narrow_screen_needs_no_sideways_scrolling(toy, path):
    page = toy(f"{path}?set=toy", width=390, height=844)
    fits(page)
    for part in NARROW[path]:
        page.get_by_role("radio", name=part, exact=True).click()
        settle(page)
        fits(page)


def fits(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (found.bounding_box() for found in page.locator(".js-plotly-plot").all()):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
