"""`duo app`: the dashboard's server."""

import argparse
import gc
import importlib
import os
import pkgutil
import socket
import sys
import threading
from pathlib import Path

from duo_core.cli.arguments import port
from duo_core.cli.options import Commands, new_command, store_option
from duo_core.common import places, settings
from duo_core.common.allocating import few_heaps
from duo_core.common.arrays import InputError


def add_app(commands: Commands) -> None:
    """Add `duo app`."""
    command = new_command(commands, "app", app, "open the dashboard")
    command.add_argument("--port", type=port, default=8501, metavar="N", help="default 8501")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    store_option(command)


def app(options: argparse.Namespace) -> None:
    """Run the dashboard's server until it is stopped."""
    few_heaps()  # before there are threads that have heaps of their own
    page = places.ROOT / "app" / "hosted.py"
    if not page.exists():
        raise InputError(f"expected the dashboard at '{page}', got nothing there; install the package again")
    settings.check()  # what is wrong is said here, not on a page
    sys.path.insert(0, str(places.ROOT))
    importlib.import_module("app.internals").check()
    _check_free(options.host, options.port)
    if options.store:
        os.environ["DUO_STORE"] = str(options.store)
    _move_to(places.ROOT)  # the theme lies in .streamlit/ here
    threading.Thread(target=_load, daemon=True).start()
    sys.argv = ["streamlit", "run", str(page), f"--server.address={options.host}", f"--server.port={options.port}"]
    importlib.import_module("streamlit.web.cli").main()


def _move_to(folder: Path) -> None:
    """Work in another folder; paths in the environment still name what they named from here."""
    if store := os.environ.get("DUO_STORE"):
        os.environ["DUO_STORE"] = os.path.abspath(store)
    if images := os.environ.get("DUO_IMAGES"):
        paths = images.split(os.pathsep)
        os.environ["DUO_IMAGES"] = os.pathsep.join(os.path.abspath(path) if os.path.exists(path) else path for path in paths)
    os.chdir(folder)


def _load() -> None:
    """Load and compute what the first page needs while the server starts, not when someone waits for it.

    Libraries stay: Python looks for no garbage among them, neither while they are loaded, a fifth of that time, nor later.
    """
    gc.disable()
    try:
        for module in ("app.state", "plotly.graph_objects", "app.views"):
            importlib.import_module(module)
        for view in pkgutil.iter_modules(sys.modules["app.views"].__path__, "app.views."):
            importlib.import_module(view.name)
    finally:
        gc.freeze()
        gc.enable()
    importlib.import_module("app.state").read_ahead()
    warmup = importlib.import_module("duo_core.warmup")
    warmup.load()
    warmup.settle()


def _check_free(host: str, port: int) -> None:
    """Say now, in one sentence, what the server would say with a traceback."""
    if not host:  # which would listen to every machine
        raise InputError("expected an address for --host, got none; leave --host out to listen to this machine only")
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            f"expected a free port of this machine, got {port} on '{host}': {why}; name others with --port and --host"
        ) from None
