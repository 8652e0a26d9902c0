"""A relay between a browser and its server on this machine: it notes when a question passes, and when the end of its answer does.

A browser itself takes note of an answer when its main thread has time to, which is the very thread that draws what came before.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

STREAM = b"/_stcore/stream"
BINARY = 2
Hear = Callable[[bytes], None]


class Relay:
    """Passes on all that comes to its port; close it by leaving it.

    `last` is what the last element of a page says, where its script goes on after that: then that is the end of an answer.
    """

    def __init__(self, port: int, last: bytes = b"") -> None:
        self.asked = self.answered = 0.0
        self.drawn = False
        """Whether what was asked last has been answered by that element."""
        self._last = last
        self._port, self._listening = port, socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                browser, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for end in (browser, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Of a question before it is passed on: its answer might be told of first.
                for ends, hear, before in (((browser, server), self._ask, True), ((server, browser), self._answer, False)):
                    threading.Thread(target=_pass_on, args=(*ends, hear, before), daemon=True).start()

    def _ask(self, message: bytes) -> None:
        if BackMsg.FromString(message).WhichOneof("type") == "rerun_script":
            self.asked, self.drawn = time.perf_counter(), False

    def _answer(self, message: bytes) -> None:
        if self.drawn:
            return
        self.drawn = bool(self._last) and self._last in message
        if self.drawn or ForwardMsg.FromString(message).WhichOneof("type") == "script_finished":
            self.answered = time.perf_counter()


def _pass_on(source: socket.socket, target: socket.socket, hear: Hear, before: bool) -> None:
    """Pass on what comes from one end until either has left, and tell of the messages of what has become a websocket."""
    stream, held = False, b""
    with source:
        while content := _received(source):
            if not before:
                _send(target, content)
            held += content
            if not stream and (head := held.find(b"\r\n\r\n")) >= 0:
                stream = STREAM in held[:head] or held.startswith(b"HTTP/1.1 101")
                held = held[head + 4 :]
            if stream:
                *messages, held = frames(held)
                for message in messages:
                    hear(message)
            else:
                held = held[-(1 << 12) :]
            if before:
                _send(target, content)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _send(target: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):  # it has left
        target.sendall(content)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:  # it has left
        return b""


def frames(content: bytes) -> Iterator[Any]:
    """Messages of bytes in what has come of a websocket, and at last the part of a frame that is left over.

    >>> list(frames(bytes([0x82, 2]) + b"ab" + bytes([0x82, 0x82, 1, 1, 1, 1]) + b"`c" + bytes([0x82])))
    [b'ab', b'ab', b'\\x82']
    """
    while len(content) >= 2:
        length, start, masked = content[1] & 127, 2, content[1] >> 7
        if length > 125:
            start += 2 if length == 126 else 8
            length = int.from_bytes(content[2:start])
        mask, start = content[start : start + 4] if masked else b"", start + 4 * masked
        if len(content) < start + length:
            break
        body, kind, content = content[start : start + length], content[0] & 15, content[start + length :]
        if kind == BINARY:
            yield bytes(byte ^ mask[place % 4] for place, byte in enumerate(body)) if mask else body
    yield content
