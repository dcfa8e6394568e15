"""The policy's traces in simulated time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.scheduler import _core
from coexec.scheduler._core import ActionKind, Class, JobView, LaneKind, LaneView, RunningView
from coexec.scheduler.simulate import Arrival, Event, Simulation


def _trace(arrivals: list[Arrival], cores: int = 1, **options: int) -> list[tuple[int, str, int]]:
    events = Simulation(arrivals, cores, **options).run()
    return [(event.at_us, event.what, event.job) for event in events]


def test_the_least_slack_goes_first() -> None:
    jobs = [
        Arrival(1, 0, 100, deadline_us=10_000),
        Arrival(2, 0, 100, deadline_us=5000),
        Arrival(3, 0, 4000, deadline_us=8000),  # slack 4000: less than 2 has
    ]
    assert [(what, job) for _, what, job in _trace(jobs) if what == "launch"] == [
        ("launch", 3),
        ("launch", 2),
        ("launch", 1),
    ]


def test_class_then_priority_then_slack_then_arrival() -> None:
    jobs = [
        Arrival(1, 0, 10),
        Arrival(2, 0, 10, deadline_us=9000),
        Arrival(3, 0, 10, deadline_us=99_000, priority=1),
        Arrival(4, 0, 10, deadline_us=8000, priority=2),
        Arrival(5, 0, 10, deadline_us=999_000, job_class=Class.REAL_TIME),
        Arrival(6, 0, 10, priority=4),
    ]
    launched = [job for _, what, job in _trace(jobs) if what == "launch"]
    assert launched == [5, 3, 4, 2, 6, 1]


def test_an_urgent_job_preempts_at_a_step_after_the_quantum() -> None:
    jobs = [
        Arrival(1, 0, 10_000, step_us=700),
        Arrival(2, 500, 100, deadline_us=20_000),
    ]
    assert _trace(jobs, quantum_us=2000) == [
        (0, "launch", 1),
        (2100, "yield", 1),  # the first multiple of 700 past the quantum
        (2100, "launch", 2),
        (2200, "finish", 2),
        (2200, "launch", 1),
        (10_100, "finish", 1),
    ]


def test_best_effort_does_not_preempt_best_effort() -> None:
    trace = _trace([Arrival(1, 0, 9000), Arrival(2, 10, 100)])
    assert [what for _, what, _ in trace] == ["launch", "finish", "launch", "finish"]


def test_an_expired_job_is_dropped() -> None:
    first = Arrival(1, 0, 5000, deadline_us=5100, priority=1)
    assert (5000, "launch", 2) in _trace([first, Arrival(2, 0, 10, deadline_us=5001)])
    assert (5000, "drop", 2) in _trace([first, Arrival(2, 0, 10, deadline_us=5000)])


def test_idle_lanes_help_and_leave_when_needed() -> None:
    jobs = [Arrival(1, 0, 9000), Arrival(2, 1000, 300, deadline_us=9000)]
    events = Simulation(jobs, 3).run()
    assert events[:3] == [
        Event(0, "launch", 1, 0),
        Event(0, "help", 1, 1),
        Event(0, "help", 1, 2),
    ]
    second = next(event for event in events if event.job == 2)
    assert (second.at_us, second.what) == (1000, "launch")
    # 3 lanes for 1000, 2 for 300, then 3 again.
    finished = {event.job: event.at_us for event in events if event.what == "finish"}
    assert finished == {2: 1300, 1: 1300 + 1800}


def test_small_jobs_get_no_help() -> None:
    assert all(event.what != "help" for event in Simulation([Arrival(1, 0, 100)], 2).run())


def test_onnx_runtime_jobs_have_lanes_of_their_own() -> None:
    jobs = [Arrival(1, 0, 500, kind=LaneKind.ONNXRUNTIME), Arrival(2, 0, 100)]
    launched = [event for event in Simulation(jobs, 1, 1).run() if event.what == "launch"]
    assert {event.job: event.lane for event in launched} == {1: 1, 2: 0}


def test_best_effort_never_starves() -> None:
    """Deadline work without end, and yet best effort gets its share of the lane."""
    urgent = [Arrival(i, i * 1000, 1000, deadline_us=i * 1000 + 500_000) for i in range(1, 400)]
    patient = [Arrival(1000 + i, 0, 1500) for i in range(8)]
    events = Simulation([*urgent, *patient], 1, quantum_us=2000, best_effort_percent=5).run()
    finished = [event.at_us for event in events if event.what == "finish" and event.job >= 1000]
    in_time = [at_us for at_us in finished if at_us < 400_000]
    assert len(in_time) >= 7
    # 2000 us are owed after 40,000 us of lane time, at the latest.
    gaps = [b - a for a, b in zip([0, *in_time], in_time, strict=False)]
    assert max(gaps) <= 2 * 40_000 + 2000


job_views = st.builds(
    JobView,
    st.integers(1, 50),
    job_class=st.sampled_from([Class.REAL_TIME, Class.DEADLINE, Class.BEST_EFFORT]),
    kind=st.sampled_from([LaneKind.CPU, LaneKind.ONNXRUNTIME]),
    priority=st.integers(0, 3),
    deadline_us=st.integers(0, 5000) | st.just(_core.NEVER),
    expires_us=st.integers(0, 5000) | st.just(_core.NEVER),
    cost_us=st.integers(0, 4000),
    arrival_us=st.integers(0, 100),
)


@st.composite
def _views(draw: st.DrawFn) -> tuple[int, list[JobView], list[RunningView], list[LaneView]]:
    jobs = draw(st.lists(job_views, max_size=12, unique_by=lambda job: job.id))
    lanes = draw(st.lists(st.sampled_from([LaneKind.CPU, LaneKind.ONNXRUNTIME]), max_size=6))
    ready: list[JobView] = list(jobs)
    running: list[RunningView] = []
    free: list[LaneView] = []
    for i, kind in enumerate(lanes):
        of_kind = [job for job in ready if job.kind == kind]
        busy = draw(st.booleans())
        if of_kind and busy:
            ready.remove(of_kind[0])
            running.append(RunningView(of_kind[0], i, 0))
        else:
            free.append(LaneView(i, kind))
    return draw(st.integers(0, 5000)), ready, running, free


@settings(deadline=None)
@given(_views(), st.integers(0, 10_000), st.integers(0, 1000))
def test_equal_views_give_equal_and_sound_actions(
    view: tuple[int, list[JobView], list[RunningView], list[LaneView]],
    contended_us: int,
    best_effort_us: int,
) -> None:
    def decide() -> list[tuple[ActionKind, int, int, str]]:
        actions = _core.decide(*view, contended_us=contended_us, best_effort_us=best_effort_us)
        return [(action.kind, action.job, action.lane, action.reason) for action in actions]

    actions = decide()
    assert actions == decide()
    _, ready, _, free = view
    taken = [lane for kind, _, lane, _ in actions if kind in (ActionKind.LAUNCH, ActionKind.HELP)]
    assert len(taken) == len(set(taken))
    assert len(taken) <= len(free)
    once = [job for kind, job, _, _ in actions if kind in (ActionKind.LAUNCH, ActionKind.DROP)]
    assert len(once) == len(set(once))
    assert set(once) <= {job.id for job in ready}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.builds(
            Arrival,
            st.integers(1, 10_000),
            st.integers(0, 5000),
            st.integers(1, 6000),
            deadline_us=st.integers(1, 20_000) | st.just(_core.NEVER),
            priority=st.integers(0, 2),
            step_us=st.integers(50, 3000),
        ),
        max_size=15,
        unique_by=lambda arrival: arrival.id,
    ),
    st.integers(1, 3),
)
def test_every_job_ends_once(arrivals: list[Arrival], cores: int) -> None:
    events = Simulation(arrivals, cores).run()
    ends = sorted(event.job for event in events if event.what in ("finish", "drop"))
    assert ends == sorted(arrival.id for arrival in arrivals)
    assert events == Simulation(arrivals, cores).run()
