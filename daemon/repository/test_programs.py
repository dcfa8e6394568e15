import asyncio
from typing import Any

import pytest

from coexec.daemon.errors import RequestError, invalid
from coexec.daemon.repository import programs as module
from coexec.daemon.repository.programs import BUILDING_MAX, PROGRAMS_MAX, Programs


class Maker:
    """Makes program names out of shapes, when told to."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.dropped: list[Any] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self.programs: Any = Programs(self.make, self.drop)

    async def make(self, shapes: Any) -> Any:
        self.made.append(shapes)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return f"program {shapes}"

    async def drop(self, program: Any) -> None:
        self.dropped.append(program)


def shapes(n: Any) -> Any:
    return ((n, 3),)


async def test_callers_with_one_shape_wait_for_one_making() -> None:
    maker = Maker()
    maker.go.clear()
    assert maker.programs.enter(shapes(1)) is None
    waiting = [asyncio.create_task(maker.programs.build(shapes(1))) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the others still get it
    maker.go.set()
    await asyncio.gather(*waiting[1:])
    assert maker.made == [shapes(1)]
    assert maker.programs.enter(shapes(1)) == "program ((1, 3),)"


async def test_a_refused_shape_is_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "REFUSALS_MAX", 1)
    maker = Maker()
    maker.error = invalid("does not fit")
    for n in (1, 1, 2, 1):
        with pytest.raises(RequestError, match="does not fit"):
            await maker.programs.build(shapes(n))
    assert maker.made == [shapes(1), shapes(2), shapes(1)]


async def test_the_oldest_shape_goes_when_nobody_uses_it() -> None:
    maker = Maker()
    for n in range(PROGRAMS_MAX):
        await maker.programs.build(shapes(n))
    held = maker.programs.enter(shapes(0))  # now the newest
    second = maker.programs.enter(shapes(1))
    for n in range(PROGRAMS_MAX - 1):
        await maker.programs.build(shapes(100 + n))
    await asyncio.sleep(0)
    assert maker.programs.evictions == PROGRAMS_MAX - 1
    assert second not in maker.dropped or held not in maker.dropped
    assert held not in maker.dropped
    maker.programs.leave(held)
    maker.programs.leave(second)
    await asyncio.sleep(0)


async def test_an_evicted_program_waits_for_its_requests() -> None:
    maker = Maker()
    await maker.programs.build(shapes(0))
    held = maker.programs.enter(shapes(0))
    for n in range(PROGRAMS_MAX):
        await maker.programs.build(shapes(1 + n))
    await asyncio.sleep(0)
    assert maker.dropped == []
    maker.programs.leave(held)
    await maker.programs.close()
    assert maker.dropped.count(held) == 1
    assert len(maker.dropped) == PROGRAMS_MAX + 1
    assert maker.programs.all() == []


async def test_makings_are_bounded() -> None:
    maker = Maker()
    maker.go.clear()
    waiting = [asyncio.create_task(maker.programs.build(shapes(n))) for n in range(BUILDING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(RequestError, match="are being compiled, the most at once") as caught:
        await maker.programs.build(shapes(99))
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"
    await maker.programs.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all("unloaded meanwhile" in str(result) for result in results)
    with pytest.raises(RequestError, match="unloaded meanwhile"):
        await maker.programs.build(shapes(1))


async def test_a_fixed_program_serves_every_shape() -> None:
    maker = Maker()
    maker.programs.fixed = "fixed"
    assert maker.programs.enter(shapes(1)) == maker.programs.enter(shapes(2)) == "fixed"
    closing = asyncio.create_task(maker.programs.close())
    await asyncio.sleep(0)
    maker.programs.leave("fixed")
    assert maker.dropped == []
    maker.programs.leave("fixed")
    await closing
    assert maker.dropped == ["fixed"]


async def test_a_made_program_that_fits_every_shape_is_dropped_once() -> None:
    maker = Maker()

    async def make(_shapes: Any) -> Any:
        maker.programs.fixed = "fits all"
        return "fits all"

    maker.programs.make = make
    await maker.programs.build(shapes(1))
    assert maker.programs.enter(shapes(2)) == "fits all"
    closing = asyncio.create_task(maker.programs.close())
    await asyncio.sleep(0)
    maker.programs.leave("fits all")
    async with asyncio.timeout(5):
        await closing
    assert maker.dropped == ["fits all"]
