"""Where the daemon listens, and how that is kept safe."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import grpc

_SOCKET_PATH_MAX = 107  # sockaddr_un


class ListenError(ValueError):
    """An address that cannot, or must not, be listened on; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """path: of a Unix socket; None for TCP."""

    text: str
    path: Path | None
    host: str = ""
    port: int = 0

    @property
    def is_loopback(self) -> bool:
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """unix:PATH or HOST:PORT; an IPv6 host stands in brackets. Raises ListenError."""
    if text.startswith("unix:") and text != "unix:":
        path = Path(text.removeprefix("unix:")).absolute()
        if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
            raise ListenError(f"{text}: a socket's path has at most {_SOCKET_PATH_MAX} bytes")
        return Address(f"unix:{path}", path)
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ListenError(f"{text!r} is no address; it is unix:PATH or HOST:PORT")
    return Address(text, None, host, int(port))


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form. client_ca: ask clients for certificates signed by it; None: do not."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Raises ListenError."""
        try:
            pair = [(self.key.read_bytes(), self.certificate.read_bytes())]
            ca = self.client_ca.read_bytes() if self.client_ca is not None else None
        except OSError as error:
            raise ListenError(f"TLS: {error.filename}: {error.strerror}") from None
        return grpc.ssl_server_credentials(pair, ca, require_client_auth=ca is not None)


def check_safe(address: Address, tls: Tls | None) -> None:
    """Raises ListenError for an address that strangers could reach in the clear."""
    if not address.is_loopback and tls is None:
        raise ListenError(
            f"{address.text} can be reached from other machines, and there is no TLS: give "
            "--tls-certificate and --tls-key, or listen on 127.0.0.1 or a Unix socket"
        )


def bind(server: grpc.aio.Server, address: Address, tls: Tls | None) -> int:
    """The bound TCP port; 0 for a Unix socket. Raises ListenError."""
    check_safe(address, tls)
    if address.path is not None:
        prepare_socket(address.path)
        before = os.umask(0o177)
        try:
            _add(server, address.text, None)
        finally:
            os.umask(before)
        return 0
    return _add(server, address.text, tls)


def _add(server: grpc.aio.Server, text: str, tls: Tls | None) -> int:
    try:
        if tls is None:
            port = server.add_insecure_port(text)
        else:
            port = server.add_secure_port(text, tls.credentials())
    except RuntimeError as error:
        why = str(error).partition(";")[0]  # what follows is about gRPC's own log
        raise ListenError(f"cannot listen on {text}: {why}") from None
    if port == 0:
        raise ListenError(f"cannot listen on {text}: is it in use?")
    return port


def prepare_socket(path: Path) -> None:
    """Make the socket's folder, owner-only when it is new, and remove a dead daemon's socket.
    Raises ListenError when the place is taken or not safe."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise ListenError(f"{folder}: {error.strerror}") from None
    mode = status.st_mode
    others_write = mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX
    if others_write or status.st_uid not in (os.getuid(), 0):
        raise ListenError(f"{folder}: others could replace the socket there; choose another folder")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} exists and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise ListenError(f"{path}: {error.strerror}") from None
    raise ListenError(f"{path}: another daemon listens there")
