"""The dashboard in a real browser, served by the real server: what only a browser shows."""

import functools
import re
import time

import pytest
from browsing import SECONDS, chart, click_point, opened_pages, settle
from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from duo_core.logits.store import DEFAULT_STORE, Store

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
    elsewhere = pages.elsewhere(page.url.removeprefix(pages.server))
    chosen(elsewhere, name)
    expect(heading(elsewhere)).to_have_text(heading(page).inner_text())
    expect(elsewhere).to_have_url(page.url)


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


class Stream:
    """What goes between a page and its server; what the server says can be held back until it is let go."""

    def __init__(self, page):
        self.page, self.asked, self.held, self.holding = page, 0, [], False
        page.route_web_socket(re.compile("/_stcore/stream"), self.join)

    def join(self, browser):
        self.browser, server = browser, browser.connect_to_server()
        browser.on_message(functools.partial(self.ask, server))
        server.on_message(self.say)

    def ask(self, server, message):
        self.asked += BackMsg.FromString(message).WhichOneof("type") == "rerun_script"
        server.send(message)

    def say(self, message):
        self.held.append(message)
        if not self.holding:
            self.let_go()

    def let_go(self):
        self.holding = False
        while self.held:
            self.browser.send(self.held.pop(0))

    def answered(self):
        return any(ForwardMsg.FromString(message).WhichOneof("type") == "script_finished" for message in self.held)

    def until(self, true):
        """Wait from outside: the browser does not know what is held back."""
        end = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < end
            self.page.wait_for_timeout(20)


def test_a_click_before_the_browser_has_heard_keeps_what_the_first_did(toy):
    page = toy.empty()
    stream = Stream(page)
    page.goto(toy.server + "/?set=toy&split=test&base=large&sidekick=small")
    chart(page, "sidekicks")
    stream.holding, stream.asked = True, 0
    click_point(page, "sidekicks", "Duo", "t.customdata.indexOf('tiny')")
    stream.until(stream.answered)
    expect(page).to_have_url(re.compile("sidekick=small"))
    page.mouse.down()
    page.mouse.up()
    stream.until(lambda: stream.asked > 1)
    stream.let_go()
    settle(page)
    chosen(page, "tiny")
    expect(heading(page)).to_have_text(re.compile(r"^5\.0 % more compute"))
    expect(page).to_have_url(re.compile("sidekick=tiny"))


def test_a_click_on_a_curve_sets_the_coverage(toy):
    page = toy("/?set=toy&split=test&base=large&sidekick=middle")
    click_point(page, "risk_coverage", "Coverage", "t.x.length - 10")
    page.wait_for_url(re.compile(r"coverage=\d+"))
    coverage = re.search(r"coverage=(\d+)", page.url).group(1)
    page.get_by_text(f"Of the surest {coverage} %,").wait_for()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_those_of_their_meaning_in_both_themes(toy, dark):
    from duo_core.figures.screen import DARK, LIGHT

    page = toy("/?set=toy", dark=dark)
    lines = "plot => Object.fromEntries(plot._fullData.filter(t => t.line).map(t => [t.name, t.line.color]))"
    drawn = chart(page, "risk_coverage").evaluate(lines)
    palette = DARK if dark else LIGHT
    names = {"Base": "base", "Sidekick": "sidekick", "Duo": "duo", "Unweighted": "unweighted", "UQ only": "uq_only"}
    assert {name: drawn[name] for name in names} == {name: palette[key] for name, key in names.items()}


WRONG = {
    "console": "console.error('no')",
    "pageerror": "setTimeout(() => { throw new Error('no') })",
    "requestfailed": "fetch('http://outside.example/', {mode: 'no-cors'}).catch(() => 0)",
}


@pytest.mark.parametrize("event", WRONG)
def test_a_page_that_complains_or_asks_another_machine_fails_its_test(browser, event):
    with pytest.raises(AssertionError), opened_pages(browser, "", apart=True) as pages:
        page = pages.empty()
        with page.expect_event(event):
            page.evaluate(WRONG[event])


def test_the_shipped_set_opens_and_a_click_moves_through_it(page):
    shipped = Store(DEFAULT_STORE).names()
    if not shipped:
        pytest.skip(f"no logit set in {DEFAULT_STORE}")
    first = page("/")
    shown_now = first.get_by_role("combobox", name="Sidekick", exact=True).input_value().split(" · ")[0]
    names = chart(first, "sidekicks").evaluate("plot => Array.from(plot._fullData.find(t => t.name === 'Duo').customdata)")
    # The cheapest is at an end of the axis, where no other point lies over it.
    journey(first, page, next(name for name in reversed(names) if name != shown_now))
