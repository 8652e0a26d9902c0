"""The fixtures do what they promise: no network, a Chromium that is required where it should be."""

import socket

import conftest
import pytest


@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_connection_to_another_machine_fails_the_test(connect, family):
    # Addresses reserved for documentation: nothing answers there even without the guard.
    address = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}[family]
    with socket.socket(family) as client, pytest.raises(pytest.fail.Exception, match="must not reach another machine"):
        client.settimeout(0.1)
        getattr(client, connect)((address, 80))


def test_a_connection_to_this_machine_is_let_through():
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as client:
        assert client.getpeername() == listening.getsockname()


def test_no_fallback_hides_a_connection():
    assert not issubclass(pytest.fail.Exception, Exception)


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_chromium_fails_only_where_it_is_required(monkeypatch, required, outcome):
    monkeypatch.setenv("DUO_CHROMIUM", "no-such-chromium")
    monkeypatch.setenv("DUO_REQUIRE_BROWSER", required)
    with pytest.raises(outcome, match="no Chromium"):
        conftest.chromium_path()


def test_the_chromium_that_is_named_is_taken(monkeypatch, tmp_path):
    named = tmp_path / "chromium"
    named.touch(mode=0o755)
    monkeypatch.setenv("DUO_CHROMIUM", str(named))
    assert conftest.chromium_path() == str(named)


def test_a_missing_shared_folder_skips_with_its_path(monkeypatch, tmp_path):
    monkeypatch.setenv("DUO_SHARED", str(tmp_path / "absent"))
    with pytest.raises(pytest.skip.Exception, match="absent"):
        conftest.shared_folder()
