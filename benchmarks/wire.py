"""One session on the real server, as a browser keeps it: Streamlit's protocol over a websocket."""

import asyncio
import http.client
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PATIENCE = 120.0
"""Seconds until a missing answer is an error."""
QUIET = 5.0
"""Seconds without a word after which nothing more is said to have come of two clicks: where many sessions click at once, the answer
to the second can begin long after that to the first has ended."""


@dataclass
class Browser:
    """What a browser knows of one session: the page, its elements, and the state of its widgets."""

    stream: websockets.ClientConnection
    session: str = ""
    """Its name, which the server alone has given it."""
    page: str = ""
    """Hash of the page that is shown."""
    address: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    """Hash of each page by its name."""
    elements: dict[tuple[int, ...], Any] = field(default_factory=dict)
    fragments: dict[str, str] = field(default_factory=dict)
    """The fragment that a widget lies in, by the widget's id."""
    values: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Field and value of each widget's state, by its id."""

    async def send(self, *, fragment: str = "", trigger: str = "", back: bool = False, wait: bool = True) -> None:
        """Ask for a run of the page, or of one of its fragments, and take in the answer."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash, state.fragment_id = self.address, self.page, fragment
        state.is_history_navigation = back
        for identity, (kind, value) in self.values.items():
            widget = state.widget_states.widgets.add(id=identity)
            if kind.startswith("file"):
                getattr(widget, kind).CopyFrom(value)
            elif kind.endswith("array_value"):
                getattr(widget, kind).data.extend(value)
            else:
                setattr(widget, kind, value)
        if trigger:
            state.widget_states.widgets.add(id=trigger, trigger_value=True)
        await self.stream.send(message.SerializeToString())
        if wait:
            await self._answer()

    async def begun(self) -> None:
        """Take in messages until the run draws: a button's press that is overtaken before its callback is dropped by Streamlit."""
        while await self._next(PATIENCE) != "delta":
            pass

    async def quiet(self) -> None:
        """Take in messages until the script has run to its end and no other run has begun."""
        await self._answer()
        while await self.another(QUIET):
            pass

    async def another(self, patience: float) -> bool:
        """Take in one more answer; False where none has begun within so many seconds."""
        try:
            await self._answer(patience)
        except TimeoutError:
            return False
        return True

    async def _next(self, patience: float) -> str:
        """Take in one message; its kind, nothing for the end of a run that another cut short."""
        message = ForwardMsg.FromString(await asyncio.wait_for(self.stream.recv(decode=False), patience))
        kind = message.WhichOneof("type") or ""
        if kind in {"new_session", "navigation", "page_info_changed", "delta"}:
            getattr(self, f"_{kind}")(message)
        return "" if kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN else kind

    async def _answer(self, patience: float = PATIENCE) -> None:
        """Take in messages until the script has run to its end."""
        while (kind := await self._next(patience)) != "script_finished":
            patience = PATIENCE if kind == "new_session" else patience
        shown = {proto.id for _, proto in self.widgets()}
        self.values = {identity: value for identity, value in self.values.items() if identity in shown}

    def _new_session(self, message: ForwardMsg) -> None:
        self.page = message.new_session.page_script_hash
        self.session = message.new_session.initialize.session_id
        if not message.metadata.run.fragment_ids:
            self.elements.clear()
            self.fragments.clear()

    def _navigation(self, message: ForwardMsg) -> None:
        self.page = message.navigation.page_script_hash
        self.pages = {page.url_pathname or "explore": page.page_script_hash for page in message.navigation.app_pages}

    def _page_info_changed(self, message: ForwardMsg) -> None:
        self.address = message.page_info_changed.query_string

    def _delta(self, message: ForwardMsg) -> None:
        if message.delta.WhichOneof("type") != "new_element":
            return
        element = message.delta.new_element
        self.elements[tuple(message.metadata.delta_path)] = element
        proto = getattr(element, element.WhichOneof("type"))
        if (value := _value(proto)) is not None and (proto.id not in self.values or proto.set_value):
            self.values[proto.id] = value
        if message.delta.fragment_id and hasattr(proto, "id"):
            self.fragments[proto.id] = message.delta.fragment_id

    def of(self, kind: str) -> list[Any]:
        """All elements of a kind."""
        return [getattr(element, kind) for element in self.elements.values() if element.WhichOneof("type") == kind]

    def widgets(self) -> list[tuple[str, Any]]:
        """Key and element of all widgets."""
        protos = [getattr(element, element.WhichOneof("type")) for element in self.elements.values()]
        return [(_key(proto.id), proto) for proto in protos if getattr(proto, "id", "").startswith("$$ID-")]

    def widget(self, key: str) -> Any:
        """The widget of a key; None where the page has none."""
        return next((proto for own, proto in self.widgets() if own == key), None)

    def value(self, key: str) -> Any:
        """What a widget shows."""
        return self.values[self.widget(key).id][1]

    async def set(self, key: str, value: Any) -> None:
        """Move a widget."""
        proto = self.widget(key)
        self.values[proto.id] = (self.values[proto.id][0], value)
        await self.send(fragment=self.fragments.get(proto.id, ""))

    async def press(self, key: str, *, wait: bool = True) -> None:
        """Press a button."""
        proto = self.widget(key)
        await self.send(fragment=self.fragments.get(proto.id, ""), trigger=proto.id, wait=wait)

    async def drop(self, server: str, files: dict[str, bytes]) -> list[int]:
        """Drop files on the page's uploader; the status of each file's way to the server."""
        proto, state, said = self.of("file_uploader")[0], FileUploaderState(), list[int]()
        for name, content in files.items():
            file = str(uuid.uuid4())
            said.append(await asyncio.to_thread(put, server, self.session, file, name, [content]))
            info = state.uploaded_file_info.add(file_id=file, name=name, size=len(content))
            info.file_urls.file_id = file
        self.values[proto.id] = ("file_uploader_state_value", state)
        await self.send()
        return said

    async def download(self, server: str, key: str) -> bytes:
        """Press a button that makes a file when it is pressed; the file."""
        message = BackMsg()
        message.backend_operation_request.request_id = str(uuid.uuid4())
        message.backend_operation_request.session_id = self.session
        message.backend_operation_request.deferred_file.file_id = self.widget(key).deferred_file_id
        await self.stream.send(message.SerializeToString())
        while True:
            heard = ForwardMsg.FromString(await asyncio.wait_for(self.stream.recv(decode=False), PATIENCE))
            if heard.WhichOneof("type") == "backend_operation_response":
                answer = heard.backend_operation_response
                if answer.error_msg:
                    return answer.error_msg.encode()
                return await asyncio.to_thread(fetched, server, answer.deferred_file.url)

    async def open(self, page: str) -> None:
        """Go to another page as the navigation does: with an empty address."""
        self.page, self.address = self.pages[page], ""
        await self.send()

    async def follow(self, page: str, *, wait: bool = True, **query: str) -> None:
        """Go to an address, as back and forward do."""
        self.page, self.address = self.pages.get(page, ""), urlencode(query)
        await self.send(back=True, wait=wait)


def _key(identity: str) -> str:
    """The key that an element was given, of the id that Streamlit made of it."""
    return identity.split("-", 2)[2]


def _value(proto: Any) -> tuple[str, Any] | None:
    """Field and value that a browser keeps of a widget that comes in; None where it keeps nothing."""
    match proto.DESCRIPTOR.name:
        case "Selectbox" if proto.HasField("raw_value" if proto.set_value else "default"):  # one that begins empty keeps nothing
            return "string_value", proto.raw_value if proto.set_value else proto.options[proto.default]
        case "ButtonGroup":
            chosen = proto.raw_values if proto.set_value else [proto.options[i].content for i in proto.default]
            return "string_array_value", list(chosen)
        case "MultiSelect":
            chosen = proto.raw_values if proto.set_value else [proto.options[i] for i in proto.default]
            return "string_array_value", list(chosen)
        case "Slider" if proto.options:
            chosen = proto.raw_value if proto.set_value else [proto.options[int(i)] for i in proto.default]
            return "string_array_value", list(chosen)
        case "Slider":
            return "double_array_value", list(proto.value if proto.set_value else proto.default)
    return None


def fetched(server: str, path: str) -> bytes:
    """The content of an address of the server's."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    try:
        connection.request("GET", f"{urlsplit(server).path}{path}")
        with connection.getresponse() as answer:
            return answer.read()
    finally:
        connection.close()


def put(server: str, session: str, file: str, name: str, content: Iterable[bytes], *, measured: bool = True) -> int:
    """Send a file to the server as a browser does, and return the answer's status; unmeasured, without saying how long it is."""
    base, connection = urlsplit(server).path, http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    connection.request("GET", f"{base}/_stcore/health")
    answer = connection.getresponse()
    answer.read()
    token = (answer.getheader("set-cookie") or "").partition("=")[2].partition(";")[0]
    head = f'--b\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
    body = [head, *content, b"\r\n--b--\r\n"]
    headers = {"content-type": "multipart/form-data; boundary=b", "x-xsrftoken": token, "cookie": f"_streamlit_xsrf={token}"}
    headers |= {"content-length": str(sum(map(len, body)))} if measured else {}
    try:
        connection.request("PUT", f"{base}/_stcore/upload_file/{session}/{file}", iter(body), headers, encode_chunked=not measured)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return 0
    finally:
        connection.close()
