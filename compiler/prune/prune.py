"""Prunes a graph's weights, on request only, and reports what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from coexec.compiler.ir import Array, Graph
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.passes.weights import sparse_weights
from coexec.compiler.prune.latency import TimeVariants, measured_us, others_us
from coexec.compiler.prune.plan import Plan, make_plans, with_blocks
from coexec.compiler.prune.reconstruct import Reconstruction
from coexec.compiler.prune.report import PrunedWeight, PruneReport, relative_error
from coexec.compiler.prune.rule import PruneRule, Target, refuse_open_rates
from coexec.compiler.prune.search import searched
from coexec.compiler.prune.walk import Run
from coexec.compiler.tune.cache import Tuning


def prune(
    graph: Graph,
    rules: Sequence[PruneRule],
    calibration: Sequence[Sequence[Array]] = (),
    run: Run = interpret,
    reconstruct: bool = True,
    target: Target | None = None,
    time: TimeVariants = measured_us,
    known: Tuning | None = None,
) -> PruneReport:
    """Replaces weights of the graph by pruned ones. Of the rules whose scheme fits a weight the
    last one that names its layer applies, else the last rule for all, which leaves the first Conv,
    layers below 8192 operations and a last Gemm below 65536 weights as they are. calibration:
    inputs in the graph's order, any number of times; run computes a graph's outputs from them. With
    them, and unless reconstruct is off, weights are chosen and refitted by least squares; else by
    magnitude.
    target: sets the rates that rules leave open; without a rule for all, bcr's. time: measures
    layers. known: the blocks measured before; gets those measured now. Raises CompileError when a
    rule names no layer that can be pruned, a rate is open without a target, or the target is out of
    reach."""
    if target is None:
        refuse_open_rates(rules)
    elif all(rule.layers for rule in rules):
        rules = [PruneRule("bcr", None), *rules]
    plans = make_plans(graph, rules, list(sparse_weights(graph)))

    def fitting() -> Reconstruction | None:
        return Reconstruction(graph, calibration, run) if calibration and reconstruct else None

    report = PruneReport()
    known = Tuning(None) if known is None else known  # an empty one is false
    plans = with_blocks(plans, target.rate if target else None, time, known)
    if target is not None:
        plans, report.frontier, report.taken = searched(
            plans, target, partial(_others_us, graph), time, fitting()
        )
    before = [run(graph, inputs) for inputs in calibration]
    shared = fitting()
    report.weights = [_prune_weight(plan, shared) for plan in plans]
    if before:
        after = [run(graph, inputs) for inputs in calibration]
        report.output_error = relative_error(before, after)
    return report


def _others_us(graph: Graph, plans: Sequence[Plan]) -> float:
    planned = {id(plan.weight.layer) for plan in plans}
    return others_us(graph, [i for i, layer in enumerate(graph.layers) if id(layer) in planned])


def _prune_weight(plan: Plan, fitting: Reconstruction | None) -> PrunedWeight:
    weight, rate = plan.weight, plan.rule.rate
    array = weight.value.constant
    assert array is not None
    assert rate is not None
    error, note = None, plan.note
    if rate > 0.0:
        why_not = fitting.why_not(weight) if fitting else ""
        if fitting and not why_not:
            error = fitting.prune(weight, rate, plan.mask)
        else:
            note = f"by magnitude: {why_not}" if why_not else ""
            weight.value.constant = plan.by_magnitude(rate)
    left = weight.value.constant
    assert left is not None
    return PrunedWeight(
        weight.layer.name,
        weight.operand,
        str(plan.rule),
        array.size,
        int(np.count_nonzero(left)),
        float(np.sum(np.square(array, dtype=np.float64))),
        float(np.sum(np.square(left, dtype=np.float64))),
        error,
        note,
    )
