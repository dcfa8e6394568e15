import gc
import os
from pathlib import Path
from typing import Any

import pytest

from coexec.daemon.errors import RequestError
from coexec.daemon.regions import REGIONS_MAX, Regions


@pytest.fixture
def shared() -> Any:
    path = Path(f"/dev/shm/coexec-test-{os.getpid()}")
    path.write_bytes(bytes(range(64)))
    yield path
    path.unlink(missing_ok=True)


def _refused(text: str) -> Any:
    return pytest.raises(RequestError, match=text)


def test_read_and_write(shared: Any) -> None:
    regions = Regions()
    regions.register("a", f"/{shared.name}", 16, 32)
    regions.register("b", shared.name, 0, 64)
    region = regions.get("a")
    target = bytearray(4)
    region.read_into(memoryview(target), 2)
    assert target == bytes([18, 19, 20, 21])
    region.write_from(memoryview(b"xyz"), 29)
    assert shared.read_bytes()[45:48] == b"xyz"
    assert {r.name for r in regions.select("")} == {"a", "b"}
    assert [r.byte_size for r in regions.select("b")] == [64]


def test_bounds_are_checked_at_every_use(shared: Any) -> None:
    regions = Regions()
    regions.register("a", shared.name, 32, 32)
    region = regions.get("a")
    region.check(0, 32)
    for offset, size in ((1, 32), (33, 0), (-1, 4), (0, -1), (2**63, 1)):
        with _refused("Invalid offset"):
            region.check(offset, size)


def test_a_truncated_region_is_an_error_and_stays_short(shared: Any) -> None:
    regions = Regions()
    regions.register("a", shared.name, 0, 64)
    region = regions.get("a")
    os.truncate(shared, 10)
    with _refused("was truncated after it was registered: its key .* now has 10 bytes"):
        region.read_into(memoryview(bytearray(64)), 0)
    with _refused("was truncated"):
        region.write_from(memoryview(bytes(64)), 0)
    assert shared.stat().st_size == 10


@pytest.mark.parametrize("key", ["", "/", "a/b", "/../x", "..", ".", "a\0b", "x" * 256])
def test_what_is_no_key(key: Any) -> None:
    with _refused("is no key"):
        Regions().register("a", key, 0, 1)


def test_refused_registrations(shared: Any) -> None:
    regions = Regions()
    with _refused("Unable to open shared memory region: 'coexec-none'"):
        regions.register("a", "coexec-none", 0, 1)
    with _refused("reserved prefix"):
        regions.register("a", "/triton_python_backend_shm_region_7", 0, 1)
    for offset, size in ((0, 65), (64, 1), (2**64 - 1, 2**64 - 1), (0, 0)):
        with _refused("failed to register shared memory region 'a': invalid args"):
            regions.register("a", shared.name, offset, size)
    with _refused("needs a name"):
        regions.register("", shared.name, 0, 1)
    regions.register("a", shared.name, 0, 1)
    with _refused("already in manager") as caught:
        regions.register("a", shared.name, 0, 1)
    assert caught.value.code.name == "ALREADY_EXISTS"


def test_links_and_folders_are_no_regions(shared: Any) -> None:
    link = shared.with_name(f"{shared.name}-link")
    link.symlink_to("/etc/hostname")
    try:
        with _refused("Unable to open"):
            Regions().register("a", link.name, 0, 1)
    finally:
        link.unlink()


def test_a_region_in_use_outlives_its_name(shared: Any) -> None:
    regions = Regions()
    regions.register("a", shared.name, 0, 64)
    held = regions.get("a")
    regions.unregister("a")
    regions.unregister("a")
    with _refused("Unable to find shared memory region: 'a'"):
        regions.get("a")
    held.read_into(memoryview(bytearray(1)), 0)
    fd = held.fd
    del held
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_regions_are_bounded(shared: Any) -> None:
    regions = Regions()
    for i in range(REGIONS_MAX):
        regions.register(str(i), shared.name, 0, 1)
    with _refused("the most kept"):
        regions.register("one more", shared.name, 0, 1)
    regions.unregister("")
    assert regions.select("") == []
