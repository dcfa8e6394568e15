"""The engine process's control loop."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from coexec.protos import engine_pb2
from coexec.scheduler.engine import reports
from coexec.scheduler.engine.framing import frame, read_message
from coexec.scheduler.engine.manager import Manager

T = TypeVar("T")

_WORKERS_MAX = 8
# Loading yields the processor to the lanes.
_WORKER_NICE = 10


def _make_patient() -> None:
    # On Linux a thread has a priority of its own.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _WORKER_NICE)


class Server:
    """Answers control requests until the daemon closes the socket. Each request has a task of
    its own, so a slow load delays no snapshot."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._workers = ThreadPoolExecutor(_WORKERS_MAX, "control", _make_patient)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, control: socket.socket) -> None:
        """Raises ConnectionError when the request ring or the control socket holds garbage."""
        loop = asyncio.get_running_loop()
        ring_broken = asyncio.Event()
        loop.add_reader(self._manager.engine.broken_fd(), ring_broken.set)
        broken = asyncio.create_task(ring_broken.wait())
        reader, writer = await asyncio.open_connection(sock=control)
        answering = asyncio.create_task(self._answer_all(reader, writer))
        await asyncio.wait([answering, broken], return_when=asyncio.FIRST_COMPLETED)
        loop.remove_reader(self._manager.engine.broken_fd())
        if not answering.done():
            answering.cancel()
            raise ConnectionError("the request ring holds what is no record")
        broken.cancel()
        self._workers.shutdown(wait=False, cancel_futures=True)
        await answering

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while message := await read_message(reader):
            request = engine_pb2.ControlRequest.FromString(message)
            task = asyncio.create_task(self._answer(request, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, request: engine_pb2.ControlRequest, writer: asyncio.StreamWriter
    ) -> None:
        try:
            reply = await self._do(request)
        except Exception as error:  # whatever goes wrong with one model is its caller's to know
            text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
            reply = engine_pb2.ControlReply(error=text or type(error).__name__)
        reply.id = request.id
        writer.write(frame(reply.SerializeToString()))
        await writer.drain()

    async def _do(self, request: engine_pb2.ControlRequest) -> engine_pb2.ControlReply:
        manager = self._manager
        match request.WhichOneof("what"):
            case "load":
                load_us = await self._in_worker(lambda: manager.load(request.load))
                return engine_pb2.ControlReply(loaded=engine_pb2.Loaded(load_us=load_us))
            case "unload":
                await self._in_worker(lambda: manager.unload(request.unload.program_id))
                return engine_pb2.ControlReply()
            case "snapshot":
                return engine_pb2.ControlReply(snapshot=reports.snapshot(manager))
            case "reuse":
                return engine_pb2.ControlReply(reuse=reports.sharing(manager))
            case "plan":
                return engine_pb2.ControlReply(plan=reports.plan(manager))
            case "progress":
                return engine_pb2.ControlReply(progress=reports.progress(manager))
            case "timeline":
                window = reports.timeline(manager, request.timeline.window_us)
                return engine_pb2.ControlReply(timeline=window)
        raise ValueError("the engine does not know this request")

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)
