"""The dashboard on a busy machine: a run is put aside between Streamlit's look for a newer click and what it sets."""

import runpy
import time
from pathlib import Path
from urllib.parse import parse_qs

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.safe_session_state import SafeSessionState

SECONDS = 0.7


def put_aside(self: SafeSessionState, key: str, value: object) -> None:
    """Wait where every run first sets something, and at the key that the address names."""
    self._yield_callback()
    run = get_script_run_ctx()
    if run and key in ("known", *parse_qs(run.query_string).get("late", [])):
        time.sleep(SECONDS)
    with self._lock:
        self._state[key] = value


SafeSessionState.__setitem__ = put_aside  # type: ignore[method-assign]
runpy.run_path(str(Path(__file__).parents[1] / "app" / "main.py"), run_name="__main__")
