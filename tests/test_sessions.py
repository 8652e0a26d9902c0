"""Clicks that come while an answer is made, on the real server, by Streamlit's own protocol: none is taken back."""

import asyncio
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import websockets
from browsing import streamlit_server

from benchmarks.wire import Browser
from duo_core.metrics import METRICS

PAIR = {"set": "toy", "split": "test", "base": "large", "sidekick": "small"}


@pytest.fixture(scope="module")
def late_server(toy_store, tmp_path_factory):
    """Address of the dashboard where every run is put aside for a while before it sets what it was about to set."""
    log = tmp_path_factory.mktemp("late") / "streamlit.log"
    with streamlit_server(Path(__file__).with_name("late_main.py"), log, DUO_STORE=str(toy_store)) as address:
        yield address


@asynccontextmanager
async def session(server, **query):
    address = f"{server.replace('http', 'ws')}/_stcore/stream"
    protocol = websockets.Subprotocol("streamlit")
    async with websockets.connect(address, subprotocols=[protocol], max_size=None, ping_interval=None) as stream:
        browser = Browser(stream)
        await browser.follow("explore", **PAIR | query)
        yield browser


def test_no_other_test_has_its_runs_put_aside():
    assert "late_main" not in sys.modules


def say(browser, key, value):
    """Move a widget without asking for an answer yet."""
    proto = browser.widget(key)
    browser.values[proto.id] = (browser.values[proto.id][0], value)


def model(browser, key, name):
    return next(option for option in browser.widget(key).options if option.split(" · ")[0] == name)


def shown(browser):
    return [browser.value(key).split(" · ")[0] for key in ("base", "sidekick", "metric")]


LABELS = {key: metric.label for key, metric in METRICS.items()}


async def hurried(server, first, key, value):
    """A click or a link, and a second click while its answer is made; what is shown then and later, and the address."""
    async with session(server, late=key) as browser:
        if "metric" in first:
            await browser.follow("explore", wait=False, **PAIR, **first, late=key)
        else:
            say(browser, "metric", LABELS["sac98"])
            await browser.send(wait=False)
        await asyncio.sleep(1.1)  # the run is about to set that key
        say(browser, key, LABELS[value] if key == "metric" else model(browser, key, value))
        await browser.send(wait=False)
        await browser.quiet()
        at_once = shown(browser)
        await browser.set("coverage", [50.0])  # nor does it come back with the next answer
        return at_once, shown(browser), browser.address


@pytest.mark.parametrize(
    ("first", "key", "value", "end"),
    [
        ({}, "sidekick", "tiny", ("large", "tiny", "sac98")),
        ({}, "base", "middle", ("middle", "small", "sac98")),
        ({"metric": "nll"}, "metric", "sac98", ("large", "small", "sac98")),
    ],
)
def test_a_click_stands_however_late_the_run_before_it_is(late_server, first, key, value, end):
    at_once, later, address = asyncio.run(hurried(late_server, first, key, value))
    assert at_once == later == [*end[:2], LABELS[end[2]]]
    assert f"base={end[0]}&sidekick={end[1]}&metric={end[2]}" in address


def test_a_click_stands_that_comes_when_what_a_page_was_drawn_without_is_there(late_server):
    """The run is put aside before it asks for the second one, which has what the first went without."""

    async def clicked():
        async with session(late_server) as browser:
            await browser.follow("find", **PAIR, late="waited")
            say(browser, "base", model(browser, "base", "middle"))
            await browser.send(wait=False)
            with suppress(TimeoutError):
                async with asyncio.timeout(1.6):
                    await browser.quiet()
            say(browser, "metric", LABELS["nll"])
            await browser.send(wait=False)
            await browser.quiet()
            said = " ".join(text.body for text in browser.of("markdown"))
            return shown(browser), browser.address, said

    models, address, said = asyncio.run(clicked())
    assert models == ["middle", "small", LABELS["nll"]]
    assert "base=middle&sidekick=small&metric=nll" in address
    assert "With up to 15 % more compute" in said
    assert "Weighing what could" not in said


async def told(server, act):
    """Keys of those widgets that the answer to an action sets in the browser, and of all that the browser had before."""
    async with session(server) as browser:
        before = {key for key, proto in browser.widgets() if hasattr(proto, "set_value")}
        await act(browser)
        return {key for key, proto in browser.widgets() if key in before and proto.set_value}, before


def moved(key, value):
    async def act(browser):
        await browser.set(key, value)

    return act


@pytest.mark.parametrize(
    "act",
    [moved("metric", LABELS["nll"]), moved("uncertainty", ["Entropy"]), moved("split", "shift"), lambda b: b.press("swap")],
    ids=["metric", "uncertainty", "split", "swap"],
)
def test_an_answer_does_not_set_what_the_browser_says_itself(toy_server, act):
    """On its way it would take back a click that is made before it arrives."""
    own, before = asyncio.run(told(toy_server, act))
    # What the two models are called has their numbers in it; which preset the pair is follows from it.
    assert own <= {"base", "sidekick", "preset"}
    assert before >= {"metric", "uncertainty", "split", "set", "coverage", "target", "confidence"}
    assert len([key for key in before if key.startswith("temperature_")]) == 2


def test_what_a_link_says_is_set(toy_server):
    said = {"metric": "nll", "coverage": "63", "target": "5", "uncertainty": "entropy"}
    own, _ = asyncio.run(told(toy_server, lambda browser: browser.follow("explore", **PAIR, **said)))
    assert own >= set(said)


def test_what_is_not_drawn_for_a_while_is_set_when_it_is_drawn_again(toy_server):
    async def there_and_back():
        async with session(toy_server) as browser:
            await browser.open("diagnose")
            await browser.set("histogram", ["Right images"])
            for part in ("Which images change rank?", "Which classes gain?", "Does confidence match accuracy?"):
                await browser.set("part", [part])
            again = browser.value("histogram")
            await browser.open("explore")
            await browser.set("metric", LABELS["nll"])
            await browser.set("coverage", [33.0])
            await browser.open("diagnose")
            elsewhere = browser.value("histogram"), browser.value("metric")
            await browser.open("explore")
            return again, elsewhere, (browser.value("metric"), browser.value("coverage"))

    again, elsewhere, back = asyncio.run(there_and_back())
    assert again == ["Right images"]
    assert elsewhere == (["Right images"], "NLL")
    assert back == ("NLL", [33.0])
