"""Every page under axe-core in a real browser, in light and dark, and by keyboard alone."""

import hashlib
import importlib
import itertools
import re
from pathlib import Path

import pytest
from browsing import PAGES, SECONDS, opened_pages, settle
from playwright.sync_api import expect

from duo_core.teaching.steps import STEPS

pytestmark = pytest.mark.browser

expect.set_options(timeout=SECONDS * 1000)

VENDOR = Path(__file__).with_name("vendor")
AXE = VENDOR / "axe.min.js"
THEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 20, 26)"}
"""Backgrounds of `.streamlit/config.toml`."""
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""Rules that ask for colours; what the others find is the same in any."""
TITLES = {name: importlib.import_module(f"app.views.{name}").TITLE for name in PAGES}


def opened(page, name, **options):
    """A page that has been drawn, its charts too."""
    shown = page("/" if name == "explore" else f"/{name}", **options)
    expect(shown.locator("h1")).to_have_count(1)
    settle(shown)
    return shown


def in_either_colours(page):
    """What axe-core finds in the colours that an open page has, then in the others, to which it turns as the system does."""
    found = []
    first = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    for theme in (first, *(THEMES.keys() - {first})):
        page.emulate_media(color_scheme=theme)
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", THEMES[theme])
        settle(page)
        found += [f"{theme}: {line}" for line in violations(page, *([] if theme == first else OF_COLOURS))]
    return found


def violations(page, *rules):
    """What axe-core finds serious or critical, by these rules or all, as lines: rule, where, why."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    only = {"runOnly": list(rules)} if rules else {}
    found = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **only})["violations"]
    grave = [each for each in found if each["impact"] in {"serious", "critical"}]
    return [
        f"{each['id']}: {node['html'][:200]} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for each in grave
        for node in each["nodes"]
    ]


def skipped(page):
    """Headings that lie more than one level below the one before, the first of which is the page's title."""
    read = "found => found.filter(e => e.checkVisibility()).map(e => [Number(e.tagName[1]), e.innerText])"
    headings = page.get_by_test_id("stMain").locator("h1, h2, h3, h4, h5, h6").evaluate_all(read)
    return [title for (before, _), (level, title) in itertools.pairwise([[0, ""], *headings]) if level > before + 1]


def test_axe_is_the_one_that_the_licence_lies_beside():
    digest = hashlib.sha256(AXE.read_bytes()).hexdigest()
    assert digest in (VENDOR / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def walk(browser, server):
    """One page that walks through the dashboard."""
    with opened_pages(browser, server) as pages:
        yield opened(pages, "explore")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_serious_violation(walk, name):
    walk.get_by_role("link", name=TITLES[name], exact=True).first.click()
    walk.wait_for_url(re.compile("/(\\?|$)" if name == "explore" else f"/{name}(\\?|$)"))
    settle(walk)
    expect(walk.locator("h1")).to_have_count(1)
    assert in_either_colours(walk) == []
    assert skipped(walk) == []
    # Their text, which axe-core passes over, is white on the theme's colour: in the dark a contrast of 2.9.
    assert walk.locator("button[kind=primary]").count() == 0


def test_no_step_of_the_course_has_a_serious_violation_with_its_answer_and_terms_open(page):
    shown = opened(page, "learn")
    for place, step in enumerate(STEPS, 1):
        expect(shown.locator("h1")).to_have_text(step.title)
        settle(shown)
        shown.locator(f".st-key-guess_{step.key}").get_by_text(step.question.options[place % 3]).click()  # some wrong, some right
        expect(shown.get_by_test_id("stAlert")).to_be_visible()
        shown.locator("details").first.locator("summary").click()
        settle(shown)
        assert in_either_colours(shown) == [], step.key
        if place < len(STEPS):
            shown.get_by_role("button", name="Next").click()


def test_axe_finds_what_is_wrong(page):
    shown = opened(page, "method")
    shown.evaluate('document.querySelector(\'h1\').innerHTML = \'<img src="data:,"><a style="color: #ccc" href="#">pale</a>\'')
    assert {line.split(":")[0] for line in violations(shown)} == {"image-alt", "color-contrast"}


def focused(page):
    """What the keyboard is on: the widget's label, or its text."""
    return page.evaluate("(e => e.getAttribute('aria-label') || e.innerText)(document.activeElement)")


def tab_to(page, label):
    """Press Tab until the keyboard is on what is wanted; what it was on before, in order."""
    passed = []
    while len(passed) < 60:
        page.keyboard.press("Tab")
        if focused(page) == label:
            return passed
        passed.append(focused(page))
    raise AssertionError(f"Tab never came to {label!r}; it came to {passed}")


def test_the_keyboard_alone_chooses_a_pair_and_goes_to_another_page(page):
    shown = opened(page, "explore")
    passed = tab_to(shown, "Sidekick")
    assert passed[0] == "Skip to main content"
    # The sidebar may stand before or after the navigation, as the browser has drawn them.
    fields = ["Logit set", "Evaluation split", "Base"]
    assert [label for label in passed if label in fields] == fields
    field = shown.get_by_role("combobox", name="Sidekick", exact=True)
    before = field.input_value()
    shown.keyboard.press("ArrowDown")
    expect(shown.get_by_role("option").first).to_be_visible()
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("Enter")
    expect(field).not_to_have_value(before)
    shown.wait_for_url(re.compile("sidekick="))
    settle(shown)
    sidekick = field.input_value()
    tab_to(shown, "Temperatures")
    shown.keyboard.press("Enter")
    shown.wait_for_url(re.compile(f"/temperatures.*sidekick={sidekick.split(' · ')[0]}"))
    expect(field).to_have_value(sidekick)


def test_the_keyboard_alone_moves_switches_and_sliders(page):
    shown = opened(page, "explore")
    tab_to(shown, "1 − max softmax")
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("Space")
    shown.wait_for_url(re.compile("uncertainty=entropy"))
    settle(shown)
    tab_to(shown, "Coverage: keep the surest (or click the chart)")
    shown.keyboard.press("ArrowLeft")
    shown.wait_for_url(re.compile("coverage=79"))
    shown.get_by_text("Of the surest 79 %,").wait_for()
    settle(shown)
    shown.go_back(wait_until="commit")
    shown.get_by_text("Of the surest 80 %,").wait_for()  # a slider's own rerun must not hide that the address went back


def test_the_keyboard_goes_to_the_content_without_walking_through_the_sidebar(page):
    shown = opened(page, "explore")
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    tab_to(shown, "Coverage: keep the surest (or click the chart)")
    assert "Base" not in tab_to(shown, "T_base · " + shown.get_by_role("combobox", name="Base").input_value().split(" · ")[0])
