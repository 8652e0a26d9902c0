"""The relay of the benchmarks: what passes is what came, and a question and its answer are timed."""

import socket
import threading
import time

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.relay import Relay, frames

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def frame(body: bytes, mask: bytes = b"", kind: int = 2) -> bytes:
    size = len(body)
    told = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
    told = bytes([told[0] | 128 * bool(mask)]) + told[1:]
    return bytes([128 | kind]) + told + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(body)) if mask else body)


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65535, 65536, 100_000])
@pytest.mark.parametrize("mask", [b"", b"\x01\x02\x03\xff"])
def test_messages_are_told_whole_wherever_they_were_cut(size, mask, rng):
    body = rng.bytes(size)
    content = frame(b"text", mask, kind=1) + frame(body, mask) + frame(b"last", mask)
    for cut in rng.integers(0, len(content), 20):
        *first, held = frames(content[:cut])
        *rest, left = frames(held + content[cut:])
        assert ([*first, *rest], left) == ([body, b"last"], b"")


def test_all_is_passed_on_and_the_time_between_question_and_answer_is_noted():
    question, answer = BackMsg(), ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)
    question.rerun_script.query_string = "a=b"
    asked = b"GET /_stcore/stream HTTP/1.1\r\n\r\n" + frame(question.SerializeToString(), b"abcd")
    heard = []

    def served(listening):
        server, _ = listening.accept()
        with server:
            while sum(map(len, heard)) < len(asked):
                heard.append(server.recv(7))
            server.sendall(UPGRADED + frame(answer.SerializeToString()))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=served, args=(listening,))
        serving.start()
        with Relay(listening.getsockname()[1]) as relay, socket.create_connection(("127.0.0.1", relay.port)) as browser:
            browser.sendall(asked)
            got = b""
            while content := browser.recv(1 << 12):
                got += content
            end = time.monotonic() + 60
            while not relay.answered and time.monotonic() < end:  # what is passed on is told of afterwards
                time.sleep(0.01)
        serving.join()
    assert (b"".join(heard), got) == (asked, UPGRADED + frame(answer.SerializeToString()))
    assert 0 < relay.asked < relay.answered
