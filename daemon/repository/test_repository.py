"""What a load leaves behind that does not come to its end."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from coexec.daemon.errors import RequestError
from coexec.daemon.repository.repository import Repository
from coexec.daemon.repository.test_programs import Maker, shapes
from coexec.daemon.repository.test_warming import version_of
from coexec.daemon.state import StateStore


def _repository(folder: Path, *makers: Maker) -> Repository:
    """Of one model, whose first version's programs come from the makers, load by load."""
    file = folder / "models" / "net" / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.touch()
    left = list(makers)

    async def load(*_: Any) -> Any:
        return version_of(left.pop(0), "x")

    nothing: Any = None
    flights: Any = SimpleNamespace(forget=lambda _: None)
    store = StateStore(folder / "state")
    repository = Repository([folder / "models"], store, nothing, nothing, nothing, flights)
    repository._loader = cast(Any, SimpleNamespace(load=load))
    return repository


async def test_a_load_cancelled_while_it_warms_leaves_no_program(tmp_path: Path) -> None:
    old, new = Maker(), Maker()
    await old.programs.build(shapes(1))
    await new.programs.build(shapes(2))
    repository = _repository(tmp_path, old, new)
    await repository.load("net", {})
    new.go.clear()
    loading = asyncio.create_task(repository.load("net", {}))
    async with asyncio.timeout(60):
        while shapes(1) not in new.made:
            await asyncio.sleep(0)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert new.dropped == ["program ((2, 3),)"]
    assert repository.find("net", "").programs is old.programs
    assert old.dropped == []


async def test_a_load_that_fails_is_logged_with_what_goes_on(tmp_path: Path) -> None:
    old = Maker()
    await old.programs.build(shapes(1))
    repository = _repository(tmp_path, old)
    await repository.load("net", {})
    (tmp_path / "models" / "net" / "1" / "model.onnx").unlink()
    with structlog.testing.capture_logs() as logged, pytest.raises(RequestError) as refused:
        await repository.load("net", {})
    (line,) = logged
    assert (line["event"], line["model"], line["serving"]) == ("model not loaded", "net", [1])
    assert line["why"] == refused.value.text
