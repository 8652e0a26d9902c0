"""A stranger at a public dashboard: scripted, with hostile sets, uploads, addresses, names and messages, on the real server.

A hook of Python's own in the server's process notes every file that is opened, every folder that is listed, every module that is
imported and every connection that is made.
"""

import asyncio
import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import logit_files
import pytest
import websockets
from browsing import LOOPBACK, free_port, serving
from hostile import MARKUP, hostile_store
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app import guard
from benchmarks.wire import Browser, put
from duo_core.common.arrays import InputError
from duo_core.common.settings import NUMBERS, is_public, number
from duo_core.logits.store import Store

HOOK = """\
import os, sys
log = open(os.environ["AUDIT"], "a", buffering=1)
def hook(event, arguments):
    if event in {"open", "os.listdir", "os.scandir", "import", "socket.connect", "subprocess.Popen", "os.system", "os.exec"}:
        log.write(f"{event}\\t{arguments[1] if event == 'socket.connect' else arguments[0]!r}\\n")
sys.addaudithook(hook)
"""
TRAP = "import pathlib\npathlib.Path(__file__).with_name('sang').touch()\ndef net(**kwargs): raise SystemExit\n"
MIB = 1 << 20
BOUNDS = {"DUO_MAX_SESSIONS": "4", "DUO_MAX_FILE_MIB": "1", "DUO_MAX_SESSION_MIB": "2", "DUO_MAX_UPLOADS_MIB": "3"}
ADDRESSES = ["../../../etc", "/etc/passwd", "upload:0000000000000000", "file:///etc/passwd", "\x00", "a" * 5000, *MARKUP[:4]]


class Public(NamedTuple):
    """A public dashboard, what it did, and a folder that no stranger is to see."""

    server: str
    audit: Path
    secret: Path

    def did(self) -> list[tuple[str, str]]:
        rows = self.audit.read_text(errors="replace").splitlines()
        return [(event, what) for event, _, what in (row.partition("\t") for row in rows)]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    """One set is hostile in every text; its source is a folder of the server, and its models name code that lies in the way."""
    folder = tmp_path_factory.mktemp("public")
    secret, hooks = folder / "secret", folder / "hooks"
    secret.mkdir()
    hooks.mkdir()
    (secret / "0.png").write_bytes(b"not to be seen")
    (hooks / "sitecustomize.py").write_text(HOOK)
    (hooks / "sprung.py").write_text(TRAP)
    store = hostile_store(folder / "store")
    _poison(store, secret)
    port = free_port()
    variables = {**os.environ, **BOUNDS, "DUO_PUBLIC": "1", "DUO_STORE": str(store), "AUDIT": str(folder / "audit")}
    variables["PYTHONPATH"] = os.pathsep.join([str(hooks), os.environ.get("PYTHONPATH", "")])
    with serving(["duo_core", "app", "--port", str(port)], port, folder / "log", variables) as server:
        time.sleep(3)
        yield Public(server, folder / "audit", secret)


def _poison(store: Path, secret: Path) -> None:
    """Have a set say that its images lie in the folder, and that its models are built by code of that name."""
    opened = Store(store).open("hostile")
    about = json.loads((store / "hostile" / "set.json").read_text())
    (store / "hostile" / "set.json").write_text(json.dumps({**about, "source": str(secret)}))
    Store(store).seal("hostile")
    from dataclasses import replace

    card = replace(opened.cards["large"], name="sprung", model="sprung:net", source="python", weights=str(secret / "0.png"))
    Store(store).write_model("hostile", card, {split: opened.logits("large", split) for split in opened.labels})


@asynccontextmanager
async def session(server: str, page: str = "", **query: str):
    protocol = websockets.Subprotocol("streamlit")
    address = f"{server.replace('http', 'ws')}/_stcore/stream"
    async with websockets.connect(address, subprotocols=[protocol], max_size=None, ping_interval=None) as stream:
        browser = Browser(stream)
        await browser.send()
        if page:
            await browser.follow(page, **query)
        yield browser


def get(server: str, path: str, accept: str = "text/html") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=30)
    with closing(connection):
        connection.request("GET", path, headers={"accept": accept, "connection": "close"})
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def texts(browser: Browser) -> list[str]:
    return [str(getattr(element, element.WhichOneof("type"))) for element in browser.elements.values()]


async def walk(server: str) -> list[str]:
    """Every page, of the hostile set and by hostile addresses; what they said."""
    said: list[str] = []
    async with session(server) as browser:
        for page in browser.pages:
            await browser.follow(page, set="hostile", split="test", base="sprung", sidekick="small")
            said += texts(browser)
            assert not browser.of("exception"), (page, browser.of("exception"))
        for value in ADDRESSES:
            for key in ("set", "split", "base", "metric"):
                await browser.follow("explore", **{"set": "hostile", key: value})
                assert not browser.of("exception"), (key, value, browser.of("exception"))
            said += texts(browser)
        await browser.follow("diagnose", set="hostile", split="test", base="sprung", sidekick="small")
        for part in ("Which images change rank?", "Which classes gain?"):
            await browser.set("part", [part])
            said += texts(browser)
    return said


def test_a_walk_by_hostile_addresses_opens_no_folder_runs_no_code_and_reaches_no_machine(public):
    said = asyncio.run(walk(public.server))
    did = public.did()
    assert len([what for event, what in did if event == "open"]) > 100  # it did note
    assert not [row for row in did if str(public.secret) in row[1] and not row[1].endswith(".safetensors'")]
    assert not [row for row in did if "sprung" in row[1] and ".safetensors" not in row[1] and "hostile" not in row[1]]
    assert not (public.secret.parent / "hooks" / "sang").exists()
    assert not [what for event, what in did if event in {"os.system", "os.exec"}]
    connected = [what for event, what in did if event == "socket.connect"]
    assert all(any(f"'{name}'" in what for name in LOOPBACK) for what in connected), connected
    assert not [text for text in said if "root:" in text or "not to be seen" in text]


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/media/../../etc/passwd",
        "/app/static/main.py",
        "/component/../../etc/passwd",
        "//etc/passwd",
        "/_stcore/metrics",
        "/_stcore/agent/openapi.json",
        "/_stcore/script-health-check",
        "/static/../app/main.py",
        "/data/hostile/set.json",
    ],
)
def test_no_address_of_the_web_server_gives_a_file_or_a_number(public, path):
    status, content = get(public.server, path, accept="*/*")
    assert status in {400, 404} or b'<div id="root">' in content, content[:200]
    assert not [word for word in (b"root:", b"import streamlit", b"splits", b"active_sessions") if word in content]


def back_message(what: str) -> BackMsg:
    message = BackMsg()
    if what == "install_skills":
        message.backend_operation_request.request_id = "1"
        message.backend_operation_request.install_skills.SetInParent()
    else:
        setattr(message, what, True)
    return message


@pytest.mark.parametrize("what", ["clear_cache", "load_git_info", "set_run_on_save", "install_skills"])
def test_a_browser_says_nothing_to_the_server_that_the_pages_do_not(what):
    assert not guard.may_say(back_message(what).SerializeToString())
    assert guard.may_say(back_message("app_heartbeat").SerializeToString())


async def cleared(server: str) -> list[str]:
    """What becomes of an upload when another session asks to clear all caches."""
    async with session(server, "data") as own, session(server) as other:
        assert await own.drop(server, {"mine.npz": logit_files.npz(logit_files.arrays())}) == [204]
        before = [text for text in texts(own) if "mine.npz" in text]
        await other.stream.send(back_message("clear_cache").SerializeToString())
        await other.send()
        await own.send()
        return [text for text in texts(own) if text in before]


def test_one_session_ends_no_upload_of_another(public):
    assert asyncio.run(cleared(public.server))


async def crowded(server: str) -> dict[str, object]:
    """As many sessions as may be, one more, and what comes when one has gone."""
    seen: dict[str, object] = {}
    async with session(server), session(server), session(server):
        async with session(server):
            seen["page"] = get(server, "/")
            seen["health"] = get(server, "/_stcore/health", "*/*")[0]
            with pytest.raises(websockets.InvalidStatus):
                async with session(server):
                    pass
        while (again := get(server, "/"))[0] == 503:
            await asyncio.sleep(0.1)
        seen["again"] = again[0]
    return seen


def test_who_comes_when_it_is_full_sees_a_page_that_says_so(public):
    seen = asyncio.run(crowded(public.server))
    status, content = seen["page"]
    assert status == 503
    assert b"Everybody's place is taken just now" in content
    assert b"http" not in content.replace(b"http-equiv", b"")
    assert (seen["health"], seen["again"]) == (200, 200)


async def uploaded(server: str) -> dict[str, list[int]]:
    """Statuses of uploads that are too much in every way; what was refused is not there."""
    seen: dict[str, list[int]] = {}
    half = b"x" * (MIB // 2)

    async def send(session: str, files: list[list[bytes]], *, measured: bool = True) -> list[int]:
        return [
            await asyncio.to_thread(put, server, session, f"{time.monotonic_ns()}", "a.npz", content, measured=measured)
            for content in files
        ]

    async with session(server, "data") as one, session(server, "data") as other:
        seen["nobody's"] = await send("no-session", [[half]])
        seen["unmeasured"] = await send(one.session, [[half]], measured=False)
        seen["large"] = await send(one.session, [[half] * 3])
        seen["own"] = await send(one.session, [[half]] * 4)
        seen["all"] = await send(other.session, [[half]] * 3)
    return seen


def test_uploads_are_bounded_by_file_by_session_and_in_all(public):
    seen = asyncio.run(uploaded(public.server))
    assert seen["nobody's"] == [400]
    assert seen["unmeasured"] == [411]
    assert seen["large"] == [413]
    assert seen["own"] == [204, 204, 204, 413]
    assert seen["all"] == [204, 204, 507]


async def hostile_uploads(server: str) -> list[str]:
    said = []
    for name, content in {
        "../../etc/passwd.npz": b"PK\x03\x04" + b"\xff" * 100,
        "a.safetensors": (1 << 62).to_bytes(8, "little") + b"{}",
        "b.csv": ("a" * 100_000).encode(),
        "c.npz": logit_files.npz({"logits/<script>": logit_files.arrays()["labels"]}),
        "d.pkl": b"\x80\x04cos\nsystem\n(S'touch sang'\ntR.",
        **{f"{markup}.npz": b"" for markup in MARKUP[:3]},
    }.items():
        async with session(server, "data") as browser:
            await browser.drop(server, {name.replace('"', ""): content})
            assert not browser.of("exception"), (name, browser.of("exception"))
            said += texts(browser)
            assert not browser.widget("use_upload")
            assert not [key for key, _ in browser.widgets() if key.startswith("save_")]
    return said


def test_hostile_files_are_refused_in_a_sentence(public):
    said = asyncio.run(hostile_uploads(public.server))
    assert [text for text in said if "E10" in text]
    assert not [what for event, what in public.did() if event == "open" and "/etc/passwd" in what]


async def offered(server: str) -> list[str]:
    async with session(server, "data") as browser:
        await browser.drop(server, {"mine.npz": logit_files.npz(logit_files.arrays())})
        return [key for key, _ in browser.widgets()]


def test_a_sound_upload_can_be_used_and_not_saved(public):
    keys = asyncio.run(offered(public.server))
    assert "use_upload" in keys
    assert not [key for key in keys if key.startswith("save")]


async def hasty(server: str) -> float:
    """Seconds until a thousandth of a flood of messages has an answer."""
    async with session(server) as browser:
        start = time.monotonic()
        for _ in range(100):
            await browser.stream.send(back_message("app_heartbeat").SerializeToString())
        for _ in range(100):
            while ForwardMsg.FromString(await browser.stream.recv(decode=False)).WhichOneof("type") != "heartbeat_ack":
                pass
        return time.monotonic() - start


def test_what_is_said_too_fast_is_heard_later(public):
    most = number("DUO_MAX_MESSAGES", {"DUO_PUBLIC": "1"})
    assert asyncio.run(hasty(public.server)) > (100 - 3 * most) / most - 1


def test_main_alone_is_not_public(monkeypatch, open_view):
    monkeypatch.setenv("DUO_PUBLIC", "1")
    monkeypatch.setattr(guard.Guard, "stands", False)
    page = open_view("explore")
    assert [text for text in page.markdown if "expected a guard before a public dashboard" in text.value.replace("\\", "")]


@pytest.mark.parametrize("text", ["yes", "true", "2", "public"])
def test_what_may_be_meant_as_public_is_not_taken_for_private(text):
    with pytest.raises(InputError, match="expected 1 or 0 in the environment as DUO_PUBLIC"):
        is_public({"DUO_PUBLIC": text})


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_bound_in_public_mode(name):
    setting = NUMBERS[name]
    assert number(name, {"DUO_PUBLIC": "1"}) == setting.public * setting.unit
    assert setting.default is None or setting.public <= setting.default
    with pytest.raises(InputError, match=f"above 0 in the environment as {name}, got '-1'"):
        number(name, {name: "-1"})
