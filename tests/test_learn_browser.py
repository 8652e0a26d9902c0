"""The course in a real browser: all steps by keyboard alone, what each control moves on its chart, and what fits a screen."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import browsing
import pytest
from browsing import SECONDS, click_at, settle
from effort import tried
from playwright.sync_api import Page, expect

from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.teaching.steps import REAL_SET, STEPS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(REAL_SET not in Store(DEFAULT_STORE).names(), reason=f"no set {REAL_SET} in {DEFAULT_STORE}"),
]

expect.set_options(timeout=SECONDS * 1000)

PLOT = "document.querySelector(`.st-key-chart_${chart} .js-plotly-plot`)"
TRACE = f"""const plot = {PLOT}, trace = plot && plot._fullData && plot._fullData.find(t => t.name === name);
            if (!trace) return null; const x = Array.from(trace.x), y = Array.from(trace.y);"""
LOOKS = {"light": (1280, 720, False), "narrow": (390, 844, False), "narrow dark": (390, 844, True)}
KEYS = [step.key for step in STEPS]
LEADING = {step.explore["page"]: step.key for step in STEPS}.values()
"""A step for each page that steps lead to."""


def trace(page: Page, chart: str, name: str) -> tuple[list[float], list[float]]:
    """The x and y of a chart's trace, once it is there."""
    until(page, chart, name, "true")
    return tuple(page.evaluate(f"([chart, name]) => {{ {TRACE} return [x, y]; }}", [chart, name]))


def until(page: Page, chart: str, name: str, condition: str, value: float | None = None) -> None:
    """Wait until a trace's `x` and `y`, its `plot` and a given `value` fulfil a condition."""
    page.wait_for_function(f"([chart, name, value]) => {{ {TRACE} return {condition}; }}", arg=[chart, name, value])


def tab_to(page: Page, key: str) -> None:
    """Press Tab until the keyboard is in the element of that key."""
    page.locator(f".st-key-{key}").first.wait_for()
    for _ in range(90):
        if page.evaluate(f"!!document.activeElement.closest('.st-key-{key}') && !document.activeElement.disabled"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never came to {key!r}")


def move(page: Page, key: str, *keys: str) -> None:
    """Press keys on the control of that key."""
    tab_to(page, key)
    for each in keys:
        page.keyboard.press(each)
    settle(page)


def confidence(page: Page) -> None:
    move(page, "sure", "End")
    until(page, "dots", "This image", "x[0] > 95 && plot._fullLayout.shapes[0].x0 === 95")
    move(page, "sure", "Home")
    until(page, "dots", "This image", "x[0] < 60 && plot._fullLayout.shapes[0].x1 === 40")


def temperature(page: Page) -> None:
    _, (first,) = trace(page, "nll", "Now")
    points = trace(page, "reliability", "Temperature 1.00")
    accuracy = page.get_by_text(re.compile("accuracy .* %")).inner_text().split("accuracy ")[1]
    move(page, "temperature", "Home")
    until(page, "nll", "Now", "x[0] === 0.1 && y[0] > value", first)
    assert trace(page, "reliability", "Temperature 0.10") != points
    move(page, "fit_base", "Enter")
    until(page, "nll", "Now", "x[0] > 0.1 && y[0] < value", first)
    expect(page.get_by_text(re.compile("accuracy .* %"))).to_contain_text(f"accuracy {accuracy}")


def abstain(page: Page) -> None:
    _, (first,) = trace(page, "abstaining", "Now")
    move(page, "keep", "ArrowLeft")
    until(page, "abstaining", "Now", "x[0] === 99")
    move(page, "keep", "Home")
    until(page, "abstaining", "Now", "x[0] === 1 && y[0] < value / 4", first)


def ensemble(page: Page) -> None:
    _, (first,) = trace(page, "averages", "Now")
    move(page, "overlap", "End")
    until(page, "averages", "Now", "y[0] < value - 2", first)


def trap(page: Page) -> None:
    until(page, "averages", "Now", "y[0] > plot._fullLayout.shapes[0].y0")
    move(page, "skill", "Home")
    until(page, "averages", "Now", "y[0] < plot._fullLayout.shapes[0].y0")


def weights(page: Page) -> None:
    walked = "Newton steps, now"
    fit = page.locator(".st-key-newton_step button")
    move(page, "slide_base", "Home")
    until(page, "newton", walked, "x.length === 1 && x[0] === 0")
    tab_to(page, "second")
    page.keyboard.type("nothing")
    expect(page.get_by_role("option")).to_have_text(["A sidekick that says nothing"])
    move(page, "second", "ArrowDown", "Enter")
    expect(page.get_by_role("combobox", name="The second model")).to_have_value("A sidekick that says nothing")
    for step in range(1, 12):
        move(page, "newton_step", "Enter")
        until(page, "newton", walked, "x.length === value", step + 1)
        if fit.is_disabled():
            break
    (base,), (sidekick,) = trace(page, "newton", "Duo, fitted")
    assert sidekick < 0.1 * base
    until(page, "newton", walked, "Math.abs(y.at(-1) - value) < 1e-3", sidekick)


def ranking(page: Page) -> None:
    trace(page, "reranked", "UQ only")
    move(page, "ranks", "ArrowRight", "Space")
    trace(page, "reranked", "Duo")
    until(page, "reranked", "Base", "plot._fullData.every(t => t.name !== 'UQ only')")


def budget(page: Page) -> None:
    within, _ = trace(page, "offers", "Within the budget")
    assert max(within) <= 20
    move(page, "spend", "End")
    until(page, "offers", "Within the budget", "x.length > value && Math.max(...x) <= 50 && Math.max(...x) > 20", len(within))


def several(page: Page) -> None:
    three = "x.findIndex(cost => Math.abs(cost - 1) < 1e-6)"
    move(page, "resemblance", "Home")
    until(page, "teams", "Teams of small ones", f"y[{three}] > plot._fullLayout.shapes[0].y0")
    move(page, "resemblance", "End")
    until(page, "teams", "Teams of small ones", f"y[{three}] < plot._fullLayout.shapes[0].y0")


def different(page: Page) -> None:
    within, _ = trace(page, "different", "Within the gap")
    move(page, "gap", "Home", *["ArrowRight"] * 4)  # five points apart at most
    until(page, "different", "Within the gap", "x.length > 0 && x.length < value / 4", len(within))
    until(page, "different", "Further apart", "x.length > 0")


@dataclass(frozen=True)
class Control:
    """What stands in one view, and what moving it does."""

    keys: tuple[str, ...]
    charts: tuple[str, ...]
    moved: Callable[[Page], None]


CONTROLS = {
    "confidence": Control(("sure",), ("dots", "softmax"), confidence),
    "temperature": Control(("temperature", "fit_base"), ("reliability", "nll"), temperature),
    "abstain": Control(("keep",), ("abstaining",), abstain),
    "ensemble": Control(("overlap",), ("averages",), ensemble),
    "trap": Control(("skill",), ("averages",), trap),
    "weights": Control(("second", "newton_step", "slide_base", "slide_sidekick"), ("newton",), weights),
    "ranking": Control(("ranks",), ("reranked",), ranking),
    "budget": Control(("spend",), ("offers",), budget),
    "several": Control(("resemblance",), ("teams",), several),
    "different": Control(("gap",), ("different",), different),
}


def drawn(page: Page, control: Control) -> None:
    for chart in control.charts:
        page.locator(f".st-key-chart_{chart} .js-plotly-plot .main-svg").first.wait_for()
    settle(page)


def fits(page: Page, control: Control) -> None:
    """The control, the title and the whole chart lie in the window as it opens."""
    size = page.viewport_size
    for each in ("h1", *(f".st-key-{key}" for key in (*control.keys, *(f"chart_{chart}" for chart in control.charts)))):
        box = page.locator(each).first.bounding_box()
        assert box["y"] >= 0, each
        assert box["y"] + box["height"] <= size["height"], each


def answered(page: Page, step) -> None:
    """Guess by keyboard: first wrong, then right."""
    asked, options = step.question, page.locator(f".st-key-guess_{step.key}").get_by_role("radio")
    tab_to(page, f"guess_{step.key}")
    page.keyboard.press("Space")
    expect(page.get_by_test_id("stAlert")).to_be_visible()
    settle(page)
    here = next(place for place in range(len(asked.options)) if options.nth(place).is_checked())
    for place in range(here + 1, here + 1 + (asked.right - here) % len(asked.options)):
        page.keyboard.press("ArrowDown")
        expect(options.nth(place % len(asked.options))).to_be_checked()
    expect(page.get_by_test_id("stAlert")).to_contain_text("Right.")


@pytest.mark.parametrize("look", ["light", "narrow dark"][: tried(1, 2)])  # each width and each theme once
def test_the_keyboard_alone_walks_through_the_course(page, look):
    width, height, dark = LOOKS[look]
    shown = page("/learn", width=width, height=height, dark=dark)
    for place, step in enumerate(STEPS, 1):
        expect(shown.locator("h1")).to_have_text(step.title)
        control = CONTROLS[step.key]
        drawn(shown, control)
        if width == 1280:
            shown.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
            fits(shown, control)
        for across in (LOOKS["narrow"][0], width):
            shown.set_viewport_size({"width": across, "height": height})
            shown.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        control.moved(shown)
        expect(shown.locator("h1")).to_have_text(step.title)  # the arrows were the control's
        answered(shown, step)
        if place < len(STEPS):
            tab_to(shown, "next")
            shown.keyboard.press("ArrowRight")
            shown.wait_for_url(re.compile(f"step={place + 1}"))
    tab_to(shown, "back")
    shown.keyboard.press("ArrowLeft")
    expect(shown.locator("h1")).to_have_text(STEPS[-2].title)


def test_a_link_of_the_text_opens_its_term(page):
    shown = page("/learn?step=3", width=1280, height=800)
    term = shown.locator("details").filter(has=shown.locator("#aurc"))
    expect(term).not_to_have_attribute("open", "")
    shown.locator("a[href='#aurc']").first.focus()
    shown.keyboard.press("Enter")
    expect(term.get_by_text(re.compile("Area under the risk-coverage curve"))).to_be_visible()
    expect(shown.locator("h1")).to_have_text(STEPS[2].title)


def test_embedded_the_lesson_stands_alone(page):
    shown = page("/learn?step=3&embed=true&answers=hidden&seed=4", width=1280, height=720)
    drawn(shown, CONTROLS["abstain"])
    fits(shown, CONTROLS["abstain"])
    for gone in ("stTopNavLink", "stSidebar", "stPopover", "stPageLink"):
        expect(shown.get_by_test_id(gone).locator("visible=true")).to_have_count(0)
    expect(shown.get_by_role("radio", name=STEPS[2].question.options[0])).to_have_count(0)
    shown.keyboard.press("ArrowRight")
    expect(shown.locator("h1")).to_have_text(STEPS[3].title)
    expect(shown).to_have_url(re.compile("(?=.*embed=true)(?=.*answers=hidden)"))


def test_a_classroom_link_opens_the_same_lesson_elsewhere(page):
    shown = page("/learn?step=5&seed=31", width=1280, height=800)
    now = trace(shown, "averages", "Now")
    shown.get_by_role("button", name="For a class").click()
    address = shown.get_by_test_id("stCode").first.inner_text().strip()
    assert address.startswith(page.server)
    other = page(address.removeprefix(page.server))
    assert trace(other, "averages", "Now") == now
    expect(other.locator("h1")).to_have_text(STEPS[4].title)


def click(page: Page, chart: str, name: str, place: int) -> tuple[float, float]:
    """Click a point of a trace as a hand does; its x and y."""
    xs, ys = trace(page, chart, name)
    click_at(page, browsing.chart(page, chart), xs[place], ys[place])
    return xs[place], ys[place]


def test_a_click_on_a_dot_shows_its_image(page):
    shown = page("/learn", width=1280, height=800)
    drawn(shown, CONTROLS["confidence"])
    xs, _ = trace(shown, "dots", "Wrong")
    x, _ = click(shown, "dots", "Wrong", xs.index(min(xs)))
    until(shown, "dots", "This image", "Math.abs(x[0] - value) < 1e-6", x)
    expect(shown.get_by_text(re.compile(f"Ringed: .*{x:.1f} % sure.*wrong"))).to_be_visible()


def test_a_click_on_a_pair_offers_the_way_to_it(page):
    shown = page("/learn?step=8", width=1280, height=800)
    drawn(shown, CONTROLS["budget"])
    xs, _ = trace(shown, "offers", "More expensive")
    x, _ = click(shown, "offers", "More expensive", xs.index(max(xs)))
    until(shown, "offers", "This pair", "Math.abs(x[0] - value) < 1e-6", x)
    shown.wait_for_url(re.compile("pair="))
    settle(shown)
    way = shown.get_by_role("link", name=re.compile("^Open .* in Explore"))
    base = re.search(r"Open (\S+) \+", way.inner_text())[1]
    way.click()
    shown.wait_for_url(re.compile(f"base={base}"))
    expect(shown.get_by_role("combobox", name="Base", exact=True)).to_have_value(re.compile(f"^{base} "))


@pytest.mark.parametrize("place", [KEYS.index(key) for key in LEADING])
def test_a_step_leads_to_the_same_situation_among_the_pages(page, place):
    step = STEPS[place]
    shown = page(f"/learn?step={place + 1}", width=1280, height=800)
    shown.get_by_role("link", name=re.compile("^The same with real models")).click()
    shown.wait_for_url(re.compile(f"sidekick={step.explore['sidekick']}"))
    for name in ("base", "sidekick"):
        field = shown.get_by_role("combobox", name=name.capitalize(), exact=True)
        expect(field).to_have_value(re.compile(f"^{step.explore[name]} "))


@pytest.mark.parametrize("look", ["light", "narrow"])
def test_the_question_stands_beside_the_chart_or_follows_it(page, look):
    width, height, dark = LOOKS[look]
    shown = page("/learn?step=3", width=width, height=height, dark=dark)
    drawn(shown, CONTROLS["abstain"])
    shown.get_by_text("The curve as numbers").click()  # a longer lesson does not push the question away from the text
    settle(shown)
    tried, chart, question, term = (
        shown.locator(each).first.bounding_box()
        for each in ("p:has-text('Try it.')", ".st-key-chart_abstaining", ".st-key-guess_abstain", ".st-key-terms")
    )
    assert question["y"] < term["y"]
    if look == "narrow":
        assert tried["y"] < chart["y"]
        assert chart["y"] + chart["height"] <= question["y"]
    else:
        assert question["x"] + question["width"] <= chart["x"]
        assert 0 <= question["y"] - tried["y"] - tried["height"] < 50
