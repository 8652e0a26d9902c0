"""What stands before the dashboard's server: who comes in, what is said to it, and how much is uploaded, is bounded here.

The dashboard's own script runs only when a session is there already; what must be refused before that is refused by this.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackMsg

from app import preload
from app.full import FULL
from app.state.caches import CACHE
from app.state.uploads import held_by
from duo_core.common.settings import is_public, number
from duo_core.formats.limits import words

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGI = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SAID = {"rerun_script", "app_heartbeat", "stop_script", "file_urls_request", "backend_operation_request"}
"""What a browser may say. Streamlit knows more: to clear the caches of all sessions, to read the folder's git information."""
ASKED = {"deferred_file", "dataframe_chunk"}
"""What it may ask of the server beside a run of the page: a download, more rows of a table."""
CLOSED = ("_stcore/metrics", "_stcore/agent", "_stcore/script-health-check", "component/", "app/static")
"""Addresses of the web server that the dashboard does not use."""
AGAIN = 1013
"""Code of a websocket that is closed since the server is full for the moment."""


class Pace:
    """How fast one connection may speak: what comes faster is read later, and nothing is lost.

    >>> pace = Pace(20); [pace.wait(now=0.0) for _ in range(62)][59:]
    [0.0, 0.05, 0.1]
    """

    def __init__(self, a_second: int) -> None:
        self._a_second, self._spare, self._at = a_second, 3.0 * a_second, 0.0

    def wait(self, now: float) -> float:
        """Seconds to wait before the next message is taken, which is counted."""
        most = 3.0 * self._a_second
        self._spare = min(most, self._spare + max(0.0, now - self._at) * self._a_second) - 1
        self._at = now
        return max(0.0, -self._spare / self._a_second)


class Guard:
    """Middleware of the web server.

    What is arriving is counted with what its sessions have, so that many files at once are no more than one after the other.
    """

    stands = False
    """Whether one stands before this process's server."""

    def __init__(self, app: ASGI) -> None:
        self._app, self._open = app, 0
        Guard.stands = True
        self._arriving: Counter[str] = Counter()
        """Bytes that sessions are uploading just now."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Take a request, or refuse it."""
        if scope["type"] == "websocket":
            await self._connected(scope, receive, send)
        elif scope["type"] == "http":
            await self._asked(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @property
    def full(self) -> bool:
        """Whether as many sessions are there as may be."""
        most = number("DUO_MAX_SESSIONS")
        return most is not None and self._open >= most

    async def _connected(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if self.full:
            await receive()
            await send({"type": "websocket.close", "code": AGAIN, "reason": "full"})
            return
        self._open += 1
        try:
            await self._app(scope, _listening(receive), send)
        finally:
            self._open -= 1

    async def _asked(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        if any(closed in path for closed in CLOSED) and is_public():
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        elif self.full and scope["method"] == "GET" and _is_page(scope):
            await HTMLResponse(FULL, 503, {"retry-after": "30"})(scope, receive, send)
        elif scope["method"] == "PUT" and "_stcore/upload_file/" in path:
            await self._uploaded(path.partition("_stcore/upload_file/")[2].partition("/")[0], scope, receive, send)
        else:
            await self._app(scope, receive, _with_links(send) if _is_page(scope) else send)

    async def _uploaded(self, session: str, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        size = _declared(scope["headers"])
        if refused := self._refused(session, size):
            await refused(scope, receive, send)
            return
        self._arriving[session] += size
        try:
            await self._app(scope, receive, send)
        finally:
            self._arriving[session] -= size
            self._arriving += Counter()

    def _refused(self, session: str, size: int) -> Response | None:
        """The answer to a file that is too much, for the session or for the server."""
        own, most = number("DUO_MAX_SESSION_MIB"), number("DUO_MAX_UPLOADS_MIB")
        if not size and is_public():
            return PlainTextResponse("expected the length of the file in the request's header, got none", 411)
        waiting = landed()
        if own is not None and size + self._arriving[session] + waiting[session] + held_by(session) > own:
            return PlainTextResponse(f"this session has uploaded as much as it may, {words(own)}; forget what is there first", 413)
        if most is not None and size + sum(self._arriving.values()) + sum(waiting.values()) + CACHE.uploaded > most:
            return PlainTextResponse("this dashboard holds as much of uploads as it may; try again later", 507)
        return None


def landed() -> "Counter[str]":
    """Bytes that lie with the web server, by session; the page has not taken them yet."""
    storage = runtime.get_instance().uploaded_file_mgr.file_storage  # type: ignore[attr-defined]  # asked of it by app/internals.py
    return Counter({session: sum(len(file.data) for file in list(files.values())) for session, files in list(storage.items())})


def _declared(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Bytes of a request's body as its header says; the web server holds it to that. 0 where it says nothing."""
    said = dict(headers).get(b"content-length", b"")
    return int(said) if said.isdigit() else 0


def _is_page(scope: MutableMapping[str, Any]) -> bool:
    """Whether a browser asks for a page to show, and not for a part of one."""
    return b"text/html" in dict(scope["headers"]).get(b"accept", b"")


def _with_links(send: Send) -> Send:
    """Have the answer say what the page is drawn with."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start" and (named := preload.header()):
            message["headers"] = [*message.get("headers", ()), (b"link", named)]
        await send(message)

    return told


def _listening(receive: Receive) -> Receive:
    """What a browser says, at the pace it may, without what it may not say."""
    a_second = number("DUO_MAX_MESSAGES")
    pace = Pace(a_second) if a_second is not None else None

    async def heard() -> Message:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            if pace and (seconds := pace.wait(time.monotonic())):
                await asyncio.sleep(seconds)
            if may_say(message.get("bytes") or b""):
                return message

    return heard


def may_say(content: bytes) -> bool:
    """Whether a message is one that the dashboard's own pages send; where it is none at all, the web server ends the connection."""
    message = BackMsg()
    try:
        message.ParseFromString(content)
    except Exception:  # whatever the library raises
        return True
    kind = message.WhichOneof("type")
    if kind == "backend_operation_request":
        return message.backend_operation_request.WhichOneof("payload") in ASKED
    return kind in SAID
