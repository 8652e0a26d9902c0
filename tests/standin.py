"""A server on loopback that keeps files as a hub or a bucket does, and a file system of fsspec that speaks to it."""

import contextlib
import http.client
import http.server
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

CHUNK = 4096


class Handler(http.server.BaseHTTPRequestHandler):
    """Files by their paths, in memory; slow, so that there is a while to be killed in."""

    files: dict[str, bytes]
    seconds = 0.0

    def do_HEAD(self) -> None:
        self._answer(self.files.get(self.path), body=False)

    def do_GET(self) -> None:
        self._answer(self.files.get(self.path), body=True)

    def do_PUT(self) -> None:
        left, content = int(self.headers["content-length"]), b""
        while left and (block := self.rfile.read(min(CHUNK, left))):
            content, left = content + block, left - len(block)
            time.sleep(self.seconds)
        if not left:  # what is cut off does not take the place of what is there
            self.files[self.path] = content
            self._answer(b"", body=True)

    def _answer(self, content: bytes | None, *, body: bool) -> None:
        self.send_response(404 if content is None else 200)
        self.send_header("content-length", str(len(content or b"")))
        self.end_headers()
        for start in range(0, len(content or b"") if body else 0, CHUNK):
            self.wfile.write((content or b"")[start : start + CHUNK])
            time.sleep(self.seconds)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the other end was killed
            super().handle()


@contextmanager
def serving(seconds: float = 0.0) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Host and port, and the files by path."""
    own = type("Own", (Handler,), {"files": {}, "seconds": seconds})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), own) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", own.files
        finally:
            server.shutdown()
            thread.join()


class StandIn(fsspec.AbstractFileSystem):
    """Addresses `standin://HOST:PORT/PATH`."""

    protocol = "standin"
    cachable = False

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        host, _, rest = self._strip_protocol(path).partition("/")
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            connection.request(method, f"/{rest}", content, {"connection": "close"})
            with connection.getresponse() as answer:
                if answer.status == 404:
                    raise FileNotFoundError(path)
                return answer.read()
        finally:
            connection.close()

    def exists(self, path: str, **_: Any) -> bool:
        try:
            self._ask("HEAD", path)
        except FileNotFoundError:
            return False
        return True

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def open(self, path: str, *_: Any) -> Any:
        return io.BytesIO(self._ask("GET", path))

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        with open(lpath, "rb") as file:
            self._ask("PUT", rpath, file.read())

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        self._ask("PUT", path, value)


fsspec.register_implementation("standin", StandIn, clobber=True)
