"""Requests on their way through the engine.

Every request that was handed over is remembered until its reply comes, with the slots that hold
its inputs: when the engine dies it is handed to the next one, and its client sees latency only.

A request may itself be what kills the engine. When the engine dies by its own fault, every
target that had a request in flight gets a strike; one with STRIKES_SUSPECT strikes inside the
window is a suspect, and its requests run with no other beside them. If the engine dies then too,
that target is to blame and nobody else. An engine that hangs at a step says whose step that is: the
target is a suspect at once, and to blame the second time; nobody else is. Deaths from outside
(`kill -9`) blame nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc

from coexec.daemon.errors import RequestError, exhausted, invalid, unavailable
from coexec.scheduler._core import ChannelCorruptError, Input, Reply, RingFullError

STRIKES_SUSPECT = 2
STRIKE_WINDOW_US = 60_000_000
# A request lost this often without a visible fault runs alone as well, and is given up at twice
# as many: an out-of-memory killer in user space looks like a `kill -9`.
LOSSES_SUSPECT = 16
_RING_RETRY_S = 0.001
# The engine ends a request itself when its deadline passes. One that is this late with it hangs.
_OVERDUE_US = 1_000_000
_HUNG = "hung twice at a step of this model"
_DIED = "died {} while it computed this model, the last time with no other request beside it"


class Target(Protocol):
    """What requests are for: a model version."""

    def blame(self, reason: str) -> None:
        """The engine died or hung, and it was this target. reason: in words."""


class RequestChannel(Protocol):
    """The part of Channel that requests use."""

    def submit(
        self,
        request_id: int,
        program_id: int,
        inputs: Sequence[Input],
        *,
        deadline_us: int = 0,
        priority: int = 0,
        scope: int = 0,
    ) -> None: ...
    def cancel(self, request_id: int) -> None: ...
    def poll(self) -> list[Reply]: ...


@dataclass(slots=True, eq=False)
class Flight:
    request_id: int
    target: Target
    program_id: int
    inputs: Sequence[Input]
    deadline_us: int
    priority: int
    reply: asyncio.Future[Reply]
    losses: int = 0


@dataclass(frozen=True, slots=True)
class Stuck:
    """Whose step it was that never ended, and for how long it had run."""

    targets: frozenset[Target]
    for_us: int


@dataclass(slots=True)
class FlightCounters:
    refused: int = 0  # the bound on requests in flight was reached
    ring_full: int = 0
    resubmitted: int = 0
    blamed: int = 0


def now_us() -> int:
    """The clock deadlines are given in: CLOCK_MONOTONIC."""
    return time.monotonic_ns() // 1000


class Flights:
    """All requests in flight. One event loop owns it."""

    def __init__(self, channel: RequestChannel, flights_max: int) -> None:
        self.counters = FlightCounters()
        self.flights_max = flights_max
        self._channel = channel
        self._next_id = 1
        self._engine_is_up = False
        self._held = 0  # turns of the loop that must pass first
        self._waiting: deque[Flight] = deque()  # for the engine
        self._flying: dict[int, Flight] = {}  # in the engine
        self._alone: Flight | None = None  # the flight that runs with no other beside it
        self._strikes: dict[Target, list[int]] = {}  # when it died, a request of the target in it
        self._hangs: dict[Target, int] = {}  # when it last hung at a step of the target

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    def start(
        self,
        target: Target,
        program_id: int,
        inputs: Sequence[Input],
        deadline_us: int,
        priority: int,
    ) -> asyncio.Future[Reply]:
        """The engine's reply, to come. Cancelling it cancels the request. It fails with
        RequestError when the request was given up. Raises RequestError when too many are in
        flight."""
        if len(self) >= self.flights_max:
            self.counters.refused += 1
            raise exhausted(
                f"Exceeds maximum queue size: {self.flights_max} requests are in flight"
            )
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        flight = Flight(self._next_id, target, program_id, inputs, deadline_us, priority, reply)
        self._next_id += 1
        reply.add_done_callback(lambda _: self._answered(flight))
        self._waiting.append(flight)
        self._advance()
        return reply

    def on_readable(self) -> None:
        """The channel has replies."""
        for reply in self._channel.poll():
            flight = self._flying.pop(reply.request_id, None)
            if flight is None:
                continue
            if flight is self._alone:
                self._alone = None
            if not flight.reply.done():
                flight.reply.set_result(reply)
        self._advance()

    def engine_came(self) -> None:
        """The engine has every program; what was in flight goes to it."""
        self._engine_is_up = True
        self._advance()

    def engine_died(self, by_fault: bool, how: str, stuck: Stuck | None = None) -> None:
        """by_fault: the engine died of something it did. how: in words. stuck: it was killed
        since it hung at a step."""
        self._engine_is_up = False
        with contextlib.suppress(ChannelCorruptError):
            self.on_readable()  # what it had answered before it died
        lost, alone = list(self._flying.values()), self._alone
        self._flying.clear()
        self._alone = None
        guilty: dict[Target, str] = {}  # and what it did
        crashed = by_fault and stuck is None
        if by_fault and stuck is not None:
            guilty = {target: _HUNG for target in stuck.targets if self._has_hung(target)}
            # Such a hang shows only after so long: the next one must still find this one.
            self._hangs |= dict.fromkeys(stuck.targets, now_us() + stuck.for_us)
        elif crashed:
            self._strike({flight.target for flight in lost})
        for flight in reversed(lost):
            flight.losses += 1
            blamed = crashed or flight.losses >= 2 * LOSSES_SUSPECT
            if flight is alone and blamed:
                deaths = len(self._strikes[flight.target]) if crashed else flight.losses
                guilty[flight.target] = _DIED.format("once" if deaths == 1 else f"{deaths} times")
            if flight.target in guilty:
                _fail(flight, unavailable(_aside(guilty[flight.target], how)))
            if not flight.reply.done():
                self._waiting.appendleft(flight)
                self.counters.resubmitted += 1
        for target, what in guilty.items():
            self.counters.blamed += 1
            target.blame(_aside(what, how))

    @property
    def oldest(self) -> int:
        """The request that is in the engine for the longest time; 0: there is none."""
        return next(iter(self._flying), 0)

    def expire(self) -> None:
        """Answer what waits for the engine past its deadline, and what the engine should have
        answered itself."""
        now = now_us()
        for flight in self._waiting:
            if 0 < flight.deadline_us < now:
                _fail(flight, _expired("while it waited for the engine"))
        for flight in self._flying.values():
            if 0 < flight.deadline_us < now - _OVERDUE_US:
                _fail(flight, _expired("and the engine did not say so"))

    def abandon(self, target: Target, reason: str) -> None:
        """Answer every request of target with UNAVAILABLE."""
        for flight in (*self._waiting, *self._flying.values()):
            if flight.target is target:
                _fail(flight, unavailable(reason))

    def forget(self, target: Target) -> None:
        """target is gone."""
        self._strikes.pop(target, None)
        self._hangs.pop(target, None)

    def _strike(self, targets: Collection[Target]) -> None:
        for target in targets:
            self._strikes[target] = [*self._recent_strikes(target), now_us()]

    def _recent_strikes(self, target: Target) -> list[int]:
        since = now_us() - STRIKE_WINDOW_US
        return [time_us for time_us in self._strikes.get(target, ()) if time_us > since]

    def _has_hung(self, target: Target) -> bool:
        time_us = self._hangs.get(target)
        return time_us is not None and time_us > now_us() - STRIKE_WINDOW_US

    def _is_suspect(self, flight: Flight) -> bool:
        if flight.losses >= LOSSES_SUSPECT or self._has_hung(flight.target):
            return True
        return bool(self._strikes) and len(self._recent_strikes(flight.target)) >= STRIKES_SUSPECT

    def hold_for_a_turn(self) -> None:
        """Hand nothing over before the tasks that are ready now have run once: what they start
        reaches the engine back to back, before it can have dropped what they share."""
        self._held += 1
        asyncio.get_running_loop().call_soon(self._let_go)

    def _let_go(self) -> None:
        self._held -= 1
        self._advance()

    def _advance(self) -> None:
        """Hand over what may go: all that waits up to a suspect, or a suspect by itself."""
        while not self._held and self._waiting and self._engine_is_up and self._alone is None:
            flight = self._waiting[0]
            if flight.reply.done():
                self._waiting.popleft()
                continue
            suspect = self._is_suspect(flight)
            if suspect and self._flying:
                return
            try:
                if not self._hand_over(flight):
                    return
            except (TypeError, ValueError) as error:  # it must not stay before all others
                _fail(flight, invalid(f"the engine takes no such request: {error}"))
                self._waiting.popleft()
                continue
            self._waiting.popleft()
            self._flying[flight.request_id] = flight
            if suspect:
                self._alone = flight

    def _hand_over(self, flight: Flight) -> bool:
        try:
            self._channel.submit(
                flight.request_id,
                flight.program_id,
                flight.inputs,
                deadline_us=flight.deadline_us,
                priority=flight.priority,
            )
        except RingFullError:
            self.counters.ring_full += 1
            if not self._flying:  # else the next reply advances
                asyncio.get_running_loop().call_later(_RING_RETRY_S, self._advance)
            return False
        return True

    def _answered(self, flight: Flight) -> None:
        """By the engine, or without it: its caller has gone, or it was given up. What the engine
        still holds stays in _flying until the engine lets go of it, since it may yet kill it."""
        if flight.request_id in self._flying:
            if self._engine_is_up:
                self._channel.cancel(flight.request_id)
        elif flight in self._waiting:
            self._waiting.remove(flight)


def _aside(what: str, how: str) -> str:
    return f"put aside: the engine {what} ({how}); load the model again to try once more"


def _expired(how: str) -> RequestError:
    return RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, f"Request timeout expired {how}")


def _fail(flight: Flight, error: RequestError) -> None:
    if not flight.reply.done():
        flight.reply.set_exception(error)
