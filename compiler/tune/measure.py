"""Measuring by turns: in every round each contender runs once, in changing order, so that what
else the machine does falls on all alike.

A contender's score is the lower quartile of its times: a minimum is luck when the clock speed
changes, a median suffers when half the rounds are disturbed. Times are those of the thread, not of
the wall: what runs on one thread is measured right while others have the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

# Runs once and returns microseconds.
Run = Callable[[], float]
Clock = Callable[[], float]

# A contender this many times slower than the best is out of the race.
_HOPELESS = 1.3
# The best is found when every other one is at least this much slower in most rounds.
_CLEAR = 1.03
_READING_S = 100e-6
_REPEATS_MAX = 50
_LOOK_S = 0.3
_LOOK_ROUNDS_MIN, _LOOK_ROUNDS_MAX = 3, 20
# Fewer rounds may look clear by chance.
_CLEAR_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """rounds_min: before anything is decided."""

    rounds_min: int
    rounds_max: int
    seconds: float


# Gives each contender's score in microseconds: `race`, but for tests.
Race = Callable[[Mapping[str, Run], Budget], dict[str, float]]


def race(
    contenders: Mapping[str, Run], budget: Budget, clock: Clock = time.monotonic
) -> dict[str, float]:
    """The score of each contender, in microseconds. Stops when the fastest is clear, when
    rounds_max is reached, or when the seconds are spent and rounds_min are done."""
    if not contenders:
        return {}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    running = list(contenders)
    deadline = clock() + budget.seconds
    for run in contenders.values():
        run()  # lazy work of the first time
    for i in range(budget.rounds_max):
        turn = i % len(running)
        for name in running[turn:] + running[:turn]:
            times[name].append(contenders[name]())
        if i + 1 >= budget.rounds_min:
            running = _still_running(times, running)
            clear = i + 1 >= _CLEAR_ROUNDS and _is_clear(times, running)
            if clear or clock() >= deadline:
                break
    return {name: score(values) for name, values in times.items()}


def timed(work: Callable[[], object], clock: Clock = time.thread_time) -> Run:
    """`work` as a contender, repeated until a reading of the clock is long enough to trust."""
    start = clock()
    work()
    repeats = max(1, min(_REPEATS_MAX, int(_READING_S / max(clock() - start, 1e-9))))

    def run() -> float:
        start = clock()
        for _ in range(repeats):
            work()
        return (clock() - start) * 1e6 / repeats

    return run


def a_while(clock: Clock = time.monotonic) -> Iterator[None]:
    """As many rounds of a look at every layer as its time holds, a few in any case."""
    deadline = clock() + _LOOK_S
    for done in range(_LOOK_ROUNDS_MAX):
        if done >= _LOOK_ROUNDS_MIN and clock() >= deadline:
            return
        yield


def score(times: list[float]) -> float:
    """The lower quartile."""
    return sorted(times)[len(times) // 4]


def pick(scores: Mapping[str, float], default: str, margin: float) -> str:
    """The name with the least score; the default when that is not slower by more than the
    margin, so that what is equal stays as it is. A default without a score is taken only when
    there are no scores."""
    best = min(scores, key=lambda name: scores[name], default=default)
    stays = default in scores and scores[default] <= scores[best] * (1.0 + margin)
    return default if stays else best


def _still_running(times: Mapping[str, list[float]], running: list[str]) -> list[str]:
    scores = {name: score(times[name]) for name in running}
    best = min(scores.values())
    return [name for name in running if scores[name] <= best * _HOPELESS]


def _is_clear(times: Mapping[str, list[float]], running: list[str]) -> bool:
    best = min(running, key=lambda name: score(times[name]))
    return all(name == best or _slower_mostly(times[name], times[best]) for name in running)


def _slower_mostly(slower: list[float], faster: list[float]) -> bool:
    wins = sum(a >= _CLEAR * b for a, b in zip(slower, faster, strict=True))
    return wins >= 0.75 * len(faster)
