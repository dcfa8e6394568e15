import socket
import stat
from typing import Any

import pytest

from coexec.daemon.listen import (
    ListenError,
    Tls,
    check_safe,
    parse_address,
    prepare_socket,
)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:5", "::1", 5, True),
        ("0.0.0.0:5", "0.0.0.0", 5, False),
        ("[::]:5", "::", 5, False),
        ("robot.local:5", "robot.local", 5, False),
    ],
)
def test_tcp(text: Any, host: Any, port: Any, loopback: Any, tmp_path: Any) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)
    check_safe(address, Tls(tmp_path, tmp_path))
    if not loopback:
        with pytest.raises(ListenError, match="can be reached from other machines"):
            check_safe(address, None)


@pytest.mark.parametrize("text", ["", "8001", "unix:", ":8001", "host:", "host:x", "host:70000"])
def test_no_address(text: Any) -> None:
    with pytest.raises(ListenError, match="is no address"):
        parse_address(text)


def test_unix(tmp_path: Any) -> None:
    address = parse_address(f"unix:{tmp_path}/s")
    assert address.path == tmp_path / "s"
    assert address.is_loopback
    with pytest.raises(ListenError, match="at most 107 bytes"):
        parse_address("unix:/" + "a" * 120)


def test_a_new_folder_is_the_owners(tmp_path: Any) -> None:
    prepare_socket(tmp_path / "new" / "s")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_places_that_are_taken_or_not_safe(tmp_path: Any) -> None:
    path = tmp_path / "s"
    path.touch()
    with pytest.raises(ListenError, match="is no socket"):
        prepare_socket(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(ListenError, match="another daemon listens there"):
            prepare_socket(path)
    prepare_socket(path)  # nobody listens any more
    assert not path.exists()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ListenError, match="others could replace the socket"):
        prepare_socket(tmp_path / "open" / "s")
    (tmp_path / "file").touch()
    with pytest.raises(ListenError, match=r"Not a directory|File exists"):
        prepare_socket(tmp_path / "file" / "s")


def test_tls_files_must_be_there(tmp_path: Any) -> None:
    with pytest.raises(ListenError, match=r"TLS: .*No such file"):
        Tls(tmp_path / "c", tmp_path / "k").credentials()
