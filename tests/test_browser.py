"""The dashboard in a real browser, served by the real server: what only a browser shows."""

import re

import pytest
from browsing import settle

from duo_core.store import DEFAULT_STORE, Store

pytestmark = pytest.mark.browser


def chosen(page, label):
    """The model that a selectbox of the sidebar shows."""
    return page.get_by_role("combobox", name=label).input_value().split(" · ")[0]


def shown(page):
    return page.locator("h1").inner_text()


def ready(page, charts=3):
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    page.wait_for_function(f"document.querySelectorAll('.js-plotly-plot').length >= {charts}")
    settle(page)


def click_sidekick(page, name):
    """Move onto the duo's point of a sidekick and click it, as a hand does."""
    chart = page.locator(".st-key-chart_sidekicks .js-plotly-plot")
    chart.scroll_into_view_if_needed()
    x, y = chart.evaluate(
        """(plot, name) => {
            const trace = plot._fullData.find(t => t.name === 'Duo'), i = trace.customdata.indexOf(name);
            const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
            return [box.x + xaxis._offset + xaxis.d2p(trace.x[i]), box.y + yaxis._offset + yaxis.d2p(trace.y[i])];
        }""",
        name,
    )
    page.mouse.move(x - 20, y - 5)
    page.mouse.move(x, y, steps=4)
    page.wait_for_timeout(200)
    page.mouse.click(x, y)


def journey(page, pages, name):
    """Click a sidekick's point; the pair and the address follow, and the address opens the same view elsewhere."""
    ready(page)
    before = shown(page)
    click_sidekick(page, name)
    page.wait_for_url(re.compile(f"sidekick={re.escape(name)}"))
    ready(page)
    assert chosen(page, "Sidekick") == name
    elsewhere = pages(page.url.removeprefix(pages.server))
    ready(elsewhere)
    assert elsewhere.url == page.url
    assert shown(elsewhere) == shown(page)
    assert chosen(elsewhere, "Sidekick") == name
    return before, shown(page)


def test_a_click_on_a_point_loads_the_pair_and_its_link_opens_it(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=middle")
    before, after = journey(page, toy, "tiny")
    assert before.startswith("25 % more compute")
    assert after.startswith("5.0 % more compute")


def test_a_second_click_keeps_the_pair_and_back_returns_to_the_one_before(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=small")
    ready(page)
    for _ in range(2):
        click_sidekick(page, "tiny")
        page.wait_for_url(re.compile("sidekick=tiny"))
        ready(page)
    assert chosen(page, "Sidekick") == "tiny"
    page.go_back(wait_until="commit")
    page.wait_for_url(re.compile("sidekick=small"))
    page.wait_for_function("document.querySelector('h1').innerText.startsWith('10 %')")
    assert chosen(page, "Sidekick") == "small"


def test_a_click_on_a_curve_sets_the_coverage(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=middle")
    ready(page)
    chart = page.locator(".st-key-chart_risk_coverage .js-plotly-plot")
    chart.scroll_into_view_if_needed()
    x, y = chart.evaluate(
        """plot => {
            const trace = plot._fullData.find(t => t.name === 'Duo'), i = Math.round(trace.x.length * 0.6);
            const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
            return [box.x + xaxis._offset + xaxis.d2p(trace.x[i]), box.y + yaxis._offset + yaxis.d2p(trace.y[i])];
        }"""
    )
    page.mouse.move(x - 10, y)
    page.mouse.move(x, y, steps=4)
    page.wait_for_timeout(200)
    page.mouse.click(x, y)
    page.wait_for_url(re.compile(r"coverage=\d+"))
    coverage = re.search(r"coverage=(\d+)", page.url).group(1)
    page.get_by_text(f"Keep {coverage} %:").wait_for()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_those_of_their_meaning_in_both_themes(toy, dark):
    from duo_core.figures.screen import DARK, LIGHT

    page = toy("/?set=toy", dark=dark)
    ready(page)
    drawn = page.locator(".st-key-chart_risk_coverage .js-plotly-plot").evaluate(
        "plot => Object.fromEntries(plot._fullData.map(t => [t.name, t.line.color]))"
    )
    palette = DARK if dark else LIGHT
    names = {"Base": "base", "Sidekick": "sidekick", "Duo": "duo", "Unweighted": "unweighted", "UQ only": "uq_only"}
    assert {name: drawn[name] for name in names} == {name: palette[key] for name, key in names.items()}


def test_a_narrow_screen_needs_no_sideways_scrolling(toy):
    page = toy("/?set=toy", width=390, height=844)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (chart.bounding_box() for chart in page.locator(".js-plotly-plot").all()):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_the_console_stays_clean(toy):
    page = toy("/?set=toy")
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.reload()
    ready(page)
    click_sidekick(page, "tiny")
    page.wait_for_url(re.compile("sidekick=tiny"))
    ready(page)
    assert said == []


def test_the_shipped_set_opens_and_a_click_moves_through_it(page, browser, server):
    shipped = Store(DEFAULT_STORE).names()
    if not shipped:
        pytest.skip(f"no logit set in {DEFAULT_STORE}")
    first = page("/")
    ready(first)
    shown_now = chosen(first, "Sidekick")
    names = first.locator(".st-key-chart_sidekicks .js-plotly-plot").evaluate(
        "plot => Array.from(plot._fullData.find(t => t.name === 'Duo').customdata)"
    )
    # The cheapest is at an end of the axis, where no other point lies over it.
    journey(first, page, next(name for name in reversed(names) if name != shown_now))
