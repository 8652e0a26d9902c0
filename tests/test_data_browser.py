"""Your data on the real server: every format, two sessions, no byte on disk, and memory that returns."""

import asyncio
import contextlib
import io
import json
import re
import resource
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import websockets
from browsing import free_port, opened_pages, serving, settle
from effort import tried
from logit_files import FORMATS, arrays, npz
from logit_sets import write_set
from playwright.sync_api import expect

from app.state.caches import OWN
from app.views.explore import CARDS
from benchmarks.wire import Browser
from duo_core.formats import WRITTEN

pytestmark = pytest.mark.browser

MEGABYTE = 1 << 20
LARGEST_FILE = MEGABYTE
"""The server may write no file beyond this; a larger upload fails if any of it goes to disk."""
LARGE = {"n": 20_000, "k": 500}
"""Two models of 40 MB each as float32."""
TURNS = tried(2, 8)
HELD = 40 * MEGABYTE
"""What has to come back at least of the two models' 80 MB, turn by turn: the rest may be the allocator's own."""
SECONDS = 120
HEADLINES = {".npz": "^9.5 % more compute", ".csv": "^Cost unknown"}
"""What Explore says of templates: one that says what its models cost, and one that cannot."""
SEVERAL = next(name for name, files in FORMATS.items() if len(files(arrays())) > 1)
"""A format of several files."""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Where the server writes what it has to complain of."""
    return tmp_path_factory.mktemp("log") / "streamlit.log"


@pytest.fixture(scope="module")
def server(tmp_path_factory, log):
    """The dashboard on one small set, unable to write large files; its address and its process."""
    store = write_set(tmp_path_factory.mktemp("store"))
    port = free_port()
    # In one heap what the server holds shows to some megabytes; between those of several threads lies what is free.
    own = {"DUO_STORE": str(store), "STREAMLIT_SERVER_HEADLESS": "true", "MALLOC_ARENA_MAX": "1"}
    with serving(["duo_core", "app", "--port", str(port)], port, log, own) as address:
        process = process_of(address)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        yield address, process


def process_of(address):
    port = address.rpartition(":")[2].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a process that has ended meanwhile
            if port in (folder / "cmdline").read_bytes().split(b"\0"):
                return int(folder.name)
    raise RuntimeError("the server has no process")


@pytest.fixture
def opened(browser, server):
    with opened_pages(browser, server[0]) as pages:
        yield pages


@pytest.fixture
def run():
    """Runs coroutines in a thread of its own: in this one Playwright's loop is running."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(SECONDS)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def resident(process):
    """Bytes of memory that a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1]) * 1024


def falls_to(process, size, seconds=SECONDS):
    """Wait until the process holds no more than that, or for so long; return what it holds."""
    end = time.monotonic() + seconds
    while (now := resident(process)) > size and time.monotonic() < end:
        time.sleep(0.2)
    return now


def returns(process, turn):
    """Check that what a turn brings in is given back when it ends, and that turns do not add up.

    A turn returns what ends it. Before the first one the server has neither imported nor compiled all that it needs. The system's
    allocator may hold on to the room of one turn for the next, so it is the turns together that are judged.
    """
    held, left = [], []
    for _ in range(TURNS):
        end = turn()
        held.append(resident(process))
        end()
        left.append(falls_to(process, held[-1] - HELD, seconds=10))
    most = left[0] + (TURNS - 1) * HELD
    left[-1] = falls_to(process, most)
    seen = ", ".join(f"{one / MEGABYTE:.0f} and {other / MEGABYTE:.0f}" for one, other in zip(held, left, strict=True))
    assert max(one - other for one, other in zip(held, left, strict=True)) > HELD, f"MB with and without the set: {seen}"
    assert left[-1] <= most, f"turns add up, MB with and without the set: {seen}"


def drop(page, files):
    """Drop files and wait until they were read."""
    page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(files)
    page.locator("[class*=st-key-remove_]").first.wait_for()
    settle(page)


def payload(files):
    return [{"name": file.name, "mimeType": "application/octet-stream", "buffer": file.content} for file in files]


def use(page):
    page.locator(".st-key-use_upload button").click()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()  # which come after the cards
    settle(page)


def go(page, name):
    page.get_by_role("link", name=name, exact=True).first.click()
    settle(page)


def forget(page):
    """Go back to where files are dropped, and let go of them."""
    go(page, "Your data")
    page.get_by_role("button", name="Forget").click()
    expect(page.get_by_text("Your logits are in use")).to_have_count(0)
    settle(page)


def offers(page, names):
    """Check which sets the sidebar offers."""
    page.locator(".st-key-set [role=combobox], .st-key-set input").first.click()
    expect(page.locator("[role=option]")).to_have_text(names)
    page.keyboard.press("Escape")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    file = tmp_path_factory.mktemp("large") / "large.npz"
    members = arrays(**LARGE)
    del members["ids"]
    file.write_bytes(npz(members))
    return file


def cards(page):
    values = page.locator(".st-key-cards [data-testid=stMetricValue]")
    expect(values).to_have_count(len(CARDS))
    return values.all_inner_texts()


async def connected(address):
    """A session without a browser, on the page where files are dropped: what it would draw is not the server's."""
    protocol = [websockets.Subprotocol("streamlit")]
    stream = await websockets.connect(
        f"{address.replace('http', 'ws')}/_stcore/stream", subprotocols=protocol, max_size=None, ping_interval=None
    )
    session = Browser(stream)
    await session.send()
    await session.open("data")
    return session


async def forgotten(session):
    await session.press("forget")
    assert session.widget("use_upload") is session.widget("forget") is None


async def cards_of_every_format(address):
    session, shown = await connected(address), {}
    async with session.stream:
        for name, files in FORMATS.items():
            dropped = {file.name: bytes(file.content) for file in files(arrays())}
            assert await session.drop(address, dropped) == [204] * len(dropped)
            await session.press("use_upload")
            shown[name] = [metric.body for metric in session.of("metric")]
            await session.open("data")
            await forgotten(session)
    return shown


def test_every_format_goes_from_a_file_to_the_same_cards(opened, server, run):
    shown = run(cards_of_every_format(server[0]))
    assert len(shown["npz"]) >= len(CARDS)
    assert shown == dict.fromkeys(FORMATS, shown["npz"])
    page = opened("/data")
    for name in ("npz", SEVERAL):
        drop(page, payload(FORMATS[name](arrays())))
        use(page)
        assert cards(page) == shown[name][: len(CARDS)]
        forget(page)


def taken(page, name):
    """What a button saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=name).first.click()
    return download.value.path().read_bytes()


def lines(page):
    """The numbers of the lines to copy, and their Python."""
    python, said = page.locator("[data-testid=stCode] code").all_inner_texts()[:2]  # a link and a citation follow
    return python, json.loads(said)


def record_of(content):
    """The names of a zip's files, and what its duo.json says."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {Path(name).name for name in archive.namelist()}, json.loads(archive.read("large+small/duo.json"))


def test_what_is_made_of_an_upload_can_be_taken_home(opened, log):
    """A download is made on a thread that belongs to no session."""
    page = opened("/data")
    drop(page, payload(FORMATS["npz"](arrays())))
    use(page)
    assert "large + small" in taken(page, "Download report (HTML)").decode()
    names, record = record_of(taken(page, "Download this duo (zip)"))
    assert names == {"duo.json", "README.md", "requirements.txt", "combine.py"}
    python, said = lines(page)
    weights = dict(zip(("base", "sidekick"), (member["weight"] for member in record["members"]), strict=True))
    assert f"logits = {weights['base']!r} * base_logits" in python
    assert (said["weights"], said["threshold"]) == (weights, record["threshold"])
    go(page, "Find a system")
    assert "all pairs" in taken(page, "Download report (HTML)").decode()
    assert "Traceback" not in log.read_text(errors="replace")


def test_what_is_taken_home_follows_the_target(opened):
    page = opened("/data")
    drop(page, payload(FORMATS["npz"](arrays())))
    use(page)
    threshold = lines(page)[1]["threshold"]
    page.get_by_role("slider", name=re.compile("^Target")).press("End")
    settle(page)
    _, said = lines(page)
    assert said["threshold"] != threshold
    assert said["chosen_for"].startswith("at most 30 % wrong")
    assert record_of(taken(page, "Download this duo (zip)"))[1]["threshold"] == said["threshold"]


def test_a_template_can_be_dropped_as_it_was_downloaded(opened, tmp_path):
    page = opened("/data")
    for suffix in WRITTEN:
        with page.expect_download() as download:
            page.locator(f".st-key-template_{suffix.removeprefix('.')} button").click()
        assert download.value.suggested_filename == f"template{suffix}"
        download.value.save_as(tmp_path / f"template{suffix}")
        drop(page, tmp_path / f"template{suffix}")
        expect(page.locator("[data-testid=stAlert]").first).to_contain_text("W03")
        if suffix in HEADLINES:
            use(page)
            expect(page.locator("h1")).to_have_text(re.compile(HEADLINES[suffix]))
            forget(page)
        else:
            page.locator("[class*=st-key-remove_] button").first.click()
            expect(page.locator(".st-key-use_upload")).to_have_count(0)
            settle(page)


def test_a_problem_is_shown_mended_and_gone(opened):
    page = opened("/data")
    drop(page, payload(FORMATS["npz"](arrays() | {"labels": arrays()["labels"] + 1})))
    expect(page.locator("[data-testid=stAlert]")).to_contain_text("E305")
    page.get_by_text("Labels start at 1", exact=True).click()
    expect(page.locator(".st-key-use_upload")).to_be_visible()
    expect(page.locator("[data-testid=stAlert]")).to_have_count(0)


def test_names_ask_no_other_machine(opened):
    page = opened("/data")
    members = arrays(models=(("![x](https://outside.example/x.png)", 3.0), ("<img src=https://outside.example/y.png>", 2.0)))
    drop(page, payload(FORMATS["npz"](members)))
    use(page)
    for name in ("Find a system", "Zoo", "Does it hold?", "Your data"):
        go(page, name)
        expect(page.locator("img[src*='outside.example']")).to_have_count(0)


def test_two_sessions_do_not_see_each_other(opened):
    one, other = opened("/data"), opened("/data")
    drop(one, payload(FORMATS["npz"](arrays())))
    go(other, "Explore")
    offers(other, ["toy"])
    use(one)
    offers(one, ["toy", "your upload: logits.npz"])
    go(other, "Your data")
    expect(other.get_by_role("heading", name="What a file holds")).to_be_visible()
    expect(other.get_by_text("What was found")).to_have_count(0)
    expect(other.get_by_text("Your logits are in use")).to_have_count(0)
    go(other, "Explore")
    offers(other, ["toy"])
    # The same bytes in the other session are another set.
    go(other, "Your data")
    drop(other, payload(FORMATS["npz"](arrays())))
    use(other)
    links = [re.search(f"set=({OWN}[0-9a-f]+)", page.url.replace("%3A", ":"))[1] for page in (one, other)]
    assert links[0] != links[1]
    forget(one)  # which leaves the other
    go(other, "Find a system")
    expect(other.locator("h1")).to_have_text("What would you do with more compute?")
    offers(other, ["toy", "your upload: logits.npz"])


def test_a_copied_link_opens_the_first_set_elsewhere_and_says_why(opened):
    page = opened("/data")
    drop(page, payload(FORMATS["npz"](arrays())))
    use(page)
    path = page.url.removeprefix(opened.server)
    assert "upload" in path
    elsewhere = opened.elsewhere(path)
    expect(elsewhere.locator("[data-testid=stAlert]").first).to_contain_text("only that session sees them")
    expect(elsewhere.locator(".st-key-cards")).to_have_count(1)
    offers(elsewhere, ["toy"])


async def used_everywhere(session, address, file):
    assert await session.drop(address, {file.name: file.read_bytes()}) == [204]
    await session.press("use_upload")
    for name in ("explore", "find", "temperatures", "diagnose", "claims"):
        await session.open(name)
        assert session.of("plotly_chart"), name
        assert not session.of("exception"), name
    await session.open("data")


def test_memory_returns_after_forget(server, large, run):
    address, process = server
    session = run(connected(address))

    def turn():
        run(used_everywhere(session, address, large))
        return lambda: run(forgotten(session))

    returns(process, turn)
    run(session.stream.close())


def test_memory_returns_after_a_session_that_was_everywhere_is_closed(server, large, run):
    address, process = server

    def turn():
        session = run(connected(address))
        run(used_everywhere(session, address, large))
        return lambda: run(session.stream.close())

    returns(process, turn)


def test_memory_returns_after_the_browser_is_closed(opened, server, large):
    def turn():
        page = opened("/data")
        drop(page, large)
        return page.close

    returns(server[1], turn)


def test_an_upload_is_not_written_to_disk(opened, server, large):
    assert resource.prlimit(server[1], resource.RLIMIT_FSIZE) == (LARGEST_FILE, LARGEST_FILE)
    assert large.stat().st_size > 70 * LARGEST_FILE
    page = opened("/data")
    drop(page, large)
    expect(page.locator(".st-key-use_upload")).to_have_count(1)


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_needs_no_sideways_scrolling(opened, dark):
    page = opened("/data", width=390, height=844, dark=dark)
    wrong = arrays() | {"labels": arrays()["labels"] + 1, "embeddings_of_the_last_layer_before_the_head": np.zeros(3)}
    for members in (wrong, arrays()):
        drop(page, payload(FORMATS["npz"](members)))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        widest = page.evaluate(
            "Math.max(...[...document.querySelectorAll('.stMain p, .stMain button')].map(e => e.getBoundingClientRect().right))"
        )
        assert widest <= 390
