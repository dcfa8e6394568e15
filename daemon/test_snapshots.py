"""Statistics while the engine does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coexec.daemon import snapshots as module
from coexec.daemon.snapshots import Snapshots
from coexec.protos import engine_pb2


class _Silent:
    async def snapshot(self) -> engine_pb2.EngineSnapshot:
        return await asyncio.Future()


async def test_a_silent_engine_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.0)
    repository: Any = None
    supervisor: Any = _Silent()
    assert not (await Snapshots(repository, supervisor).engine()).now_us
