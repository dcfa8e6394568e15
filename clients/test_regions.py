"""The pool's bookkeeping and its files."""

import fcntl
import os
from pathlib import Path

import pytest

from coexec.clients import regions


def _path(region: regions.Region) -> Path:
    return Path("/dev/shm") / region.name


def test_the_smallest_region_that_fits_is_lent() -> None:
    pool = regions.RegionPool()
    large, small = pool.take(1 << 20), pool.take(10)
    assert large is not None
    assert small is not None
    pool.give(large)
    pool.give(small)
    assert pool.take(100) is small
    assert pool.take(100) is large
    pool.close()
    assert not _path(large).exists()
    assert not _path(small).exists()
    assert pool.take(1) is None


def test_the_pool_is_bounded_and_makes_room() -> None:
    pool = regions.RegionPool(bytes_max=1 << 19)
    first, second = pool.take(10), pool.take(10)
    assert first is not None
    assert second is not None
    assert pool.take(10) is None
    first.was_registered()
    assert not _path(first).exists()
    pool.give(first)
    assert pool.take(1 << 20) is None  # larger than the pool
    assert pool.take_dropped() == [first.name]
    pool.retire(second)
    assert not _path(second).exists()
    assert pool.take_dropped() == []  # it was never registered
    assert pool.take(1 << 19) is not None
    pool.close()


def test_a_region_is_locked_as_long_as_its_owner_is_there() -> None:
    pool = regions.RegionPool()
    region = pool.take(10)
    assert region is not None
    other = os.open(_path(region), os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    pool.close()
    fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(other)


def test_orphans_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(regions, "_FOLDER", tmp_path)
    pool = regions.RegionPool()
    kept = pool.take(10)
    assert kept is not None
    orphan, young, other = (tmp_path / f"{regions.OWNED_PREFIX}{name}" for name in "abc")
    foreign = tmp_path / "c"
    for path in (orphan, young, foreign):
        path.write_bytes(b"")
    other.symlink_to(foreign)
    for path in (orphan, foreign, tmp_path / kept.name):
        os.utime(path, (1, 1))
    made = regions.RegionPool().take(10)
    assert made is not None
    assert {path.name for path in tmp_path.iterdir()} == {
        *(young.name, other.name, foreign.name, kept.name, made.name)
    }


def test_no_region_where_none_can_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(regions, "_FOLDER", tmp_path / "absent")
    assert regions.RegionPool().take(10) is None

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(regions, "_FOLDER", tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert regions.RegionPool().take(10) is None
    assert list(tmp_path.iterdir()) == []


def test_a_region_outlives_its_name_while_looked_at() -> None:
    pool = regions.RegionPool()
    region = pool.take(10)
    assert region is not None
    part = region.view[:4]
    pool.close()
    part[:] = b"abcd"
    assert bytes(part) == b"abcd"
