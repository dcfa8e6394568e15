"""Alternating measurement: every candidate once per round, so that noise falls on all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def alternate(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 3,
    settle: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds of each call, by candidate; the order turns round by round. settle: untimed
    calls before each timed one, where what another candidate left in the caches must not count.
    clock: with time.thread_time, what computes on the calling thread alone is measured right
    while other programs have the core."""
    for run in candidates.values():
        for _ in range(warmup):
            run()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            for _ in range(settle):
                candidates[name]()
            start = clock()
            candidates[name]()
            times[name].append((clock() - start) * 1e3)
    return times


def ratio(times: Mapping[str, list[float]], over: str, of: str) -> float:
    """How many times faster `of` is than `over`: the median of the rounds' ratios."""
    pairs = zip(times[over], times[of], strict=True)
    return statistics.median(a / b for a, b in pairs)
