"""What counts as hanging, in simulated time."""

from collections.abc import Callable

from coexec.daemon.hangs import Hang, HangLimits, HangWatch, Seen, longest
from coexec.protos import engine_pb2

LIMITS = HangLimits(floor_us=10_000_000, times_expected=100)
S = 1_000_000
Look = Callable[[float], Seen]  # what is seen, by the seconds passed


def _at(
    job: int, step: int, expected_us: float = 50.0, lane: str = "cpu0", floor_s: int | None = None
) -> Seen:
    at = engine_pb2.LaneProgress(
        lane=lane, model="net", step="conv", job=job, step_number=step, expected_us=expected_us
    )
    at.programs.append(3)
    floors_us = {} if floor_s is None else {lane: floor_s * S}
    return Seen(engine_pb2.EngineProgress(lanes=[at]), 1, floors_us)


def _idle(oldest: int = 0, steps_run: int = 0) -> Seen:
    return Seen(engine_pb2.EngineProgress(steps_run=steps_run), oldest)


def _hangs_after(
    look: Look, limits: HangLimits = LIMITS, period_us: int = 0, until_s: float = 2000
) -> tuple[float, str]:
    """The seconds after which the watch says that something hangs, and what it says."""
    after_s, hang = _hang_after(look, limits, period_us, until_s)
    return after_s, hang.why


def _hang_after(
    look: Look, limits: HangLimits = LIMITS, period_us: int = 0, until_s: float = 2000
) -> tuple[float, Hang]:
    watch, now_us = HangWatch(limits, 7), 7
    while now_us < until_s * S:
        now_us += period_us or limits.look_us
        if hang := watch.look(now_us, look(now_us / S)):
            return now_us / S, hang
    return 0.0, Hang("")


def test_silence() -> None:
    after_s, why = _hangs_after(lambda s: _idle() if s < 20 else Seen(None))
    assert 30 <= after_s < 32
    assert "it has not answered for 1" in why


def test_a_new_engine_may_take_its_time() -> None:
    after_s, _ = _hangs_after(lambda _: Seen(None))
    assert 100 < after_s < 102
    assert _hangs_after(lambda s: Seen(None) if s < 90 else _idle()) == (0.0, "")


def test_slow_answers_are_answers() -> None:
    assert _hangs_after(lambda s: _idle() if s % 9 < 1 else Seen(None)) == (0.0, "")


def test_a_step_that_never_ends() -> None:
    after_s, why = _hangs_after(lambda s: _at(1, int(s)) if s < 20 else _at(1, 20))
    assert 30 <= after_s < 32
    assert why.startswith("conv of model 'net' has run for 1")
    assert why.endswith("s and takes 0.05 ms by measure")


def test_a_long_step_has_a_hundred_times_what_it_takes() -> None:
    after_s, _ = _hangs_after(lambda _: _at(1, 0, expected_us=0.5 * S))
    assert 50 < after_s < 53


def test_a_stuck_step_names_the_programs_it_was_for() -> None:
    _, hang = _hang_after(lambda _: _at(1, 0))
    assert hang.programs == (3,)
    assert 10 * S < hang.for_us < 12 * S
    assert _hang_after(lambda _: Seen(None))[1].programs is None


def test_a_limit_of_the_models_own() -> None:
    after_s, _ = _hangs_after(lambda _: _at(1, 0, floor_s=100))
    assert 100 < after_s < 103
    after_s, _ = _hangs_after(lambda _: _at(1, 0, floor_s=3))
    assert 3 < after_s < 6
    assert _hangs_after(lambda _: _at(1, 0, floor_s=0)) == (0.0, "")
    # Of two that share a step the more patient counts.
    assert longest([10, 30]) == 30
    assert longest([10, 0, 30]) == 0


def test_lanes_that_get_on_never_hang() -> None:
    assert _hangs_after(lambda s: _at(int(s / 9), 0)) == (0.0, "")
    assert _hangs_after(lambda s: _at(1, int(s / 9))) == (0.0, "")
    # The same job on one lane, then on another, over and over.
    assert _hangs_after(lambda s: _at(1, 0, lane=f"cpu{int(s / 9) % 2}")) == (0.0, "")


def test_a_request_that_no_lane_takes() -> None:
    after_s, why = _hangs_after(lambda s: _idle(oldest=5, steps_run=int(min(s, 20))))
    assert 30 <= after_s < 33
    assert "a request has waited in it for 1" in why
    assert _hangs_after(lambda s: _idle(oldest=int(s / 9) + 1)) == (0.0, "")  # one after the other
    assert _hangs_after(lambda s: _idle(oldest=5, steps_run=int(s / 9))) == (0.0, "")
    assert _hangs_after(lambda _: _idle()) == (0.0, "")  # nothing to do


def test_time_in_which_the_watcher_itself_did_not_run_counts_little() -> None:
    # A machine ten times too busy: a look every ten seconds, and the engine as slow.
    after_s, _ = _hangs_after(lambda _: Seen(None), period_us=10 * S)
    assert after_s >= 500
    # A machine that slept for an hour.
    watch = HangWatch(LIMITS, 0)
    assert watch.look(LIMITS.look_us, _at(1, 0)) is None
    assert watch.look(3600 * S, _at(1, 0)) is None
    assert watch.look(3600 * S + LIMITS.look_us, Seen(None)) is None


def test_looks() -> None:
    assert HangLimits().look_us == 1 * S
    assert HangLimits(floor_us=2 * S).look_us == S // 4
    assert HangLimits(floor_us=1).look_us == 50_000


def test_off() -> None:
    never = HangLimits(floor_us=0)
    assert _hangs_after(lambda _: Seen(None), never) == (0.0, "")
    assert _hangs_after(lambda _: _at(1, 0), never) == (0.0, "")
    assert _hangs_after(lambda _: _idle(oldest=5), never) == (0.0, "")
    assert never.look_us == 1 * S
    after_s, _ = _hangs_after(lambda _: _at(1, 0, floor_s=3), never)  # the model's own
    assert 3 < after_s < 6
