"""Run the engine's policy against made-up arrivals in made-up time. No threads, no sleeping.

The policy is the very function the engine calls. What is simulated is the machine: lanes that
work through a job's cost, steps between which a job gives way, lanes that help another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coexec.scheduler import _core
from coexec.scheduler._core import ActionKind, Class, JobView, LaneKind, LaneView, RunningView


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job that comes at at_us and costs cost_us of lane time, in steps of step_us."""

    id: int
    at_us: int
    cost_us: int
    deadline_us: int = _core.NEVER
    priority: int = 0
    job_class: Class | None = None  # by the deadline when None
    kind: LaneKind = LaneKind.CPU
    step_us: int = 100


@dataclass(frozen=True, slots=True)
class Event:
    """what: launch, help, yield, finish, drop."""

    at_us: int
    what: str
    job: int
    lane: int = -1


@dataclass(slots=True)
class _Job:
    arrival: Arrival
    done_us: int = 0  # of its cost
    lane: int = -1
    started_us: int = 0
    done_at_start_us: int = 0
    preempt: bool = False
    helpers: set[int] = field(default_factory=set)

    @property
    def job_class(self) -> Class:
        if self.arrival.job_class is not None:
            return self.arrival.job_class
        never = self.arrival.deadline_us == _core.NEVER
        return Class.BEST_EFFORT if never else Class.DEADLINE

    def view(self) -> JobView:
        return JobView(
            self.arrival.id,
            job_class=self.job_class,
            kind=self.arrival.kind,
            priority=self.arrival.priority,
            deadline_us=self.arrival.deadline_us,
            expires_us=self.arrival.deadline_us,
            cost_us=self.arrival.cost_us - self.done_us,
            arrival_us=self.arrival.at_us,
        )

    def stops_us(self, now_us: int, quantum_us: int) -> int:
        """When it finishes, or gives way at the end of a step."""
        rate = 1 + len(self.helpers)
        target_us = self.arrival.cost_us
        if self.preempt:
            wait_us = max(0, self.started_us + quantum_us - now_us)
            least_us = max(self.done_us + wait_us * rate, self.done_at_start_us + 1)
            step_us = self.arrival.step_us
            target_us = min(target_us, -(-least_us // step_us) * step_us)
        return now_us + -(-(target_us - self.done_us) // rate)


class Simulation:
    """cores: CPU lanes; lanes for ONNX Runtime follow them in number."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        cores: int,
        onnxruntime_lanes: int = 0,
        quantum_us: int = 2000,
        best_effort_percent: int = 5,
    ) -> None:
        self._coming = sorted(arrivals, key=lambda arrival: (arrival.at_us, arrival.id))
        kinds = [LaneKind.CPU] * cores + [LaneKind.ONNXRUNTIME] * onnxruntime_lanes
        self._lanes = [LaneView(i, kind) for i, kind in enumerate(kinds)]
        self._quantum_us = quantum_us
        self._percent = best_effort_percent
        self._now_us = 0
        self._ready: dict[int, _Job] = {}
        self._running: dict[int, _Job] = {}  # by lane
        self._contended_us = 0
        self._best_effort_us = 0
        self.events: list[Event] = []

    def run(self) -> list[Event]:
        """Everything that happened, in order."""
        while self._coming or self._running or self._ready:
            times = [job.stops_us(self._now_us, self._quantum_us) for job in self._running.values()]
            times += [arrival.at_us for arrival in self._coming[:1]]
            self._pass_to(min(times))
            while self._coming and self._coming[0].at_us <= self._now_us:
                arrival = self._coming.pop(0)
                self._ready[arrival.id] = _Job(arrival)
            for job in list(self._running.values()):
                if job.stops_us(self._now_us, self._quantum_us) <= self._now_us:
                    self._stop(job)
            self._decide()
        return self.events

    def _pass_to(self, until_us: int) -> None:
        passed_us = until_us - self._now_us
        self._now_us = until_us
        jobs = self._running.values()
        best_effort = [job for job in jobs if job.job_class == Class.BEST_EFFORT]
        waits = any(job.job_class == Class.BEST_EFFORT for job in self._ready.values())
        if not waits and not best_effort:
            self._contended_us = self._best_effort_us = 0
        else:
            self._contended_us += passed_us * len(jobs)
            most_us = self._contended_us * self._percent // 100 + self._quantum_us
            self._best_effort_us += passed_us * len(best_effort)
            self._best_effort_us = min(self._best_effort_us, most_us)
        for job in jobs:
            gained_us = passed_us * (1 + len(job.helpers))
            job.done_us = min(job.arrival.cost_us, job.done_us + gained_us)

    def _stop(self, job: _Job) -> None:
        del self._running[job.lane]
        finished = job.done_us >= job.arrival.cost_us
        self._note("finish" if finished else "yield", job.arrival.id, job.lane)
        job.helpers.clear()
        if not finished:
            self._ready[job.arrival.id] = job

    def _decide(self) -> None:
        jobs = {job.arrival.id: job for job in (*self._ready.values(), *self._running.values())}
        for job in self._running.values():
            job.preempt = False
        for action in _core.decide(
            self._now_us,
            [job.view() for job in self._ready.values()],
            [RunningView(job.view(), job.lane, job.started_us) for job in self._running.values()],
            [lane for i, lane in enumerate(self._lanes) if i not in self._running],
            quantum_us=self._quantum_us,
            contended_us=self._contended_us,
            best_effort_us=self._best_effort_us,
            best_effort_percent=self._percent,
        ):
            job = jobs[action.job]
            if action.kind == ActionKind.DROP:
                del self._ready[action.job]
                self._note("drop", action.job)
            elif action.kind == ActionKind.PREEMPT:
                job.preempt = True
            elif action.kind == ActionKind.LAUNCH:
                self._launch(job, action.lane)
            elif action.lane not in job.helpers:
                self._free(action.lane)
                job.helpers.add(action.lane)
                self._note("help", action.job, action.lane)

    def _launch(self, job: _Job, lane: int) -> None:
        self._free(lane)
        del self._ready[job.arrival.id]
        self._running[lane] = job
        job.lane, job.started_us, job.preempt = lane, self._now_us, False
        job.done_at_start_us = job.done_us
        self._note("launch", job.arrival.id, lane)

    def _free(self, lane: int) -> None:
        for job in self._running.values():
            job.helpers.discard(lane)

    def _note(self, what: str, job: int, lane: int = -1) -> None:
        self.events.append(Event(self._now_us, what, job, lane))
