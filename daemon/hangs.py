"""When a running engine is as good as dead: it answers no longer, or what it computes never ends.

Here is the policy only. What was seen goes in, what hangs comes out in words; heartbeat.py looks,
and the supervisor acts. Time is the watcher's own: of the time between two looks only so much
counts as was to be expected. A machine so busy that this process does not run does not let the
engine run either, and neither does one that was suspended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from coexec.protos import engine_pb2

_LOOKS_PER_FLOOR = 8
_LOOK_MAX_US = 1_000_000
_LOOK_MIN_US = 50_000
# Of a new engine, which may first have to be read from a slow disk.
_FIRST_ANSWER_FLOORS = 10


@dataclass(frozen=True, slots=True)
class HangLimits:
    """floor_us: nothing hangs before that; 0: nothing ever does, but for steps of models with
    limits of their own. times_expected: how many times what it takes by measure a step may run."""

    floor_us: int = 30_000_000
    times_expected: float = 100.0

    @property
    def look_us(self) -> int:
        """The time between two looks."""
        wanted = self.floor_us // _LOOKS_PER_FLOOR if self.floor_us else _LOOK_MAX_US
        return min(max(wanted, _LOOK_MIN_US), _LOOK_MAX_US)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the engine saw. progress: None when it has not answered since the look
    before. oldest: the request that is in the engine for the longest time, 0 for none. floors_us:
    by lane, where the models that it computes for have limits of their own; 0: it never hangs."""

    progress: engine_pb2.EngineProgress | None
    oldest: int = 0
    floors_us: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """why: in words. programs: those whose requests asked for the step that never ends, and for
    how long it has run; None where it is no step that hangs."""

    why: str
    programs: Sequence[int] | None = None
    for_us: int = 0


def longest(floors_us: Iterable[int]) -> int:
    """The floor for what is computed for several models: the most patient's."""
    floors = list(floors_us)
    return 0 if 0 in floors else max(floors)


@dataclass(slots=True)
class _Standstill:
    """Since when something has been as it is, in the watcher's time."""

    state: object = None
    since_us: int = 0

    def age_us(self, state: object, watched_us: int) -> int:
        if state != self.state:
            self.state, self.since_us = state, watched_us
        return watched_us - self.since_us


@dataclass(slots=True)
class HangWatch:
    """Watches one life of an engine."""

    limits: HangLimits
    last_look_us: int
    _watched_us: int = 0
    _answered_us: int = 0
    _has_answered: bool = False
    _lanes: dict[str, _Standstill] = field(default_factory=dict)
    _idle: _Standstill = field(default_factory=_Standstill)

    def look(self, now_us: int, seen: Seen) -> Hang | None:
        """What hangs; None when nothing does. now_us: monotonic."""
        passed_us = now_us - self.last_look_us
        self.last_look_us = now_us
        self._watched_us += min(passed_us, 2 * self.limits.look_us)
        if seen.progress is None:
            return self._silent()
        self._answered_us, self._has_answered = self._watched_us, True
        stuck = self._stuck_step(seen.progress.lanes, seen.floors_us)
        return stuck or self._forgotten(seen.progress, seen.oldest)

    def _silent(self) -> Hang | None:
        floors = 1 if self._has_answered else _FIRST_ANSWER_FLOORS
        silent_us = self._watched_us - self._answered_us
        if not self.limits.floor_us or silent_us <= floors * self.limits.floor_us:
            return None
        return Hang(f"it has not answered for {silent_us / 1e6:.1f} s")

    def _stuck_step(
        self, lanes: Sequence[engine_pb2.LaneProgress], floors_us: Mapping[str, int]
    ) -> Hang | None:
        self._lanes = {at.lane: self._lanes.get(at.lane, _Standstill()) for at in lanes}
        for at in lanes:
            age_us = self._lanes[at.lane].age_us((at.job, at.step_number), self._watched_us)
            floor_us = floors_us.get(at.lane, self.limits.floor_us)
            if floor_us and age_us > max(floor_us, self.limits.times_expected * at.expected_us):
                why = (
                    f"{at.step} of model '{at.model}' has run for {age_us / 1e6:.1f} s and takes "
                    f"{at.expected_us / 1e3:.3g} ms by measure"
                )
                return Hang(why, tuple(at.programs), age_us)
        return None

    def _forgotten(self, progress: engine_pb2.EngineProgress, oldest: int) -> Hang | None:
        """A request that waits while every lane is free: a free lane takes whatever there is."""
        waits = oldest if oldest and not progress.lanes else None
        age_us = self._idle.age_us((waits, progress.steps_run), self._watched_us)
        if waits is None or not self.limits.floor_us or age_us <= self.limits.floor_us:
            return None
        return Hang(f"a request has waited in it for {age_us / 1e6:.1f} s while no lane computed")
