from collections.abc import Callable, Iterator
from itertools import cycle

import pytest

from coexec.compiler.tune.measure import Budget, pick, race, score, timed

_BUDGET = Budget(rounds_min=4, rounds_max=20, seconds=1.0)


class _Clock:
    """Seconds that pass when work is done, and at no other time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def contender(self, *times_us: float) -> Callable[[], float]:
        durations = cycle(times_us)

        def run() -> float:
            us = next(durations)
            self.now_s += us * 1e-6
            return us

        return run


def test_the_fastest_has_the_least_score_and_disturbances_do_not_count() -> None:
    clock = _Clock()
    runs = {
        "steady": clock.contender(100.0),
        "disturbed": clock.contender(90.0, 90.0, 900.0),
    }
    scores = race(runs, _BUDGET, clock)
    assert scores == {"steady": 100.0, "disturbed": 90.0}


def test_a_clear_race_ends_early_and_a_close_one_goes_on() -> None:
    def rounds(slower_us: float) -> int:
        count = 0

        def run() -> float:
            nonlocal count
            count += 1
            return slower_us

        race({"a": lambda: 100.0, "b": run}, _BUDGET, _Clock())
        return count - 1  # the first is not measured

    assert rounds(150.0) == _BUDGET.rounds_min
    assert rounds(110.0) == 8
    assert rounds(101.0) == _BUDGET.rounds_max


def test_the_hopeless_leave_the_race() -> None:
    clock = _Clock()
    calls: list[str] = []

    def noted(name: str, us: float) -> Callable[[], float]:
        def run() -> float:
            calls.append(name)
            return us

        return run

    runs = {"a": noted("a", 100.0), "b": noted("b", 101.0), "hopeless": noted("hopeless", 200.0)}
    assert race(runs, _BUDGET, clock)["hopeless"] == 200.0
    assert calls.count("hopeless") == 1 + _BUDGET.rounds_min
    assert calls.count("a") == 1 + _BUDGET.rounds_max


def test_spent_seconds_end_it_but_not_before_the_least_rounds() -> None:
    clock = _Clock()
    runs = {"a": clock.contender(1e6), "b": clock.contender(1.01e6)}
    assert race(runs, _BUDGET, clock) == {"a": 1e6, "b": 1.01e6}
    assert clock.now_s == pytest.approx(5 * 2.01)


def test_each_takes_its_turn_to_be_first() -> None:
    order: list[str] = []

    def noted(name: str) -> Callable[[], float]:
        return lambda: order.append(name) or 1.0  # type: ignore[func-returns-value]

    race({"a": noted("a"), "b": noted("b")}, Budget(4, 4, 1.0), _Clock())
    assert "".join(order) == "ab" + "ab" + "ba" + "ab" + "ba"


def test_the_default_stays_unless_another_is_faster_by_more_than_the_margin() -> None:
    assert pick({"bcr": 100.0, "csr": 99.0}, "bcr", 0.02) == "bcr"
    assert pick({"bcr": 100.0, "csr": 97.0}, "bcr", 0.02) == "csr"
    assert pick({"csr": 97.0, "dense": 90.0}, "bcr", 0.02) == "dense"


def test_without_contenders_the_default_stays() -> None:
    assert race({}, Budget(4, 4, 1.0), _Clock()) == {}
    assert pick({}, "bcr", 0.02) == "bcr"


def test_short_work_is_repeated_until_the_clock_can_tell() -> None:
    readings: Iterator[float] = iter([0.0, 10e-6, 1.0, 1.0 + 80e-6])
    done: list[int] = []
    run = timed(lambda: done.append(1), lambda: next(readings))
    assert run() == pytest.approx(8.0)
    assert len(done) == 1 + 10


def test_score_is_the_lower_quartile() -> None:
    assert score([5.0]) == 5.0
    assert score([9.0, 1.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0]) == 3.0
