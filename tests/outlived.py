"""Processes of Python's that end when whoever started them has ended, however that ended.

Their standard input is a pipe whose other end the starter holds: that closes with the starter, a killed one too.
"""

import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def started(arguments: list[str], log: Path, python: str = sys.executable, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs `-m module` or a script and writes to the log; killed at the end."""
    command = [python, str(Path(__file__).resolve()), *arguments]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, **options) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def end_with_the_starter() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def run(name: str, *arguments: str) -> None:
    """What Python does for these arguments."""
    if name == "-m":
        sys.argv, sys.path[0] = [*arguments], os.getcwd()
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [name, *arguments], os.path.dirname(name)
        runpy.run_path(name, run_name="__main__")


if __name__ == "__main__":
    threading.Thread(target=end_with_the_starter, daemon=True).start()
    run(*sys.argv[1:])
