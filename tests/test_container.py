"""The container's file says what the page about hosting promises, and the proxy's serves the dashboard below a path."""

import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import logit_files
import pytest
import websockets
from browsing import ROOT, free_port, serving

from benchmarks.wire import Browser

sys.path.insert(0, str(ROOT / "hosting"))
spec = importlib.util.spec_from_file_location("steps", ROOT / "hosting" / "steps.py")
steps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(steps)

STEPS = steps.instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def said(what: str) -> list[str]:
    return [text for step, text in STEPS if step == what]


def test_bases_are_slim_and_of_one_version():
    assert {re.match(r"python:(\d\.\d+)-slim-\w+( AS \w+)?$", base)[1] for base in said("FROM")} == {"3.11"}


def test_the_server_runs_as_nobody_in_particular():
    last = [step for step, _ in STEPS]
    assert said("USER") == ["1000"]
    assert last.index("USER") < last.index("CMD")
    assert "--uid 1000" in " ".join(said("RUN"))


def test_nothing_is_fetched_but_packages():
    assert not said("ADD")
    assert not re.search(r"curl|wget|git clone|https?://", " ".join(text for step, text in STEPS if step != "HEALTHCHECK"))


def test_it_is_public_and_tells_nobody():
    variables = dict(part.split("=", 1) for text in said("ENV") for part in text.split())
    assert variables["DUO_PUBLIC"] == "1"
    assert variables["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] == "false"
    assert variables["HOME"] == "/tmp"  # the one place that may be written to


def test_the_commands_are_lists_that_no_shell_reads_again():
    (health,), (command,) = said("HEALTHCHECK"), said("CMD")
    assert json.loads(health[health.index("[") :])[0] == "python"
    assert "/_stcore/health" in health
    assert json.loads(command)[-1].startswith("exec duo app")


def test_the_image_is_built_from_what_the_wheel_needs_and_nothing_else(tmp_path):
    steps.context(tmp_path)
    there = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert {
        "pyproject.toml",
        "setup.py",
        "requirements.txt",
        "app/hosted.py",
        "data/cifar10/set.json",
    } <= there
    assert not [name for name in there if re.search(r"^tests/|\.git|data/recipes|\.lock|__pycache__|^shared|^runs/", name)]
    assert IGNORED[1] == "*"


def test_folders_of_the_image_become_others():
    assert steps.placed("/sets/a /opt/sets x=/tmp; cp '/wheels/b'", Path("/x")) == "/x/sets/a /opt/sets x=/x/tmp; cp '/x/wheels/b'"


@pytest.fixture
def proxied(tmp_path, toy_store) -> Iterator[str]:
    """The dashboard below /duos, behind nginx as hosting/nginx.conf has it."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        pytest.skip("no nginx on PATH")
    inside, outside = free_port(), free_port()
    _, http, server = re.split(r"^# --- .*$", (ROOT / "hosting" / "nginx.conf").read_text(), flags=re.MULTILINE)
    http, server = http.replace("8501", str(inside)), server.replace("8501", str(inside))
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        f"daemon off;\n{'user root;' if os.getuid() == 0 else ''}\npid {tmp_path}/pid;\nerror_log {tmp_path}/error;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{http}\nserver {{\nlisten 127.0.0.1:{outside};\n{server}\n}}\n}}\n"
    )
    variables = {"DUO_PUBLIC": "1", "DUO_STORE": str(toy_store), "STREAMLIT_SERVER_BASE_URL_PATH": "duos"}
    command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error")]
    with subprocess.Popen(command) as process:
        try:
            with serving(["duo_core", "app", "--port", str(inside)], inside, tmp_path / "log", variables, base="/duos"):
                yield f"http://127.0.0.1:{outside}/duos"
        finally:
            process.terminate()


async def visited(server: str) -> list[str]:
    protocol = [websockets.Subprotocol("streamlit")]
    headers = {"origin": server.removesuffix("/duos")}
    address = f"{server.replace('http', 'ws')}/_stcore/stream"
    async with websockets.connect(address, subprotocols=protocol, max_size=None, additional_headers=headers) as stream:
        browser = Browser(stream)
        await browser.follow("explore", set="toy", split="test", base="large", sidekick="small")
        assert not browser.of("exception")
        assert browser.of("plotly_chart")
        await browser.open("data")
        assert await browser.drop(server, {"mine.npz": logit_files.npz(logit_files.arrays())}) == [204]
        return [key for key, _ in browser.widgets()]


def test_behind_a_proxy_with_a_base_path_pages_open_and_files_arrive(proxied):
    assert "use_upload" in asyncio.run(visited(proxied))
