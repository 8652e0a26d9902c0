"""The dashboard in a real browser, served by the real server: what only a browser shows."""

import re

import pytest
from browsing import chart, click_point, settle
from playwright.sync_api import expect

from duo_core.store import DEFAULT_STORE, Store

pytestmark = pytest.mark.browser


def chosen(page, name):
    """Wait until a model is the sidekick that the sidebar shows."""
    expect(page.get_by_role("combobox", name="Sidekick", exact=True)).to_have_value(re.compile(f"^{re.escape(name)} · "))


def heading(page):
    return page.locator("h1")


def click_sidekick(page, name):
    """Click the duo's point of a sidekick, and wait for the address."""
    click_point(page, "sidekicks", "Duo", f"t.customdata.indexOf({name!r})")
    page.wait_for_url(re.compile(f"sidekick={re.escape(name)}"))


def journey(page, pages, name):
    """Click a sidekick's point; the pair and the address follow, and the address opens the same view elsewhere."""
    click_sidekick(page, name)
    settle(page)
    chosen(page, name)
    elsewhere = pages(page.url.removeprefix(pages.server))
    chosen(elsewhere, name)
    expect(heading(elsewhere)).to_have_text(heading(page).inner_text())
    assert elsewhere.url == page.url


def test_a_click_on_a_point_loads_the_pair_and_its_link_opens_it(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=middle")
    expect(heading(page)).to_have_text(re.compile("^25 % more compute"))
    journey(page, toy, "tiny")
    expect(heading(page)).to_have_text(re.compile(r"^5\.0 % more compute"))


def test_a_second_click_keeps_the_pair_and_back_returns_to_the_one_before(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=small")
    for _ in range(2):
        click_sidekick(page, "tiny")
        settle(page)
    chosen(page, "tiny")
    page.go_back(wait_until="commit")
    page.wait_for_url(re.compile("sidekick=small"))
    expect(heading(page)).to_have_text(re.compile("^10 %"))
    chosen(page, "small")


def test_a_double_click_keeps_what_the_first_did(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=small")
    click_point(page, "sidekicks", "Duo", "t.customdata.indexOf('tiny')")
    page.mouse.down()  # the browser has not drawn the answer yet
    page.mouse.up()
    settle(page)
    chosen(page, "tiny")
    expect(heading(page)).to_have_text(re.compile(r"^5\.0 % more compute"))
    expect(page).to_have_url(re.compile("sidekick=tiny"))


def test_a_click_on_a_curve_sets_the_coverage(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=middle")
    click_point(page, "risk_coverage", "Duo", "Math.round(t.x.length * 0.6)")
    page.wait_for_url(re.compile(r"coverage=\d+"))
    coverage = re.search(r"coverage=(\d+)", page.url).group(1)
    page.get_by_text(f"Keep {coverage} %:").wait_for()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_those_of_their_meaning_in_both_themes(toy, dark):
    from duo_core.figures.screen import DARK, LIGHT

    page = toy("/?set=toy", dark=dark)
    drawn = chart(page, "risk_coverage").evaluate("plot => Object.fromEntries(plot._fullData.map(t => [t.name, t.line.color]))")
    palette = DARK if dark else LIGHT
    names = {"Base": "base", "Sidekick": "sidekick", "Duo": "duo", "Unweighted": "unweighted", "UQ only": "uq_only"}
    assert {name: drawn[name] for name in names} == {name: palette[key] for name, key in names.items()}


def test_the_console_stays_clean(toy):
    page = toy("/?set=toy")
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.reload()
    settle(page)
    click_sidekick(page, "tiny")
    settle(page)
    assert said == []


def test_the_shipped_set_opens_and_a_click_moves_through_it(page, browser, server):
    shipped = Store(DEFAULT_STORE).names()
    if not shipped:
        pytest.skip(f"no logit set in {DEFAULT_STORE}")
    first = page("/")
    shown_now = first.get_by_role("combobox", name="Sidekick", exact=True).input_value().split(" · ")[0]
    names = chart(first, "sidekicks").evaluate("plot => Array.from(plot._fullData.find(t => t.name === 'Duo').customdata)")
    # The cheapest is at an end of the axis, where no other point lies over it.
    journey(first, page, next(name for name in reversed(names) if name != shown_now))
