"""Which rule applies to which weight, and the size of BCR's blocks where the rule leaves it
open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from coexec.compiler.errors import CompileError, some_of
from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.passes.weights import Weight, as_matrix
from coexec.compiler.prune.kernel_mask import kgs_mask, pattern_mask
from coexec.compiler.prune.latency import TimeVariants
from coexec.compiler.prune.least_squares import ChooseMask
from coexec.compiler.prune.mask import bcr_mask, block_mask, nm_mask, unstructured_mask
from coexec.compiler.prune.rule import PruneRule
from coexec.compiler.tune.cache import Tuning
from coexec.compiler.tune.choice import Candidate, Choice
from coexec.compiler.tune.key import block_key

# Below this a layer's zeros save nothing worth their harm. Few weights alone are no reason: at
# a high resolution they are much work.
_TINY_FLOPS = 8192
# The last Gemm decides the answer; up to this size it costs little to leave it whole.
_SMALL_CLASSIFIER_WEIGHTS = 65536
# Blocks to choose from, smallest first: rows in strips of the kernels, and columns.
_BLOCKS = ((0.5, 64), (1, 16), (1, 64), (1, 256), (2, 64), (4, 256))
# How much slower than the fastest a smaller block may be.
_SLOWER_MAX = 1.1
_TYPICAL_RATE = 0.9
# A larger weight takes one strip by 64 columns: to rank it six times takes minutes.
_MEASURED_WEIGHTS_MAX = 1 << 24
_KERNEL_MASKS = {"pattern": pattern_mask, "kgs": kgs_mask}  # for convolutions
_MATRIX_MASKS = {"nm": nm_mask, "unstructured": unstructured_mask, "dense": unstructured_mask}


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one weight. note: why the rule for all passed it over, or ""."""

    weight: Weight
    rule: PruneRule
    note: str = ""

    @property
    def matrix(self) -> Array:
        """The weight as it is now, [rows, columns]."""
        assert self.weight.value.constant is not None
        return as_matrix(self.weight.layer.op, self.weight.value.constant)

    @property
    def mask(self) -> ChooseMask:
        """What the rule's scheme keeps of such a weight."""
        if self.rule.scheme in _KERNEL_MASKS:
            of_kernels, shape = _KERNEL_MASKS[self.rule.scheme], self.weight.value.type.shape
            return lambda matrix, rate: of_kernels(matrix.reshape(shape), rate).reshape(
                matrix.shape
            )
        if self.rule.scheme in _MATRIX_MASKS:
            return _MATRIX_MASKS[self.rule.scheme]
        assert self.rule.block is not None
        rows, columns = self.rule.block
        of_blocks = block_mask if self.rule.scheme == "block" else bcr_mask
        return lambda matrix, rate: of_blocks(matrix, rate, rows, columns)

    def by_magnitude(self, rate: float) -> Array:
        """The weight, of its own shape, without its smallest magnitudes."""
        matrix, array = self.matrix, self.weight.value.constant
        assert array is not None
        left = np.where(self.mask(matrix, rate), matrix, np.zeros((), array.dtype))
        return left.reshape(array.shape)


def make_plans(graph: Graph, rules: Sequence[PruneRule], found: Sequence[Weight]) -> list[Plan]:
    """A plan for every weight once: of a weight with several readers, the first one's rule holds.
    Raises CompileError when a rule names no layer that can be pruned."""
    _refuse_rules_without_layers(graph, rules, found)
    protected = _protected(found)
    plans: dict[Value, Plan] = {}
    for weight in found:
        plans.setdefault(weight.value, Plan(weight, *_rule_for(weight, rules, protected)))
    return list(plans.values())


def with_blocks(
    plans: Sequence[Plan], rate: float | None, time: TimeVariants, known: Tuning
) -> list[Plan]:
    """The plans with a block in every bcr rule: the smallest whose measured speed is within a
    tenth of the fastest, since small blocks keep more accuracy (GRIM, arXiv 2108.11033, section
    5.2). rate: to measure at, where the rule has none. What is chosen is kept in `known`, so that
    the same layer is pruned alike next time: two blocks may be equally fast but for noise."""
    result = list(plans)
    for i, plan in enumerate(plans):
        if plan.rule.scheme == "bcr" and plan.rule.block is None:
            at = plan.rule.rate if plan.rule.rate is not None else rate
            others = [p for p in plans if p.weight.layer is plan.weight.layer and p is not plan]
            block = _fastest_block(plan, others, _TYPICAL_RATE if at is None else at, time, known)
            result[i] = replace(plan, rule=replace(plan.rule, block=block))
    return result


def _fastest_block(
    plan: Plan, others: Sequence[Plan], rate: float, time: TimeVariants, known: Tuning
) -> tuple[int, int]:
    """Measured with the layer's other weights pruned too, by their own rates and blocks where they
    have any, by blocks of one strip otherwise: whole, they would take so long that any block of
    this one looks as good as the best."""
    rows, columns = plan.matrix.shape
    blocks = _BLOCKS if rows * columns <= _MEASURED_WEIGHTS_MAX else ((1, 64),)
    sizes = dict.fromkeys(
        (min(int(strips * plan.weight.strip_rows), rows), min(width, columns))
        for strips, width in blocks
    )
    if rate == 0.0 or len(sizes) == 1:
        return next(iter(sizes))
    beside = [
        _as_measured(other, rate, (other.weight.strip_rows, 64))
        for other in others
        if other.rule.scheme == "bcr"
    ]
    variants = {}
    for size in sizes:
        # This one last: what is told of a weight last holds.
        plans = [*beside, _as_measured(plan, rate, size)]
        name = " ".join(f"{p.weight.operand}:{p.rule}" for p in plans)
        variants[name] = partial(_pruned, plans)
    names = [f"{block_rows}x{block_columns}" for block_rows, block_columns in sizes]
    key = block_key(plan.weight.layer, list(variants))
    choice = known.find(key)
    if choice is None or choice.taken not in names:
        us = list(time(plan.weight.layer, variants).values())
        taken = next(n for n, t in zip(names, us, strict=True) if t <= _SLOWER_MAX * min(us))
        tried = [Candidate(n, measured_us=t) for n, t in zip(names, us, strict=True)]
        choice = Choice(tried, taken)
        known.keep(key, choice)
    return list(sizes)[names.index(choice.taken)]


def _as_measured(plan: Plan, rate: float, block: tuple[int, int]) -> Plan:
    """With a rate and a block where the rule has none."""
    rule = plan.rule
    rate, block = rate if rule.rate is None else rule.rate, rule.block or block
    return replace(plan, rule=replace(rule, layers="", rate=rate, block=block))


def _pruned(plans: Sequence[Plan]) -> dict[Value, Array]:
    pruned = {}
    for plan in plans:
        assert plan.rule.rate is not None
        pruned[plan.weight.value] = plan.by_magnitude(plan.rule.rate)
    return pruned


def _rule_for(
    weight: Weight, rules: Sequence[PruneRule], protected: dict[str, str]
) -> tuple[PruneRule, str]:
    """The rule, and why a protected weight stays dense under the rule for all."""
    why_not = {rule: rule.why_not(weight.layer.op, weight.value.type.shape) for rule in rules}
    fitting = [rule for rule in rules if not why_not[rule]]
    named = [rule for rule in fitting if rule.names(*weight.names)]
    if named:
        return named[-1], ""
    for_all = [rule for rule in fitting if not rule.layers]
    dense = PruneRule("dense", 0.0)
    if not for_all:
        meant = [
            why for rule, why in why_not.items() if not rule.layers or rule.names(*weight.names)
        ]
        return dense, next((why for why in reversed(meant) if why), "no rule names it")
    why = protected.get(weight.layer.name, "")
    return (dense, why) if why else (for_all[-1], "")


def _protected(found: Sequence[Weight]) -> dict[str, str]:
    """Layer names the rule for all passes over, with the reason."""
    sizes: dict[str, int] = {}
    for weight in found:
        sizes[weight.layer.name] = sizes.get(weight.layer.name, 0) + weight.value.type.elements
    tiny = f"fewer than {_TINY_FLOPS} operations"
    reasons = {weight.layer.name: tiny for weight in found if _flops(weight.layer) < _TINY_FLOPS}
    convs = [weight.layer.name for weight in found if weight.layer.op == "Conv"]
    if convs:
        reasons[convs[0]] = "the first Conv"
    if found and found[-1].layer.op == "Gemm":
        last = found[-1].layer.name
        if sizes[last] < _SMALL_CLASSIFIER_WEIGHTS:
            reasons.setdefault(last, "the last Gemm, and small")
    return reasons


def _flops(layer: Layer) -> int:
    types = [None if value is None else value.type for value in layer.inputs]
    return BY_NAME[layer.op].cost_of(types, layer.attrs).flops


def _refuse_rules_without_layers(
    graph: Graph, rules: Sequence[PruneRule], found: Sequence[Weight]
) -> None:
    prunable = {weight.layer.name for weight in found}
    for rule in rules:
        if not rule.layers or any(rule.names(*weight.names) for weight in found):
            continue
        other = [layer.name for layer in graph.layers if rule.names(layer.name)]
        if other:
            what = f"names {other[0]}, which has no weight that sparse kernels take"
        else:
            what = f"names no layer; there are {some_of(prunable, rule.layers) or 'none to prune'}"
        raise CompileError(f"{graph.name}: --prune {str(rule)!r} {what}")
