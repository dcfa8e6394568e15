"""Prunes a graph's weights by magnitude, on request only, and reports what that cost."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Graph, Value
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.passes.weights import Weight, as_matrix, sparse_weights
from coexec.compiler.prune.mask import bcr_mask, unstructured_mask
from coexec.compiler.prune.rule import PruneRule

# Below this a layer's zeros save nothing worth their harm.
_TINY_WEIGHTS = 4096
# The last Gemm decides the answer; up to this size it costs little to leave it whole.
_SMALL_CLASSIFIER_WEIGHTS = 65536
_BLOCK_COLUMNS = 64

Run = Callable[[Graph, Sequence[Array]], list[Array]]


@dataclass(frozen=True, slots=True)
class PrunedWeight:
    """One weight after pruning. density: non-zeros / all. kept_energy: the sum of squares left,
    as a share of what it was. why_dense: why the rule for all passed it over, or ""."""

    layer: str
    operand: str
    rule: str
    weights: int
    nonzeros: int
    energy: float
    energy_left: float
    why_dense: str

    @property
    def density(self) -> float:
        return self.nonzeros / self.weights

    @property
    def kept_energy(self) -> float:
        return self.energy_left / self.energy if self.energy else 1.0


@dataclass(slots=True)
class PruneReport:
    """output_error: the root of the summed squared differences of all outputs over all
    calibration inputs, relative to the outputs before pruning; None without such inputs."""

    weights: list[PrunedWeight] = field(default_factory=list)
    output_error: float | None = None

    @property
    def density(self) -> float:
        total = sum(w.weights for w in self.weights)
        return sum(w.nonzeros for w in self.weights) / total if total else 1.0

    @property
    def kept_energy(self) -> float:
        total = sum(w.energy for w in self.weights)
        return sum(w.energy_left for w in self.weights) / total if total else 1.0

    def lines(self) -> list[str]:
        """The report as text: a line per weight, then the totals."""
        shown = [
            f"{w.layer}.{w.operand}: {w.rule}, {w.weights} weights, density {w.density:.3f}, "
            f"energy kept {w.kept_energy:.3f}" + (f" ({w.why_dense})" if w.why_dense else "")
            for w in self.weights
        ]
        error = "" if self.output_error is None else f", output error {self.output_error:.3g}"
        total = f"total: density {self.density:.3f}, energy kept {self.kept_energy:.3f}{error}"
        return [*shown, total]


def prune(
    graph: Graph,
    rules: Sequence[PruneRule],
    calibration: Sequence[Sequence[Array]] = (),
    run: Run = interpret,
) -> PruneReport:
    """Replaces weights of the graph by pruned ones. The last rule that names a layer applies to
    it, else the last rule for all, which leaves the first Conv, layers below 4096 weights and a
    last Gemm below 65536 as they are. calibration: inputs in the graph's order, any number of
    times; run computes the graph's outputs from them. Raises CompileError when a rule names no
    layer that can be pruned."""
    found = list(sparse_weights(graph))
    _refuse_rules_without_layers(graph, rules, found)
    before = [run(graph, inputs) for inputs in calibration]
    protected = _protected(found)
    report = PruneReport()
    pruned: dict[Value, PrunedWeight] = {}
    for weight in found:
        if weight.value in pruned:
            continue  # a second reader of a weight: the first one's rule holds
        rule, why_dense = _rule_for(weight, rules, protected)
        pruned[weight.value] = _prune_weight(weight, rule, why_dense)
    report.weights = list(pruned.values())
    if before:
        after = [run(graph, inputs) for inputs in calibration]
        report.output_error = _relative_error(before, after)
    return report


def _rule_for(
    weight: Weight, rules: Sequence[PruneRule], protected: dict[str, str]
) -> tuple[PruneRule, str]:
    """The rule, and why a protected weight stays dense under the rule for all."""
    named = [rule for rule in rules if rule.names(weight.layer.name)]
    if named:
        return named[-1], ""
    for_all = [rule for rule in rules if not rule.layers]
    dense = PruneRule("dense", 0.0)
    if not for_all:
        return dense, "no rule names it"
    why = protected.get(weight.layer.name, "")
    return (dense, why) if why else (for_all[-1], "")


def _protected(found: Sequence[Weight]) -> dict[str, str]:
    """Layer names the rule for all passes over, with the reason."""
    sizes: dict[str, int] = {}
    for weight in found:
        sizes[weight.layer.name] = sizes.get(weight.layer.name, 0) + weight.value.type.elements
    reasons = {name: "fewer than 4096 weights" for name, n in sizes.items() if n < _TINY_WEIGHTS}
    convs = [weight.layer.name for weight in found if weight.layer.op == "Conv"]
    if convs:
        reasons[convs[0]] = "the first Conv"
    if found and found[-1].layer.op == "Gemm":
        last = found[-1].layer.name
        if sizes[last] < _SMALL_CLASSIFIER_WEIGHTS:
            reasons.setdefault(last, "the last Gemm, and small")
    return reasons


def _prune_weight(weight: Weight, rule: PruneRule, why_dense: str) -> PrunedWeight:
    array = weight.value.constant
    assert array is not None
    matrix = as_matrix(weight.layer.op, array)
    if rule.scheme == "bcr":
        keep = bcr_mask(matrix, rule.rate, weight.strip_rows, _BLOCK_COLUMNS)
    elif rule.scheme == "unstructured":
        keep = unstructured_mask(matrix, rule.rate)
    else:
        keep = matrix != 0
    left = np.where(keep, matrix, np.zeros((), array.dtype))
    weight.value.constant = left.reshape(array.shape)
    return PrunedWeight(
        weight.layer.name,
        weight.operand,
        str(rule),
        array.size,
        int(np.count_nonzero(left)),
        float(np.sum(np.square(matrix, dtype=np.float64))),
        float(np.sum(np.square(left, dtype=np.float64))),
        why_dense,
    )


def _refuse_rules_without_layers(
    graph: Graph, rules: Sequence[PruneRule], found: Sequence[Weight]
) -> None:
    prunable = {weight.layer.name for weight in found}
    for rule in rules:
        if not rule.layers or any(rule.names(name) for name in prunable):
            continue
        other = [layer.name for layer in graph.layers if rule.names(layer.name)]
        if other:
            what = f"names {other[0]}, which has no weight that sparse kernels take"
        else:
            near = difflib.get_close_matches(rule.layers, prunable, 3, 0.3) or sorted(prunable)[:3]
            what = f"names no layer; there are {', '.join(near) or 'none to prune'}"
        raise CompileError(f"{graph.name}: --prune {str(rule)!r} {what}")


def _relative_error(before: Sequence[Sequence[Array]], after: Sequence[Sequence[Array]]) -> float:
    difference = total = 0.0
    for old, new in zip(before, after, strict=True):
        for a, b in zip(old, new, strict=True):
            wide = a.astype(np.float64)
            difference += float(np.sum((wide - b) ** 2))
            total += float(np.sum(wide**2))
    if total == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return float(np.sqrt(difference / total))
