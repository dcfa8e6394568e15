"""Shared-memory regions: made once, lent to one call at a time, removed at the end.

Here is bookkeeping and files only; the clients tell the daemon which regions there are. A region
loses its name once the daemon has it open, and its owner keeps it locked: when a client is killed,
nothing of it stays in /dev/shm, and the daemon can tell that nobody is left to unregister it.
"""

import contextlib
import fcntl
import mmap
import os
import secrets
import threading
import time
import weakref
from pathlib import Path

OWNED_PREFIX = "coexec-owned-"  # of keys whose owners keep them locked
_FOLDER = Path("/dev/shm")
_REGION_BYTES_MIN = 1 << 18
_POOL_BYTES_MAX = 1 << 28
_ORPHAN_AGE_S = 10.0


class Region:
    """A file of shared memory, readable and writable by its owner only.

    Raises OSError where it cannot be made. Memory is taken at once, so that a full file system
    shows here and not as a signal at the first write.
    """

    def __init__(self, byte_size: int) -> None:
        self.name = f"{OWNED_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        self.key = f"/{self.name}"
        self.byte_size = byte_size
        self.registered = False
        path = _FOLDER / self.name
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.posix_fallocate(descriptor, 0, byte_size)
            self._map = mmap.mmap(descriptor, byte_size)
        except OSError:
            path.unlink()
            os.close(descriptor)
            raise
        self.view = memoryview(self._map)
        self._unlink = weakref.finalize(self, _unlink, path, os.getpid())
        self._unlock = weakref.finalize(self, os.close, descriptor)

    def was_registered(self) -> None:
        """The daemon has it open, and it needs its name no longer."""
        self.registered = True
        self._unlink()

    def remove(self) -> None:
        """Let it go. The memory goes when the last process unmaps it."""
        self._unlink()
        self._unlock()
        with contextlib.suppress(BufferError):  # an array still looks at it; it goes with that
            self.view.release()
            self._map.close()


def _unlink(path: Path, owner_pid: int) -> None:
    if os.getpid() == owner_pid:  # a forked child leaves its parent's regions alone
        path.unlink(missing_ok=True)


def remove_orphans() -> None:
    """Remove what clients left that were killed between making a region and registering it."""
    for path in _FOLDER.glob(f"{OWNED_PREFIX}*"):
        with contextlib.suppress(OSError):  # another's, or gone meanwhile
            if time.time() - path.stat().st_mtime < _ORPHAN_AGE_S:
                continue  # it may be about to be locked
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


class RegionPool:
    """Regions to lend. Safe with several threads."""

    def __init__(self, bytes_max: int = _POOL_BYTES_MAX) -> None:
        self._lock = threading.Lock()
        self._bytes_max = bytes_max
        self._bytes = 0
        self._free: list[Region] = []
        self._lent: set[Region] = set()
        self._dropped: list[str] = []
        self._has_cleaned = False
        self.closed = False

    def take(self, byte_size: int) -> Region | None:
        """A region of at least `byte_size` bytes, or None where there is no room for one."""
        with self._lock:
            if self.closed:
                return None
            fitting = [region for region in self._free if region.byte_size >= byte_size]
            if fitting:
                region = min(fitting, key=lambda region: region.byte_size)
                self._free.remove(region)
            else:
                size = max(_REGION_BYTES_MIN, 1 << (byte_size - 1).bit_length())
                while self._free and self._bytes + size > self._bytes_max:
                    self._drop(self._free.pop(0))
                if self._bytes + size > self._bytes_max:
                    return None
                if not self._has_cleaned:
                    self._has_cleaned = True
                    remove_orphans()
                try:
                    region = Region(size)
                except OSError:
                    return None
                self._bytes += size
            self._lent.add(region)
            return region

    def give(self, region: Region) -> None:
        """Take a region back that nobody reads or writes any more."""
        with self._lock:
            if region in self._lent:
                self._lent.remove(region)
                self._free.append(region)

    def retire(self, region: Region) -> None:
        """Take a region back that the daemon may still be using: never lend it again."""
        with self._lock:
            if region in self._lent:
                self._lent.remove(region)
                self._drop(region)

    def take_dropped(self) -> list[str]:
        """The names of registered regions gone since the last call, to be unregistered."""
        with self._lock:
            dropped, self._dropped = self._dropped, []
            return dropped

    def forget(self) -> None:
        """Drop every free region: the daemon does not know them any more."""
        with self._lock:
            while self._free:
                self._drop(self._free.pop())

    def close(self) -> None:
        """Drop every region, lent ones too."""
        with self._lock:
            self.closed = True
            for region in (*self._free, *self._lent):
                self._drop(region)
            self._free.clear()
            self._lent.clear()

    def _drop(self, region: Region) -> None:
        self._bytes -= region.byte_size
        if region.registered:
            self._dropped.append(region.name)
        region.remove()
