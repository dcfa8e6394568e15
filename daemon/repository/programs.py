"""The programs of one model version: one, or one per concrete shape of its dynamic inputs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc

from coexec.daemon.errors import RequestError, exhausted
from coexec.daemon.supervisor import Program

Shapes = tuple[tuple[int, ...], ...]  # of every input, in the model's order
PROGRAMS_MAX = 16  # specialisations kept per model version
BUILDING_MAX = 4  # specialisations made at once, per model version
REFUSALS_MAX = 64  # shapes remembered as impossible


class GoneError(RequestError):
    """The version was unloaded, or replaced, while a request waited for its program."""


@dataclass(slots=True, eq=False)
class Programs:
    """make: compile for shapes and load. drop: unload. fixed: fits every shape the model takes."""

    make: Callable[[Shapes], Awaitable[Program]]
    drop: Callable[[Program], Awaitable[None]]
    fixed: Program | None = None
    evictions: int = 0
    _closed: bool = False
    _ready: OrderedDict[Shapes, Program] = field(default_factory=OrderedDict)
    _building: dict[Shapes, asyncio.Task[Program]] = field(default_factory=dict)
    _refused: OrderedDict[Shapes, RequestError] = field(default_factory=OrderedDict)
    _users: dict[Program, int] = field(default_factory=dict)
    _leaving: dict[Program, asyncio.Event] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def all(self) -> list[Program]:
        return [*([self.fixed] if self.fixed is not None else []), *self._ready.values()]

    def shapes(self) -> list[Shapes]:
        """Those that there are programs for, the last used first."""
        return list(reversed(self._ready))

    def enter(self, shapes: Shapes) -> Program | None:
        """The program for shapes, to be given back with `leave`; None when it must be made."""
        program = self.fixed or self._ready.get(shapes)
        if program is not None:
            self._users[program] = self._users.get(program, 0) + 1
            if program is not self.fixed:
                self._ready.move_to_end(shapes)
        return program

    def leave(self, program: Program) -> None:
        left = self._users[program] - 1
        if left:
            self._users[program] = left
            return
        del self._users[program]
        if program in self._leaving:
            self._leaving[program].set()

    async def build(self, shapes: Shapes) -> None:
        """Make the program for shapes; callers that ask for the same wait for one making.
        Raises RequestError when the model cannot take them, or too many are being made."""
        if self._closed:
            raise _gone()
        if shapes in self._refused:
            raise self._refused[shapes]
        task = self._building.get(shapes)
        if task is None:
            if len(self._building) >= BUILDING_MAX:
                raise exhausted(
                    f"{BUILDING_MAX} new input shapes of this model are being compiled, the most "
                    "at once; send again later, or use fewer shapes"
                )
            task = asyncio.create_task(self._build(shapes))
            task.add_done_callback(_notice)
            self._building[shapes] = task
        try:
            await asyncio.shield(task)  # it goes on when this caller has gone
        except asyncio.CancelledError:
            if task.cancelled():
                raise _gone() from None
            raise

    async def close(self) -> None:
        """Unload everything, each as soon as its requests are answered."""
        self._closed = True
        for task in self._building.values():
            task.cancel()
        programs = self.all()
        self.fixed = None
        self._ready.clear()
        await asyncio.gather(*map(self._retire, programs), *self._tasks)

    async def _build(self, shapes: Shapes) -> Program:
        try:
            program = await self.make(shapes)
        except RequestError as error:
            self._refused[shapes] = error
            if len(self._refused) > REFUSALS_MAX:
                self._refused.popitem(last=False)
            raise
        finally:
            del self._building[shapes]
        if program is not self.fixed:
            self._ready[shapes] = program
        while len(self._ready) > PROGRAMS_MAX:
            _, oldest = self._ready.popitem(last=False)
            self.evictions += 1
            task = asyncio.create_task(self._retire(oldest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return program

    async def _retire(self, program: Program) -> None:
        if program in self._users:
            idle = self._leaving[program] = asyncio.Event()
            await idle.wait()
            del self._leaving[program]
        await self.drop(program)


def _gone() -> GoneError:
    return GoneError(grpc.StatusCode.UNAVAILABLE, "the model was unloaded meanwhile; load it again")


def _notice(task: asyncio.Task[Program]) -> None:
    """Its failure is known, even when every caller has gone."""
    if not task.cancelled():
        task.exception()
