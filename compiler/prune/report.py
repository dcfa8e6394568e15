"""What pruning a graph cost, weight by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from coexec.compiler.ir import Array
from coexec.compiler.prune.trade_off import Point, table


@dataclass(frozen=True, slots=True)
class PrunedWeight:
    """One weight after pruning. density: non-zeros / all. kept_energy: the sum of squares left,
    as a share of what it was. error: squared, of the layer's results on calibration inputs,
    relative to theirs before pruning; None where magnitude chose. note: why the rule for all
    passed it over, or why magnitude chose although inputs were given."""

    layer: str
    operand: str
    rule: str
    weights: int
    nonzeros: int
    energy: float
    energy_left: float
    error: float | None = None
    note: str = ""

    @property
    def density(self) -> float:
        return self.nonzeros / self.weights

    @property
    def kept_energy(self) -> float:
        return self.energy_left / self.energy if self.energy else 1.0

    def __str__(self) -> str:
        # What is reconstructed is refitted, so its energy is no share of what it was.
        how = (
            f"energy kept {self.kept_energy:.3f}"
            if self.error is None
            else f"reconstructed to error {self.error:.3g}"
        )
        return (
            f"{self.layer}.{self.operand}: {self.rule}, {self.weights} weights, density "
            f"{self.density:.3f}, {how}" + (f" ({self.note})" if self.note else "")
        )


@dataclass(slots=True)
class PruneReport:
    """output_error: the root of the summed squared differences of all outputs over all
    calibration inputs, relative to the outputs before pruning; None without such inputs.
    frontier and taken: what a search of rates found and chose; empty and None without one."""

    weights: list[PrunedWeight] = field(default_factory=list)
    output_error: float | None = None
    frontier: list[Point] = field(default_factory=list)
    taken: Point | None = None

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
        error = "" if self.output_error is None else f", output error {self.output_error:.3g}"
        refitted = any(w.error is not None for w in self.weights)
        energy = "" if refitted else f", energy kept {self.kept_energy:.3f}"
        total = f"total: density {self.density:.3f}{energy}{error}"
        curve = [] if self.taken is None else table(self.frontier, self.taken)
        return [*map(str, self.weights), *curve, total]


def relative_error(before: Sequence[Sequence[Array]], after: Sequence[Sequence[Array]]) -> float:
    """Of the examples' outputs, as PruneReport counts it."""
    difference = total = 0.0
    for old, new in zip(before, after, strict=True):
        for a, b in zip(old, new, strict=True):
            wide = a.astype(np.float64)
            difference += float(np.sum((wide - b) ** 2))
            total += float(np.sum(wide**2))
    if total == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return float(np.sqrt(difference / total))
