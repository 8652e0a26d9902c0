"""Python's garbage collector, which would look through all that is loaded, hundreds of thousands of objects, though it stays."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while libraries are loaded, a tenth of that time, nor among them as the process ends, a quarter of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
        atexit.register(gc.freeze)
