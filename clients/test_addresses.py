"""Where the daemon listens, and what is no address."""

from typing import Any

import pytest

from coexec.clients import ArgumentError, AsyncClient, Client
from coexec.clients.addresses import chosen_address, default_address, is_same_machine


def test_the_default_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COEXEC_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_address() == "unix:/run/user/7/coexec/coexec.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_address().startswith("unix:/tmp/coexec-")
    monkeypatch.setenv("COEXEC_ADDRESS", "robot:8001")
    assert default_address() == "robot:8001"


def test_addresses_on_this_machine() -> None:
    assert is_same_machine("unix:/a")
    assert is_same_machine("127.0.0.1:1")
    assert is_same_machine("localhost:1")
    assert not is_same_machine("robot:8001")


def test_addresses_stay_as_they_are() -> None:
    for address in ("unix:s", "unix:///run/s", "localhost:1", "[::1]:8001", "dns:///a:1"):
        assert chosen_address(address) == address


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (5, "address is 5; it must be unix:PATH or HOST:PORT, as a str"),
        ("", "address is ''; it must be unix:PATH or HOST:PORT"),
        ("nowhere", "address is 'nowhere'; it must be unix:PATH or HOST:PORT"),
        ("host:", "must be unix:PATH or HOST:PORT"),
        ("host:70000", "must be unix:PATH or HOST:PORT"),
        ("::1:8001", "must be unix:PATH or HOST:PORT"),
        ("unix:", "must be unix:PATH or HOST:PORT"),
        ("/run/coexec.sock", "did you mean 'unix:/run/coexec.sock'"),
        ("http://host:8001", "must be unix:PATH or HOST:PORT, without http://"),
        ("unix:/" + "a" * 120, "a socket's path has at most 107 bytes"),
    ],
)
def test_no_address(address: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ArgumentError, match=message):
            kind(address)
    if isinstance(address, str) and address:
        monkeypatch.setenv("COEXEC_ADDRESS", address)
        with pytest.raises(ArgumentError, match=f"COEXEC_ADDRESS is .*{message[-12:]}"):
            Client()
