"""Where the daemon listens."""

import os
from pathlib import Path

from .errors import ArgumentError

_VARIABLE = "COEXEC_ADDRESS"
_LOOPBACK_HOSTS = ("localhost", "127.", "[::1]", "ip6-localhost")
_OTHER_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix-abstract:")  # gRPC's own, left to it
_SOCKET_PATH_MAX = 107  # sockaddr_un
_FORM = "it must be unix:PATH or HOST:PORT"


def default_socket() -> Path:
    """The Unix socket a daemon opens, and a client calls, when nothing else is said.

    It lies in the user's runtime directory, or, where there is none, in a folder of the user's
    own under /tmp.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "coexec" if runtime else Path(f"/tmp/coexec-{os.getuid()}")
    return folder / "coexec.sock"


def default_address() -> str:
    """COEXEC_ADDRESS where it is set, else `unix:` and the default socket."""
    return os.environ.get(_VARIABLE) or f"unix:{default_socket()}"


def chosen_address(address: object) -> str:
    """`address`, or the default one for None. Raises ArgumentError for what is no address."""
    if address is None:
        return _checked(_VARIABLE, default_address())
    if not isinstance(address, str):
        raise ArgumentError(f"address is {address!r}; {_FORM}, as a str")
    return _checked("address", address)


def is_same_machine(address: str) -> bool:
    """Whether `address` (`unix:PATH` or `HOST:PORT`) can only name a daemon on this machine."""
    return address.startswith(("unix:", *_LOOPBACK_HOSTS))


def _checked(name: str, address: str) -> str:
    if address.startswith(_OTHER_SCHEMES):
        return address
    path = address.removeprefix("unix:")
    if path != address:
        if not path:
            raise ArgumentError(f"{name} is {address!r}; {_FORM}")
        if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
            raise ArgumentError(
                f"{name} is {address!r}; a socket's path has at most {_SOCKET_PATH_MAX} bytes"
            )
        return address
    host, _, port = address.rpartition(":")
    if "://" in address:
        raise ArgumentError(f"{name} is {address!r}; {_FORM}, without {address.split('/')[0]}//")
    if "/" in address:
        raise ArgumentError(f"{name} is {address!r}; {_FORM}; did you mean 'unix:{address}'?")
    bare = ":" not in host or (host.startswith("[") and host.endswith("]"))
    if not host or not bare or not port.isdecimal() or int(port) > 65535:
        raise ArgumentError(f"{name} is {address!r}; {_FORM}")
    return address
