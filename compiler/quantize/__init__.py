"""Types of weights other than f32, as a compile option."""

from __future__ import annotations

from collections.abc import Sequence

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Graph
from coexec.compiler.prune.report import relative_error
from coexec.compiler.prune.walk import Run
from coexec.compiler.quantize.bf16 import to_bf16
from coexec.compiler.quantize.int8 import ERROR_MAX, to_int8
from coexec.compiler.quantize.report import TypedWeight, TypeReport

TYPES = ("f32", "bf16", "int8")


def quantize(
    graph: Graph, dtype: str, calibration: Sequence[Sequence[Array]], run: Run
) -> TypeReport:
    """Stores the graph's weights as `dtype`, one of TYPES other than f32, where they can be.
    calibration: inputs in the graph's order, any number of times; run computes a graph's outputs
    from them. Raises CompileError for int8 without such inputs."""
    if dtype == "int8" and not calibration:
        raise CompileError("--type int8 needs to see inputs; give --calibration FILE.npz")
    before = [run(graph, inputs) for inputs in calibration]
    weights = to_bf16(graph) if dtype == "bf16" else to_int8(graph, calibration, run)
    report = TypeReport(weights)
    if before:
        after = [run(graph, inputs) for inputs in calibration]
        error = report.output_error = relative_error(before, after)
        if dtype == "int8" and not error <= ERROR_MAX:
            report.warnings.append(
                f"{graph.name}: int8 moves the outputs by {error:.3g} on the calibration inputs, "
                f"more than the {ERROR_MAX} that each layer may be off by: errors add up from "
                "layer to layer. --type bf16 keeps more accuracy"
            )
    return report


__all__ = ["TYPES", "TypeReport", "TypedWeight", "quantize"]
