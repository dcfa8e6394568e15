from types import SimpleNamespace
from typing import Any

from coexec.daemon.errors import invalid
from coexec.daemon.repository.test_programs import Maker, shapes
from coexec.daemon.repository.warming import warm


def version_of(maker: Maker, *inputs: str, side: int = 0) -> Any:
    def check_shapes(given: Any) -> None:
        if side and given[0][0] != side:
            raise invalid("does not fit")

    ports = [SimpleNamespace(name=name) for name in inputs]
    return SimpleNamespace(
        name="net", aside="", inputs=ports, programs=maker.programs, check_shapes=check_shapes
    )


async def _known() -> Any:
    maker = Maker()
    for n in (1, 2):
        await maker.programs.build(shapes(n))
    maker.programs.leave(maker.programs.enter(shapes(1)))
    return {3: version_of(maker, "x")}


async def test_shapes_in_use_are_made_before_the_change() -> None:
    maker = Maker()
    await warm({3: version_of(maker, "x")}, await _known())
    assert maker.made == [shapes(1), shapes(2)]  # the last used first


async def test_a_newer_version_takes_the_shapes_of_the_newest() -> None:
    maker = Maker()
    await warm({4: version_of(maker, "x", side=2)}, await _known())
    assert maker.made == [shapes(2)]  # it does not take the other


async def test_nothing_is_made_for_nothing() -> None:
    maker = Maker()
    known = await _known()
    await warm({3: version_of(maker, "y")}, known)  # another network
    await warm({1: version_of(maker, "x")}, {})
    await warm(known, known)
    assert maker.made == []


async def test_a_program_that_fits_every_shape_is_enough() -> None:
    maker = Maker()

    async def make(given: Any) -> Any:
        program = maker.programs.fixed = await Maker.make(maker, given)
        return program

    maker.programs.make = make
    for _ in range(2):
        await warm({3: version_of(maker, "x")}, await _known())
        assert maker.made == [shapes(1)]


async def test_a_full_disk_fails_no_load() -> None:
    maker = Maker()
    maker.error = OSError("no space left")
    await warm({3: version_of(maker, "x")}, await _known())
    assert maker.made == [shapes(1), shapes(2)]
