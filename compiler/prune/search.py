"""How far to prune each layer, so that the whole model meets a target: rates are searched over a
table of measured times and of the error each rate costs, the aim of AMC (He et al., ECCV 2018,
arXiv 1802.03494) without its learner. Errors are relative to each layer's results, and add up.

For every price of a weight or a microsecond, each layer takes the rate that is best by itself
(Lagrange; Everett, Operations Research 11(3), 1963). All prices together give a frontier, of which
the target takes the first point that meets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Value
from coexec.compiler.prune.latency import TimeVariants
from coexec.compiler.prune.plan import Plan
from coexec.compiler.prune.reconstruct import Reconstruction
from coexec.compiler.prune.rule import Target
from coexec.compiler.prune.trade_off import Option, Point

RATES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98)


@dataclass(frozen=True, slots=True)
class Base:
    """What the search leaves as it is: the weights outside it, and the other layers' time."""

    weights: int
    nonzeros: int
    us: float


def searched(
    plans: Sequence[Plan],
    target: Target,
    base_us: Callable[[Sequence[Plan]], float],
    time: TimeVariants,
    fitting: Reconstruction | None,
) -> tuple[list[Plan], list[Point], Point]:
    """The plans with a rate in every rule, the frontier, and the point on it that was taken.
    base_us: the time of all layers but those of the plans given. fitting: judges errors by least
    squares; without it, by the energy that magnitude removes. Raises CompileError when there is
    nothing to search or the target is out of reach, with the best that could be had."""
    open_plans = [plan for plan in plans if plan.rule.rate is None]
    if not open_plans:
        raise CompileError(f"target {target}: every layer has a rate or stays dense; leave one out")
    groups = [list(g) for _, g in groupby(open_plans, key=lambda plan: id(plan.weight.layer))]
    rates = sorted({*RATES, *([] if target.rate is None else [target.rate])})
    options = [_options(group, rates, time, fitting) for group in groups]
    closed = [plan for plan in plans if plan.rule.rate is not None]
    base = Base(
        sum(plan.matrix.size for plan in plans),
        sum(int(np.count_nonzero(plan.by_magnitude(plan.rule.rate or 0.0))) for plan in closed),
        base_us(open_plans),
    )
    points = frontier(options, base, by_time=target.latency_us is not None)
    point = _first_that_meets(points, target)
    rate_of = {
        id(group[0].weight.layer): option.rate
        for group, option in zip(groups, point.taken, strict=True)
    }
    result = [
        replace(plan, rule=replace(plan.rule, rate=rate_of[id(plan.weight.layer)]))
        if plan.rule.rate is None
        else plan
        for plan in plans
    ]
    return result, points, point


def frontier(options: Sequence[Sequence[Option]], base: Base, by_time: bool) -> list[Point]:
    """From the least harm on, one step of one layer after the other: always the step that saves
    most time, or else weights, for the harm it adds."""

    def cost(option: Option) -> float:
        return option.us if by_time else float(option.nonzeros)

    taken = [min(layer, key=lambda option: (option.harm, cost(option))) for layer in options]
    points = [_point(base, taken)]
    while True:
        steps = [
            ((to.harm - now.harm) / (cost(now) - cost(to)), i, to)
            for i, (layer, now) in enumerate(zip(options, taken, strict=True))
            for to in layer
            if cost(to) < cost(now)
        ]
        if not steps:
            return points
        _, i, to = min(steps, key=lambda step: (step[0], step[1], -cost(step[2])))
        taken[i] = to
        points.append(_point(base, taken))


def _point(base: Base, taken: Sequence[Option]) -> Point:
    nonzeros = base.nonzeros + sum(option.nonzeros for option in taken)
    return Point(
        nonzeros / base.weights,
        base.us + sum(option.us for option in taken),
        sum(option.harm for option in taken),
        tuple(taken),
    )


def _first_that_meets(points: Sequence[Point], target: Target) -> Point:
    for point in points:
        if target.density is not None and point.density <= target.density + 1e-9:
            return point
        if target.latency_us is not None and point.us <= target.latency_us:
            return point
    least = points[-1]
    raise CompileError(
        f"target {target} is out of reach: with every searched layer at its highest rate the "
        f"density is {least.density:.3f} and the layers take {least.us / 1e3:.3g} ms; layers that "
        "stay dense can be pruned by a rule that names them"
    )


def _options(
    group: Sequence[Plan],
    rates: Sequence[float],
    time: TimeVariants,
    fitting: Reconstruction | None,
) -> list[Option]:
    """Of one layer, all of its open weights at one rate."""
    made: dict[float, dict[Value, Array]] = {}

    def pruned(rate: float) -> dict[Value, Array]:
        if rate not in made:
            made[rate] = {plan.weight.value: plan.by_magnitude(rate) for plan in group}
        return made[rate]

    rules = [replace(plan.rule, layers="") for plan in group]
    # Rates that differ in the last bits have one name, and one time.
    names = [
        " ".join(
            f"{plan.weight.operand}:{replace(rule, rate=rate)}"
            for plan, rule in zip(group, rules, strict=True)
        )
        for rate in rates
    ]
    variants = {n: partial(pruned, rate) for n, rate in zip(names, rates, strict=True)}
    us = time(group[0].weight.layer, variants)
    harms = np.sum([_harms(plan, rates, pruned, fitting) for plan in group], axis=0)
    left = [sum(int(np.count_nonzero(a)) for a in pruned(rate).values()) for rate in rates]
    return [
        Option(rate, nonzeros, us[name], float(harm))
        for name, rate, nonzeros, harm in zip(names, rates, left, harms, strict=True)
    ]


def _harms(
    plan: Plan,
    rates: Sequence[float],
    pruned: Callable[[float], dict[Value, Array]],
    fitting: Reconstruction | None,
) -> list[float]:
    if fitting is not None and not fitting.why_not(plan.weight):
        return fitting.errors(plan.weight, rates, plan.mask)
    total = float(np.sum(np.square(plan.matrix, dtype=np.float64))) or 1.0
    left = [np.sum(np.square(pruned(r)[plan.weight.value], dtype=np.float64)) for r in rates]
    return [1.0 - float(energy) / total for energy in left]
