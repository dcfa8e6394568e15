"""What supervision does with errors that nobody foresaw."""

from __future__ import annotations

import asyncio

from coexec.daemon.flights import Flights
from coexec.daemon.supervisor import Supervisor
from coexec.scheduler._core import Channel
from coexec.scheduler.engine.client import EngineOptions


class _FailsOnce(Flights):
    failed = False

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel, flights_max=4)
        self.served = asyncio.Event()

    def engine_came(self) -> None:
        if not self.failed:
            self.failed = True
            raise RuntimeError("unforeseen")
        super().engine_came()
        self.served.set()


async def test_an_unforeseen_error_costs_one_engine_and_not_supervision() -> None:
    channel = Channel(1 << 20, 1 << 20, 1 << 16)
    flights = _FailsOnce(channel)
    supervisor = Supervisor(channel, flights, EngineOptions())
    await supervisor.start()
    async with asyncio.timeout(60):
        await flights.served.wait()
    assert supervisor.pid is not None
    assert supervisor.counters.restarts == 1
    assert supervisor.counters.faults == 0
    await supervisor.stop()
    assert supervisor.pid is None
