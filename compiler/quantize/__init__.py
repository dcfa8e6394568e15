"""Types of weights other than f32, as a compile option."""

from __future__ import annotations

from collections.abc import Sequence

from coexec.compiler.ir import Array, Graph
from coexec.compiler.prune.report import relative_error
from coexec.compiler.prune.walk import Run
from coexec.compiler.quantize.bf16 import to_bf16
from coexec.compiler.quantize.report import TypedWeight, TypeReport

TYPES = ("f32", "bf16")


def quantize(
    graph: Graph, dtype: str, calibration: Sequence[Sequence[Array]], run: Run
) -> TypeReport:
    """Stores the graph's weights as `dtype`, one of TYPES other than f32, where they can be.
    calibration: inputs in the graph's order, any number of times; run computes a graph's outputs
    from them."""
    assert dtype == "bf16", dtype
    before = [run(graph, inputs) for inputs in calibration]
    report = TypeReport(to_bf16(graph))
    if before:
        after = [run(graph, inputs) for inputs in calibration]
        report.output_error = relative_error(before, after)
    return report


__all__ = ["TYPES", "TypeReport", "TypedWeight", "quantize"]
