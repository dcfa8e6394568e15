"""Where the daemon listens."""

import os
from pathlib import Path

_VARIABLE = "COEXEC_ADDRESS"
_LOOPBACK_HOSTS = ("localhost", "127.", "[::1]", "ip6-localhost")


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


def is_same_machine(address: str) -> bool:
    """Whether `address` (`unix:PATH` or `HOST:PORT`) can only name a daemon on this machine."""
    return address.startswith(("unix:", *_LOOPBACK_HOSTS))
