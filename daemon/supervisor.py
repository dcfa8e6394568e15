"""Keeps an engine running: starts it, loads its programs, and starts it again when it dies.

An engine that hangs is killed, and that is a death like any other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from coexec.daemon.deaths import Death, death_by_hanging, judge, out_of_memory_kills
from coexec.daemon.errors import unavailable
from coexec.daemon.flights import Flights, Stuck, Target
from coexec.daemon.hangs import Hang, HangLimits, longest
from coexec.daemon.heartbeat import watch
from coexec.protos import engine_pb2
from coexec.scheduler._core import Channel, ChannelCorruptError
from coexec.scheduler.engine.client import (
    EngineError,
    EngineGoneError,
    EngineOptions,
    EngineProcess,
)

R = TypeVar("R")
LOAD_FAULTS_MAX = 3  # deaths of the engine while it loads one program, before that is put aside
_BACKOFF_FIRST_S = 0.05
_BACKOFF_MAX_S = 5.0
_EXPIRE_PERIOD_S = 0.02

_log = structlog.get_logger("engine")


@dataclass(slots=True, eq=False)
class Program:
    """A compiled model for concrete shapes, in the engine under program_id. hang_us: how long a
    step of its may run; 0: for ever; None: as long as any model's."""

    program_id: int
    path: Path
    target: Target
    model: str
    version: str
    objective_us: int
    queue_len_max: int
    hang_us: int | None = None
    load_faults: int = 0


@dataclass(slots=True)
class SupervisorCounters:
    restarts: int = 0
    faults: int = 0  # restarts after a death by the engine's own fault
    hangs: int = 0  # kills of an engine that hung


@dataclass(slots=True, eq=False)
class Supervisor:
    """Owns the engine process. One event loop owns it."""

    channel: Channel
    flights: Flights
    options: EngineOptions
    hang_limits: HangLimits = field(default_factory=HangLimits)
    counters: SupervisorCounters = field(default_factory=SupervisorCounters)
    _programs: dict[int, Program] = field(default_factory=dict)
    _last_program_id: int = 0
    _lives_that_served: int = 0
    _engine: EngineProcess | None = None  # it has every program
    _hung: Death | None = None  # this life's, when it was killed for hanging
    _stuck: Stuck | None = None  # and at whose step
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _undoing: set[asyncio.Task[None]] = field(default_factory=set)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the engine runs."""
        self._task = asyncio.create_task(self._supervise())
        await self._came.wait()

    async def stop(self) -> None:
        engine, self._engine = self._engine, None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if engine is not None:
            await engine.stop()

    @property
    def pid(self) -> int | None:
        """None between two lives of the engine."""
        return self._engine.pid if self._engine is not None else None

    def in_use(self) -> set[Path]:
        return {program.path for program in self._programs.values()}

    async def load(self, program: Program) -> int:
        """The microseconds it took. program_id is chosen here. Raises EngineError when the
        engine refuses it or dies of it again and again. When its caller leaves, the program goes
        from the engine again."""
        loading = asyncio.create_task(self._load_alone(program))
        try:
            return await asyncio.shield(loading)
        except asyncio.CancelledError:
            undoing = asyncio.create_task(self._undo(loading, program))
            self._undoing.add(undoing)
            undoing.add_done_callback(self._undoing.discard)
            raise

    async def _undo(self, loading: asyncio.Task[int], program: Program) -> None:
        with contextlib.suppress(EngineError):
            await loading
            await self.unload(program)

    async def _load_alone(self, program: Program) -> int:
        async with self._loading:  # one at a time, so that a death has one cause
            self._last_program_id += 1
            program.program_id = self._last_program_id
            while True:
                engine = await self._running()
                try:
                    load_us = await _load(engine, program)
                except EngineGoneError:
                    await engine.wait()
                    self._note_load_fault(program, engine)
                    if program.load_faults >= LOAD_FAULTS_MAX:
                        raise EngineError(_load_fault_text(program)) from None
                    continue
                self._programs[program.program_id] = program
                return load_us

    async def unload(self, program: Program) -> None:
        """Its memory has gone back to the operating system when this returns."""
        if self._programs.pop(program.program_id, None) is None or self._engine is None:
            return
        with contextlib.suppress(EngineGoneError, EngineError):
            await self._engine.unload(program.program_id)

    async def ask(self, question: Callable[[EngineProcess], Awaitable[R]]) -> R:
        """The running engine's answer. Raises RequestError UNAVAILABLE when there is none."""
        engine = self._engine
        if engine is None:
            raise unavailable("the engine is restarting; ask again")
        try:
            return await question(engine)
        except EngineGoneError:
            raise unavailable("the engine died meanwhile; ask again") from None

    async def snapshot(self) -> engine_pb2.EngineSnapshot:
        return await self.ask(EngineProcess.snapshot)

    async def _running(self) -> EngineProcess:
        while self._engine is None or self._engine.returncode is not None:
            self._came.clear()
            await self._came.wait()
        return self._engine

    async def _supervise(self) -> None:
        backoff_s = _BACKOFF_FIRST_S
        while True:
            served_before = self._lives_that_served
            if await self._one_life():
                self.counters.restarts += 1
            if self._lives_that_served > served_before:
                backoff_s = _BACKOFF_FIRST_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, _BACKOFF_MAX_S)

    async def _one_life(self) -> bool:
        """Of an engine. False when none could be started."""
        expiring = asyncio.create_task(self._expire())
        ooms = out_of_memory_kills()
        try:
            engine = await EngineProcess.start(self.channel, self.options)
        except OSError as error:
            _log.error("the engine cannot be started", error=str(error))
            expiring.cancel()
            return False
        loop = asyncio.get_running_loop()
        loop.add_reader(self.channel.fileno(), self._on_readable, engine)
        self._hung = self._stuck = None
        watching = asyncio.create_task(self._watch(engine))
        try:
            await self._serve_with(engine, expiring)
        except Exception as error:  # ours: this engine goes, and with it whatever state it was in
            _log.error("supervising the engine failed; it is replaced", exc_info=error)
        finally:
            self._engine = None
            loop.remove_reader(self.channel.fileno())
            expiring.cancel()
            code = await engine.stop()
            watching.cancel()
        death = self._hung or judge(code, out_of_memory_kills() > ooms)
        _log.warning("engine died", pid=engine.pid, how=death.how, in_flight=len(self.flights))
        self.counters.faults += death.by_fault
        self.flights.engine_died(death.by_fault, death.how, self._stuck)
        self.channel.reset()
        return True

    async def _serve_with(self, engine: EngineProcess, expiring: asyncio.Task[None]) -> None:
        """Returns when the engine has died."""
        with contextlib.suppress(EngineGoneError):
            await self._load_all(engine)
            expiring.cancel()
            self._engine = engine
            self._lives_that_served += 1
            self._came.set()
            _log.info("engine runs", pid=engine.pid, programs=len(self._programs))
            self.flights.engine_came()
        await engine.wait()

    async def _watch(self, engine: EngineProcess) -> None:
        """Kills the engine when it hangs."""
        try:
            hang = await watch(engine, self.hang_limits, self.flights, self._floor_us)
        except EngineGoneError:
            return
        except Exception as error:  # ours: nobody watches this engine any more
            _log.error("watching the engine failed; it is replaced", exc_info=error)
            engine.kill()
            return
        self._hung = death_by_hanging(engine.pid, hang.why)
        self._stuck = self._whose(hang)
        self.counters.hangs += 1
        _log.error("engine hangs; it is killed", pid=engine.pid, why=self._hung.how)
        engine.kill()

    def _floor_us(self, programs: Sequence[int]) -> int:
        """How long a step may run that was asked for by requests for these programs."""
        default_us = self.hang_limits.floor_us
        own_us = [self._programs[i].hang_us for i in programs if i in self._programs]
        return longest(default_us if us is None else us for us in own_us or [None])

    def _whose(self, hang: Hang) -> Stuck | None:
        if hang.programs is None:
            return None
        programs = [self._programs[i] for i in hang.programs if i in self._programs]
        return Stuck(frozenset(program.target for program in programs), hang.for_us)

    def _on_readable(self, engine: EngineProcess) -> None:
        try:
            self.flights.on_readable()
        except ChannelCorruptError as error:
            _log.error("the engine broke its reply ring", error=str(error))
            engine.kill()

    async def _load_all(self, engine: EngineProcess) -> None:
        """The programs of the life before. Raises EngineGoneError."""
        for program in list(self._programs.values()):
            if program.program_id not in self._programs:  # unloaded meanwhile
                continue
            try:
                await _load(engine, program)
                if program.program_id not in self._programs:
                    await engine.unload(program.program_id)
            except EngineError as error:
                self._put_aside(program, f"put aside: it cannot be loaded again: {error}")
            except EngineGoneError:
                await engine.wait()
                self._note_load_fault(program, engine)
                if program.load_faults >= LOAD_FAULTS_MAX:
                    self._put_aside(program, f"put aside: {_load_fault_text(program)}")
                raise

    def _note_load_fault(self, program: Program, engine: EngineProcess) -> None:
        program.load_faults += (self._hung or judge(engine.returncode or 0, False)).by_fault

    def _put_aside(self, program: Program, reason: str) -> None:
        self._programs.pop(program.program_id, None)
        program.target.blame(reason)

    async def _expire(self) -> None:
        """While there is no engine, somebody else watches the deadlines."""
        while True:
            self.flights.expire()
            await asyncio.sleep(_EXPIRE_PERIOD_S)


async def _load(engine: EngineProcess, program: Program) -> int:
    return await engine.load(
        program.program_id,
        str(program.path),
        model=program.model,
        version=program.version,
        objective_us=program.objective_us,
        queue_len_max=program.queue_len_max,
    )


def _load_fault_text(program: Program) -> str:
    return (
        f"the engine died {program.load_faults} times while it loaded {program.model}, version "
        f"{program.version}"
    )
