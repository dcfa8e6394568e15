"""Looks at a running engine again and again, and says when it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from coexec.daemon.flights import Flights, now_us
from coexec.daemon.hangs import Hang, HangLimits, HangWatch, Seen
from coexec.protos import engine_pb2
from coexec.scheduler.engine.client import EngineProcess


async def watch(
    engine: EngineProcess,
    limits: HangLimits,
    flights: Flights,
    floor_us: Callable[[Sequence[int]], int],
) -> Hang:
    """What hangs, once something does. Answers meanwhile the requests whose deadline passes
    without the engine's saying so. floor_us: of what is computed for these programs. Raises
    EngineGoneError when the engine has ended."""
    hangs = HangWatch(limits, now_us())
    asking = _ask(engine)
    try:
        while True:
            await asyncio.sleep(limits.look_us / 1e6)
            flights.expire()
            progress = None
            if asking.done():
                progress = asking.result()
                asking = _ask(engine)
            lanes = progress.lanes if progress is not None else ()
            floors_us = {at.lane: floor_us(at.programs) for at in lanes}
            if hang := hangs.look(now_us(), Seen(progress, flights.oldest, floors_us)):
                return hang
    finally:
        asking.cancel()


def _ask(engine: EngineProcess) -> asyncio.Task[engine_pb2.EngineProgress]:
    asking = asyncio.create_task(engine.progress())
    # That the engine has ended is no news to whoever watches no longer.
    asking.add_done_callback(lambda done: done.cancelled() or done.exception())
    return asking
