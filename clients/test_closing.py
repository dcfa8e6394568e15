"""The end of a client."""

import asyncio
import gc

import numpy as np
import pytest

from coexec.clients import AsyncClient, CancelledCallError, Client
from coexec.clients.conftest import LARGE, Fake

_SMALL = np.zeros(2, np.float32)
_LARGE = np.zeros(LARGE, np.float32)


async def test_a_closed_client(fake: Fake) -> None:
    with Client(fake[1]) as client:
        pass
    for call in (
        lambda: client.infer("double", {"x": _LARGE}),
        lambda: client.infer("double", _LARGE),
        lambda: next(client.stream("double", [_LARGE])),
        lambda: next(client.watch_statistics()),
        client.live,
    ):
        with pytest.raises(CancelledCallError, match="the client is closed; make another"):
            call()
    async with AsyncClient(fake[1]) as client_:
        pass
    for start in (
        lambda: client_.infer("double", _LARGE),
        lambda: anext(client_.stream("double", [_LARGE])),
        lambda: anext(client_.watch_statistics()),
        client_.live,
    ):
        with pytest.raises(CancelledCallError, match="the client is closed; make another"):
            await start()


async def test_closing_ends_what_is_under_way(fake: Fake) -> None:
    fake[0].hold.clear()
    async with AsyncClient(fake[1]) as client:
        call = asyncio.create_task(client.infer("double", {"x": _SMALL}))
        cancelled = asyncio.create_task(client.infer("double", {"x": _SMALL}))
        await asyncio.to_thread(fake[0].arrived.acquire)
        await asyncio.to_thread(fake[0].arrived.acquire)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    with pytest.raises(CancelledCallError, match="the client is closed"):
        await call
    fake[0].hold.set()


def test_a_client_that_is_dropped_leaves_nothing_behind(fake: Fake) -> None:
    daemon, address = fake
    client = Client(address)
    client.infer("double", _LARGE)
    assert daemon.regions
    del client
    gc.collect()
    assert daemon.regions == {}
