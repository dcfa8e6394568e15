import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from coexec.daemon import flights as module
from coexec.daemon.errors import RequestError
from coexec.daemon.flights import LOSSES_SUSPECT, Flights, Stuck, now_us
from coexec.scheduler._core import ChannelCorruptError, RingFullError


@dataclass
class Reply:
    request_id: int
    code: int = 0


@dataclass
class FakeChannel:
    submitted: list[Any] = field(default_factory=list)  # (request_id, program_id)
    cancelled: list[int] = field(default_factory=list)
    replies: list[Any] = field(default_factory=list)
    room: int = 1000
    corrupt: bool = False

    def submit(self, request_id: int, program_id: int, inputs: Any, **_options: Any) -> None:
        assert not inputs
        if program_id < 0:
            raise TypeError("no program id")
        if not self.room:
            raise RingFullError("full")
        self.room -= 1
        self.submitted.append((request_id, program_id))

    def cancel(self, request_id: Any) -> None:
        self.cancelled.append(request_id)

    def poll(self) -> Any:
        if self.corrupt:
            raise ChannelCorruptError("garbage")
        replies, self.replies = self.replies, []
        return replies

    def take(self) -> Any:
        """The program ids submitted since the last call."""
        taken, self.submitted = self.submitted, []
        return taken


@dataclass(eq=False)
class FakeTarget:
    name: str = ""
    blamed: list[str] = field(default_factory=list)

    def blame(self, reason: Any) -> None:
        self.blamed.append(reason)


class World:
    def __init__(self, flights_max: Any = 100) -> None:
        self.channel = FakeChannel()
        self.flights = Flights(self.channel, flights_max)
        self.flights.engine_came()

    def start(self, target: Any, program_id: Any = 1, deadline_us: Any = 0) -> Any:
        return self.flights.start(target, program_id, [], deadline_us, 0)

    def answer(self, *request_ids: Any) -> None:
        self.channel.replies += map(Reply, request_ids)
        self.flights.on_readable()

    def crash(self, by_fault: Any = True) -> None:
        self.flights.engine_died(by_fault, "SIGSEGV" if by_fault else "SIGKILL")

    def restart(self) -> Any:
        self.flights.engine_came()
        return [program for _, program in self.channel.take()]


async def test_a_reply_finds_its_request() -> None:
    world, target = World(), FakeTarget()
    first, second = world.start(target), world.start(target)
    world.answer(2, 99)
    assert (await second).request_id == 2
    assert not first.done()
    assert len(world.flights) == 1


async def test_a_death_from_outside_loses_nothing_and_blames_nobody() -> None:
    world, targets = World(), [FakeTarget() for _ in range(3)]
    waiting = [world.start(target, i) for i, target in enumerate(targets)]
    for _ in range(LOSSES_SUSPECT - 1):
        world.channel.take()
        world.crash(by_fault=False)
        late = world.start(targets[0], 7)
        late.cancel()
        await asyncio.sleep(0)
        assert world.restart() == [0, 1, 2]
    world.answer(1, 2, 3)
    assert [(await each).request_id for each in waiting] == [1, 2, 3]
    assert not any(target.blamed for target in targets)


async def test_what_was_answered_before_the_death_is_not_run_again() -> None:
    world, target = World(), FakeTarget()
    first, second = world.start(target, 1), world.start(target, 2)
    world.channel.take()
    world.channel.replies.append(Reply(1))
    world.crash()
    assert (await first).request_id == 1
    assert world.restart() == [2]
    world.answer(2)
    await second


async def test_the_guilty_model_is_found_and_the_others_go_on() -> None:
    world, good, bad = World(), FakeTarget("good"), FakeTarget("bad")
    innocent, guilty = world.start(good, 1), world.start(bad, 2)
    world.channel.take()
    world.crash()
    assert world.restart() == [1, 2]  # one death proves nothing
    world.crash()
    assert world.restart() == [1]  # now each runs alone
    world.answer(1)
    assert (await innocent).request_id == 1
    assert world.channel.take() == [(2, 2)]
    another = world.start(good, 1)
    assert world.channel.take() == []  # beside a suspect nothing runs
    world.crash()
    with pytest.raises(RequestError, match=r"the engine died 3 times .* no other .*SIGSEGV") as e:
        await guilty
    assert e.value.code.name == "UNAVAILABLE"
    assert bad.blamed
    assert not good.blamed
    assert world.restart() == [1]
    world.answer(3)
    assert (await another).request_id == 3


async def test_a_guilty_request_whose_caller_left_is_blamed_too() -> None:
    world, bad = World(), FakeTarget()
    for _ in range(3):
        request = world.start(bad)
        request.cancel()
        await asyncio.sleep(0)
        world.crash()
        world.restart()
    assert bad.blamed


async def test_a_step_that_hangs_says_who_is_guilty() -> None:
    world, good, bad = World(), FakeTarget("good"), FakeTarget("bad")
    stuck = Stuck(frozenset([bad]), for_us=10**9)  # it shows only long after strikes are forgiven
    innocent, guilty = world.start(good, 1), world.start(bad, 2)
    world.channel.take()
    world.flights.engine_died(True, "it hung: conv", stuck)
    assert world.restart() == [1]  # the bad one is a suspect already, and waits for the others
    world.answer(1)
    assert (await innocent).request_id == 1
    assert world.channel.take() == [(2, 2)]
    world.flights.engine_died(True, "it hung: conv", stuck)
    with pytest.raises(RequestError, match=r"hung twice at a step .*\(it hung: conv\)"):
        await guilty
    assert len(bad.blamed) == 1
    assert not good.blamed
    assert world.flights.counters.blamed == 1


async def test_a_step_that_hangs_without_a_caller_is_blamed_too() -> None:
    world, good, bad = World(), FakeTarget("good"), FakeTarget("bad")
    stuck = Stuck(frozenset([bad]), for_us=10**9)
    for _ in range(2):
        other = world.start(good)
        world.flights.engine_died(True, "it hung: conv", stuck)
        world.restart()
    assert len(bad.blamed) == 1
    assert not good.blamed
    world.answer(1, 2)
    await other


async def test_hangs_and_crashes_are_told_apart() -> None:
    world, bystander, culprit = World(), FakeTarget("bystander"), FakeTarget("culprit")
    world.start(bystander, 1)
    for _ in range(2):
        world.crash()
        world.restart()
    world.flights.engine_died(True, "it hung: conv", Stuck(frozenset([bystander]), for_us=0))
    assert not bystander.blamed  # it was beside two crashes, and hung once only
    assert world.restart() == [1]
    world.answer(1)

    request = world.start(culprit, 2)
    world.flights.engine_died(True, "it hung: conv", Stuck(frozenset([culprit]), for_us=0))
    world.restart()
    world.crash()  # it ran alone, since it had hung
    with pytest.raises(RequestError, match="the engine died once while it computed this model"):
        await request
    assert len(culprit.blamed) == 1
    assert not bystander.blamed


async def test_strikes_are_forgiven_with_time(monkeypatch: Any) -> None:
    world, target = World(), FakeTarget()
    request = world.start(target)
    world.crash()
    world.restart()
    world.crash()
    monkeypatch.setattr(module, "STRIKE_WINDOW_US", 0)
    world.restart()
    other = world.start(target)
    assert len(world.channel.take()) == 1
    world.answer(1, 2)
    await request
    await other


async def test_killed_from_outside_without_end_gives_up() -> None:
    world, target = World(), FakeTarget()
    request = world.start(target)
    for _ in range(2 * LOSSES_SUSPECT):
        world.crash(by_fault=False)
        world.restart()
    with pytest.raises(RequestError, match="put aside"):
        await request


async def test_cancelling() -> None:
    world, target = World(), FakeTarget()
    flying = world.start(target)
    flying.cancel()
    await asyncio.sleep(0)
    assert world.channel.cancelled == [1]
    assert len(world.flights) == 1  # until the engine lets go of it
    world.answer(1)
    assert len(world.flights) == 0
    world.crash()
    waiting = world.start(target)
    waiting.cancel()
    await asyncio.sleep(0)
    assert len(world.flights) == 0
    world.channel.take()
    assert world.restart() == []


async def test_bounds() -> None:
    world, target = World(flights_max=2), FakeTarget()
    world.start(target)
    world.start(target)
    with pytest.raises(RequestError, match="Exceeds maximum queue size: 2 requests") as caught:
        world.start(target)
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"
    assert world.flights.counters.refused == 1


async def test_a_full_ring_delays() -> None:
    world, target = World(), FakeTarget()
    world.channel.room = 1
    requests = [world.start(target) for _ in range(3)]
    assert len(world.channel.take()) == 1
    world.channel.room = 1
    world.answer(1)
    assert len(world.channel.take()) == 1
    world.answer(2)  # nothing flies, and there is no room: it tries again by itself
    assert world.channel.take() == []
    world.channel.room = 5
    async with asyncio.timeout(5):
        while not world.channel.submitted:
            await asyncio.sleep(0)
    world.answer(3)
    assert [(await r).request_id for r in requests] == [1, 2, 3]
    assert world.flights.counters.ring_full >= 2


async def test_deadlines_pass_without_an_engine() -> None:
    world, target = World(), FakeTarget()
    world.crash(by_fault=False)
    late, later = world.start(target, 1, now_us() - 1), world.start(target, 2, now_us() + 10**9)
    world.flights.expire()
    with pytest.raises(RequestError, match="timeout expired") as caught:
        await late
    assert caught.value.code.name == "DEADLINE_EXCEEDED"
    assert world.restart() == [2]
    world.answer(2)
    await later


async def test_deadlines_pass_with_an_engine_that_hangs() -> None:
    world, target = World(), FakeTarget()
    now = now_us()
    overdue, late, other = (world.start(target, 1, now - d) for d in (1_100_000, 500_000, now))
    world.flights.expire()
    with pytest.raises(RequestError, match="timeout expired and the engine did not say so"):
        await overdue
    await asyncio.sleep(0)
    assert world.channel.cancelled == [1]
    assert not late.done()  # the engine may be about to say it
    assert world.flights.oldest == 1  # it still has it
    world.answer(1, 2, 3)
    await late
    await other
    assert world.flights.oldest == 0


async def test_abandoning_a_target() -> None:
    world, gone, stays = World(), FakeTarget(), FakeTarget()
    flying, other = world.start(gone), world.start(stays)
    world.crash(by_fault=False)
    waiting = world.start(gone)
    world.flights.abandon(gone, "it is gone")
    for each in (flying, waiting):
        with pytest.raises(RequestError, match="it is gone"):
            await each
    await asyncio.sleep(0)
    world.flights.forget(gone)
    world.channel.take()
    world.restart()
    world.answer(2)
    await other


async def test_what_one_call_starts_goes_out_together() -> None:
    world = World()
    target = FakeTarget()

    async def one() -> None:
        await asyncio.wait_for(world.start(target), 1)

    started = [asyncio.create_task(one()) for _ in range(3)]
    world.flights.hold_for_a_turn()
    assert world.channel.submitted == []
    await asyncio.sleep(0)
    assert len(world.channel.take()) == 3
    world.answer(1, 2, 3)
    await asyncio.gather(*started)


async def test_an_engine_that_wrote_garbage_loses_nothing() -> None:
    world, target = World(), FakeTarget()
    request = world.start(target, 5)
    world.channel.take()
    world.channel.corrupt = True
    world.crash(by_fault=False)
    world.channel.corrupt = False
    assert world.restart() == [5]
    world.answer(1)
    assert (await request).request_id == 1


async def test_a_request_that_cannot_be_written_blocks_no_other() -> None:
    world, target = World(), FakeTarget()
    impossible, next_one = world.start(target, -1), world.start(target, 3)
    with pytest.raises(RequestError, match="takes no such request: no program id"):
        await impossible
    world.answer(2)
    assert (await next_one).request_id == 2
    assert len(world.flights) == 0
