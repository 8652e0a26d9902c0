"""What only a browser shows of Temperatures: clicks on the bowl and on a pair, and a page that fits a narrow screen."""

import re

import pytest
from browsing import ROOT, Pages, outside_requests, settle, streamlit_server
from logit_sets import write_set

pytestmark = pytest.mark.browser

PAIR = "set=toy&split=test&base=large&sidekick=small"


@pytest.fixture(scope="module")
def toy_server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUO_STORE", str(write_set(tmp_path_factory.mktemp("store"))))
        with streamlit_server(ROOT / "app" / "main.py", tmp_path_factory.mktemp("log") / "streamlit.log") as address:
            yield address


@pytest.fixture
def toy(browser, toy_server):
    pages = Pages(browser, toy_server)
    yield pages
    for context in browser.contexts:
        context.close()
    assert outside_requests(pages.requested) == []


def chart(page, name):
    found = page.locator(f".st-key-chart_{name} .js-plotly-plot")
    found.locator(".main-svg").first.wait_for()
    settle(page)
    found.scroll_into_view_if_needed()
    return found


def click(page, found, x, y):
    """Move onto a place of the chart, in its own units, and click it, as a hand does."""
    left, top = found.evaluate(
        """(plot, [x, y]) => {
            const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
            return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)];
        }""",
        [x, y],
    )
    page.mouse.move(left - 15, top)
    page.mouse.move(left, top, steps=4)
    page.wait_for_timeout(200)
    page.mouse.click(left, top)


def sliders(page):
    return [float(value) for value in page.locator("[data-testid=stSliderThumbValue]").all_inner_texts()]


def test_a_click_on_the_bowl_sets_the_sliders_and_the_cards_follow(toy):
    page = toy(f"/temperatures?{PAIR}")
    bowl = chart(page, "bowl")
    learned = sliders(page)
    top = bowl.evaluate("plot => [plot._fullLayout.xaxis.range[1], plot._fullLayout.yaxis.range[1]]")
    click(page, bowl, 0.75 * top[0], 0.6 * top[1])
    page.wait_for_function("!document.querySelector('.st-key-learned button').disabled")
    settle(page)
    assert sliders(page) != learned
    assert sliders(page) == pytest.approx([0.75 * top[0], 0.6 * top[1]], rel=0.05)
    marked = chart(page, "bowl").evaluate(
        "plot => { const t = plot._fullData.find(t => t.name === 'Sliders'); return [t.x[0], t.y[0]]; }"
    )
    assert marked == pytest.approx(sliders(page), abs=1e-3)
    page.locator(".st-key-learned button").click()
    page.wait_for_function("document.querySelector('.st-key-learned button').disabled")
    assert sliders(page) == learned


def test_a_click_on_a_pair_loads_it(toy):
    page = toy(f"/temperatures?{PAIR}&question=ratios")
    ratios = chart(page, "all_ratios")
    (base, sidekick), x, y = ratios.evaluate(
        "plot => { const t = plot._fullData.find(t => t.name === 'Other bases'); return [t.customdata[0], t.x[0], t.y[0]]; }"
    )
    click(page, ratios, x, y)
    page.wait_for_url(re.compile(f"base={base}&sidekick={sidekick}"))


@pytest.mark.parametrize("path", ["temperatures?question=images", "temperatures?", "diagnose?part=classes", "diagnose?part=splits"])
def test_a_narrow_screen_needs_no_sideways_scrolling(toy, path):
    page = toy(f"/{path}&set=toy", width=390, height=844)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (found.bounding_box() for found in page.locator(".js-plotly-plot").all()):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("path", ["temperatures?question=bowl", "diagnose?part=calibration"])
def test_the_console_stays_clean(toy, path):
    page = toy(f"/{path}&set=toy")
    said = []
    page.on(
        "console", lambda message: said.append(f"{message.text} {message.location['url']}") if message.type == "error" else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.reload()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    settle(page)
    # Streamlit looks for its server below the page's address first.
    assert [words for words in said if "/_stcore/" not in words] == []
