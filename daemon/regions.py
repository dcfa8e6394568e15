"""System shared memory that clients registered.

A region is read and written through its descriptor (preadv, pwritev) and never mapped: a client
that truncates its region gets an error, and one that rewrites it while it is read spoils only
its own answer, since the engine computes from a copy. A region of our own client's stays locked
by its owner; once it is not, the owner has ended without unregistering it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from coexec.clients.regions import OWNED_PREFIX
from coexec.daemon.errors import RequestError, exhausted, invalid, not_found

_FOLDER = Path("/dev/shm")
_RESERVED_PREFIX = "triton_python_backend_shm_region_"
REGIONS_MAX = 1024  # each holds a descriptor


@dataclass(slots=True, eq=False, weakref_slot=True)
class Region:
    """Bytes [offset, offset + byte_size) of the object `key`. Whoever holds the region may use
    it; its descriptor is closed when the last holder lets go."""

    name: str
    key: str
    offset: int
    byte_size: int
    fd: int
    _closer: weakref.finalize = field(init=False)  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        self._closer = weakref.finalize(self, os.close, self.fd)

    def check(self, offset: int, byte_size: int) -> None:
        """Raises RequestError unless [offset, offset + byte_size) lies inside the region."""
        if offset < 0 or byte_size < 0 or offset + byte_size > self.byte_size:
            raise invalid(
                f"Invalid offset + byte size for shared memory region: '{self.name}' has "
                f"{self.byte_size} bytes; {byte_size} at offset {offset} lie outside"
            )

    def read_into(self, target: memoryview, offset: int) -> None:
        """Raises RequestError when the object has become shorter than it was registered."""
        done = 0
        while done < len(target):
            got = os.preadv(self.fd, [target[done:]], self.offset + offset + done)
            if got == 0:
                raise self._truncated(offset, len(target))
            done += got

    def write_from(self, source: memoryview, offset: int) -> None:
        """As read_into. A truncated object is not grown again."""
        if os.fstat(self.fd).st_size < self.offset + offset + len(source):
            raise self._truncated(offset, len(source))
        done = 0
        while done < len(source):
            done += os.pwritev(self.fd, [source[done:]], self.offset + offset + done)

    @property
    def is_orphaned(self) -> bool:
        """Whether its owner, known to keep it locked, is gone."""
        if not self.key.removeprefix("/").startswith(OWNED_PREFIX):
            return False
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _truncated(self, offset: int, byte_size: int) -> RequestError:
        return invalid(
            f"shared memory region '{self.name}' was truncated after it was registered: its key "
            f"'{self.key}' now has {os.fstat(self.fd).st_size} bytes, and {byte_size} are wanted "
            f"at {self.offset + offset}"
        )


class Regions:
    """All registered regions by name."""

    def __init__(self) -> None:
        self._regions: dict[str, Region] = {}

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        if not name:
            raise invalid("a shared memory region needs a name")
        self._drop_orphans()
        if name in self._regions:
            raise RequestError(
                grpc.StatusCode.ALREADY_EXISTS,
                f"shared memory region '{name}' already in manager",
            )
        if len(self._regions) >= REGIONS_MAX:
            raise exhausted(f"{REGIONS_MAX} shared memory regions are registered, the most kept")
        fd = _open(name, key)
        region = Region(name, key, offset, byte_size, fd)
        object_bytes = os.fstat(fd).st_size
        if byte_size == 0 or offset + byte_size > object_bytes:
            raise invalid(
                f"failed to register shared memory region '{name}': invalid args: "
                f"{byte_size} bytes at offset {offset} of '{key}', which has {object_bytes}"
            )
        self._regions[name] = region

    def get(self, name: str) -> Region:
        try:
            return self._regions[name]
        except KeyError:
            raise not_found(f"Unable to find shared memory region: '{name}'") from None

    def select(self, name: str) -> list[Region]:
        """The named region, or all of them for ""."""
        self._drop_orphans()
        return [self.get(name)] if name else list(self._regions.values())

    def unregister(self, name: str) -> None:
        """Forget the named region, or all for "". An unknown name is no error."""
        if name:
            self._regions.pop(name, None)
        else:
            self._regions.clear()

    def _drop_orphans(self) -> None:
        for name in [name for name, region in self._regions.items() if region.is_orphaned]:
            del self._regions[name]


def _open(name: str, key: str) -> int:
    plain = key.removeprefix("/")
    if not plain or "/" in plain or "\0" in plain or plain in (".", "..") or len(plain) > 255:
        raise invalid(
            f"failed to register shared memory region '{name}': '{key}' is no key; a key is one "
            "name, with or without a leading '/'"
        )
    if plain.startswith(_RESERVED_PREFIX):
        raise invalid(
            f"cannot register shared memory region '{name}' with key '{key}' as the key "
            f"contains the reserved prefix '{_RESERVED_PREFIX}'"
        )
    try:
        fd = os.open(_FOLDER / plain, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise RequestError(
            grpc.StatusCode.INTERNAL,
            f"Unable to open shared memory region: '{key}' ({os.strerror(error.errno or 0)})",
        ) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise invalid(f"failed to register shared memory region '{name}': '{key}' is no memory")
    return fd
