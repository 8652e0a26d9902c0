"""A process apart that unpacks what others made: where a file ends the library that reads it, it ends no more than that."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from numpy.typing import NDArray

from duo_core.common.settings import MIB
from duo_core.formats import unpacking
from duo_core.formats.footers import damaged
from duo_core.formats.limits import Limits
from duo_core.formats.problems import Flaw, shown

ROOM = 512 * MIB
"""Bytes that the process may take beside the file and twice what is unpacked of it."""
SECONDS, PACE = 60, 10 * MIB
"""Seconds that one answer may take, and bytes of a file and of what is unpacked of it for each of which there is one more."""
ANSWER = 1024 * MIB
"""Bytes of an answer beside its arrays."""
AGAIN = "save it again"
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""No threads, and no memory that is set aside for later: both would count for the limit."""

_current: ContextVar["Unpacker | None"] = ContextVar("unpacker", default=None)


@contextlib.contextmanager
def unpacker(limits: Limits) -> Iterator["Unpacker"]:
    """Give the process that everything within is unpacked in; it is started when it is first asked, and gone afterwards."""
    current = _current.get()
    if current is not None:
        yield current
        return
    own = Unpacker(limits)
    token = _current.set(own)
    try:
        yield own
    finally:
        _current.reset(token)
        own.close()


class Unpacker:
    """A process that unpacks files, one at a time; when it has ended, another one takes its place."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._memory = limits.file_bytes + 2 * limits.decoded_bytes + ROOM
        self._seconds = SECONDS + (limits.file_bytes + limits.decoded_bytes) / PACE
        self._process: subprocess.Popen[bytes] | None = None
        self._file: memoryview | None = None
        """That it has."""

    @contextlib.contextmanager
    def answers(self, view: memoryview, what: str, **of: Any) -> Iterator["Answers"]:
        """Ask something of a file, see `unpacking`; give what is answered, all of which is to be taken.

        Raises
        ------
        Flaw
            Where the file cannot be read, or reading it ends the process or takes too long.
        """
        slow, taken = threading.Event(), False
        try:
            with self._running(slow) as process:
                self._ask(process.stdin, view, {"what": what, "of": of})
                yield Answers(process.stdout)
            taken = True
        except Refused as refused:
            taken = True
            raise refused.flaw(self._limits) from None
        except (OSError, EOFError, ValueError) as error:
            raise self._ended(slow.is_set(), error) from None
        finally:
            if not taken:
                self.close()

    @contextlib.contextmanager
    def _running(self, slow: threading.Event) -> Iterator["subprocess.Popen[bytes]"]:
        """Give the process, which is ended, and the event set, when it takes too long."""
        process = self._process = self._process or _started(self._memory)

        def end() -> None:
            slow.set()
            process.kill()

        timer = threading.Timer(self._seconds, end)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()

    def _ask(self, stream: Any, view: memoryview, request: dict[str, Any]) -> None:
        if self._file is view:
            unpacking.send(stream, request)
        else:
            self._file = None  # until all of it is there
            unpacking.send(stream, {**request, "bytes": len(view)}, view)
            self._file = view

    def _ended(self, slow: bool, error: Exception) -> Flaw:
        """The problem of a file that is not answered for."""
        if slow:
            return Flaw("E105", f"it was not read within {self._seconds:.0f} seconds", limit="one that can be", mend=AGAIN)
        if self._process is None:
            return Flaw("E102", f"no process could be started to read it ({shown(error)})", format="", mend="try again")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.poll() or 0
        why = signal.Signals(-code).name if -code in set(signal.Signals) else "no answer"
        return damaged(f"reading it ended the process that was to read it ({why})")

    def close(self) -> None:
        """End the process."""
        process, self._process, self._file = self._process, None, None
        if process is not None:
            process.kill()
            process.communicate()


def _started(memory: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", unpacking.__file__, str(memory)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env={**os.environ, **ALONE})
    with contextlib.suppress(ImportError, AttributeError, OSError):  # where pipes may be wider, there is less waiting
        import fcntl

        for stream in (process.stdin, process.stdout):
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, MIB)  # type: ignore[arg-type]
    return process


class Answers:
    """What a process answers, in the order in which it comes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def head(self) -> dict[str, Any]:
        """Take what goes before the next arrays."""
        head = unpacking.receive(self._stream, ANSWER)
        if "refused" in head:
            raise Refused(*head["refused"])
        return head

    def fill(self, array: NDArray[Any]) -> NDArray[Any]:
        """Take the next array into one of its shape and dtype, which is contiguous, and return it."""
        unpacking.filled(self._stream, unpacking.plain(array))
        return array


class Refused(Exception):  # noqa: N818 (as Flaw, which it becomes)
    """What the process says of a file that cannot be read: a code, and what was found."""

    def flaw(self, limits: Limits) -> Flaw:
        """Return the problem."""
        code, found = (*map(str, self.args), "", "")[:2]
        if code == "E103":
            return Flaw(code, shown(found, 120), mend="rename one of the two")
        if code != "E105":
            return damaged(f"the file is truncated or damaged ({shown(found, 100)})")
        if found.isdecimal():
            return limits.long_texts(int(found))
        return Flaw(code, "it takes more memory than there is for it", limit="one that can be unpacked", mend=AGAIN)
