"""The daemon's handle on one engine process: start it, speak to it, notice its end.

Starting it again after a crash, and loading the programs again, is the supervisor's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from coexec.protos import engine_pb2
from coexec.scheduler import _core
from coexec.scheduler.engine.framing import FramingError, frame, read_message


class EngineError(RuntimeError):
    """The engine could not do what was asked; the text is its own."""


class EngineGoneError(ConnectionError):
    """The engine process has ended."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """lanes: the cores of each lane; empty: one lane for every core this process may use."""

    lanes: Sequence[Sequence[int]] = ()
    onnxruntime_lanes: int = 1
    reuse: bool = True
    quantum_us: int = 2000
    queue_len_max: int = 256

    def arguments(self) -> list[str]:
        lanes = ";".join(",".join(map(str, cores)) for cores in self.lanes)
        return [
            f"--lanes={lanes}",
            f"--onnxruntime-lanes={self.onnxruntime_lanes}",
            f"--quantum-us={self.quantum_us}",
            f"--queue-len-max={self.queue_len_max}",
            *([] if self.reuse else ["--no-reuse"]),
        ]


class EngineProcess:
    """A running engine, attached to a Channel. One event loop owns it.

    It dies with the thread that started it, and ends by itself when the control socket closes.
    After its end: Channel.reset(), then a new EngineProcess.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[engine_pb2.ControlReply]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        channel: _core.Channel,
        options: EngineOptions = EngineOptions(),
    ) -> EngineProcess:
        """Spawn the engine on the channel's current descriptors. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            fds = channel.engine_fds()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "coexec.scheduler.engine",
                f"--control={theirs.fileno()}",
                f"--channel={','.join(map(str, fds))}",
                f"--parent={os.getpid()}",
                *options.arguments(),
                pass_fds=[theirs.fileno(), *fds],
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end; the return code."""
        code = await self._process.wait()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self._reading)
        return code

    async def stop(self, timeout_s: float = 5.0) -> int:
        """Close the control socket, so that it ends by itself; kill it if it does not."""
        self._writer.close()
        try:
            async with asyncio.timeout(timeout_s):
                return await self.wait()
        except TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def load(
        self,
        program_id: int,
        path: str,
        *,
        model: str,
        version: str,
        objective_us: int = 0,
        queue_len_max: int = 0,
    ) -> int:
        """Load a NAME.coexec folder; requests may name program_id once this returns.
        The microseconds it took. Raises EngineError, EngineGoneError."""
        load = engine_pb2.LoadProgram(
            program_id=program_id,
            path=path,
            model=model,
            version=version,
            objective_us=objective_us,
            queue_len_max=queue_len_max,
        )
        return (await self._call(engine_pb2.ControlRequest(load=load))).loaded.load_us

    async def unload(self, program_id: int) -> None:
        """Refuse further requests, let those in flight finish, give the memory back."""
        unload = engine_pb2.UnloadProgram(program_id=program_id)
        await self._call(engine_pb2.ControlRequest(unload=unload))

    async def snapshot(self) -> engine_pb2.EngineSnapshot:
        request = engine_pb2.ControlRequest(snapshot=engine_pb2.Snapshot())
        return (await self._call(request)).snapshot

    async def reuse(self) -> engine_pb2.SharingReport:
        request = engine_pb2.ControlRequest(reuse=engine_pb2.ReuseReport())
        return (await self._call(request)).reuse

    async def plan(self) -> engine_pb2.EnginePlan:
        return (await self._call(engine_pb2.ControlRequest(plan=engine_pb2.Plan()))).plan

    async def progress(self) -> engine_pb2.EngineProgress:
        request = engine_pb2.ControlRequest(progress=engine_pb2.Progress())
        return (await self._call(request)).progress

    async def timeline(self, window_us: int = 0) -> engine_pb2.TimelineWindow:
        """Every step of the last window_us microseconds; 0: all that is kept."""
        timeline = engine_pb2.Timeline(window_us=window_us)
        return (await self._call(engine_pb2.ControlRequest(timeline=timeline))).timeline

    async def _call(self, request: engine_pb2.ControlRequest) -> engine_pb2.ControlReply:
        if self._reading.done():
            raise EngineGoneError("the engine process has ended")
        self._last_id += 1
        request.id = self._last_id
        answer: asyncio.Future[engine_pb2.ControlReply]
        answer = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        try:
            self._writer.write(frame(request.SerializeToString()))
            await self._writer.drain()
            reply = await answer
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EngineGoneError("the engine process has ended") from error
        finally:
            self._waiting.pop(request.id, None)
        if reply.error:
            raise EngineError(reply.error)
        return reply

    async def _read(self) -> None:
        try:
            while message := await read_message(self._reader):
                reply = engine_pb2.ControlReply.FromString(message)
                answer = self._waiting.get(reply.id)
                if answer is not None and not answer.done():
                    answer.set_result(reply)
        except (FramingError, DecodeError):  # what follows cannot be read either
            self.kill()
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(EngineGoneError("the engine process has ended"))
            self._writer.close()
