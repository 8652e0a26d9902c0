"""Servers of the tests end with the run that started them, also with one that is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = """
import pathlib, sys
from outlived import started
with started(sys.argv[2:], pathlib.Path(sys.argv[1])) as process:
    print(process.pid, flush=True)
    process.wait()
"""
SERVER = "import sys, time; print(__name__, *sys.argv[1:], flush=True); time.sleep(600)"
SECONDS = 60


def living(process: int) -> bool:
    """Whether there is such a process; one that has ended and is not waited for by anybody is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def within_seconds(condition):
    end = time.monotonic() + SECONDS
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up on Linux")
@pytest.mark.parametrize("as_module", [True, False], ids=["module", "script"])
def test_a_server_ends_with_the_run_that_is_killed(tmp_path, as_module):
    (tmp_path / "server.py").write_text(SERVER)
    served = ["-m", "server"] if as_module else [str(tmp_path / "server.py")]
    log, around = tmp_path / "log", {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", RUN, str(log), *served, "--port=1"]
    with subprocess.Popen(command, cwd=tmp_path, env=around, stdout=subprocess.PIPE, text=True) as run:
        server = int(run.stdout.readline())
        assert within_seconds(lambda: log.read_text() == "__main__ --port=1\n"), log.read_text()
        assert living(server)
        run.kill()
    assert within_seconds(lambda: not living(server))
