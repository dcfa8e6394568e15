"""A Conv or Gemm whose weights the model dequantizes, and whose input it has quantized, becomes an
int8 layer of the model's own integers, scales and zero point. Integers are summed exactly where
ONNX's definition rounds f32 sums, so results differ in the last bits, and the next quantization
may fall on the other side of a tie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.graph import Integers
from coexec.compiler.ir.ops.quantize_linear import along_axis
from coexec.compiler.passes.grid import Grid, grid_of
from coexec.compiler.passes.integers import why_not_int8
from coexec.compiler.passes.linear import operand
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite

_I8 = np.iinfo(np.int8)


class _Match(NamedTuple):
    layer: Layer
    weight: Value
    integers: Integers
    grid: Grid | None


def _pattern(links: Links, layer: Layer) -> _Match | None:
    weight = operand(layer, 1) if layer.op in ("Conv", "Gemm") else None
    if weight is None or weight.integers is None or weight.type.dtype != "f32":
        return None
    return _Match(layer, weight, weight.integers, grid_of(links, layer.inputs[0]))


def _check(_links: Links, match: _Match) -> str:
    layer, weight, integers, grid = match
    if grid is None:
        return "its input is not quantized with one scale and zero point"
    if integers.scale.size > 1 and integers.axis != 0:
        return f"its weights have a scale per element of axis {integers.axis}, not per output"
    if not (np.isfinite(integers.scale) & (integers.scale > 0)).all():
        return "its weights have a scale that is no positive number"
    steps = _symmetric(integers)
    if steps.min() < _I8.min or steps.max() > _I8.max:
        return f"its weights less their zero point are beyond int8, {steps.min()}..{steps.max()}"
    return why_not_int8(layer, "w", weight)


def _symmetric(integers: Integers) -> Array:
    """The integers of a zero point of 0."""
    zero = along_axis(integers.zero, integers.steps.ndim, integers.axis)
    difference: Array = integers.steps.astype(np.int32) - zero.astype(np.int32)
    return difference


def _rewrite(links: Links, match: _Match) -> None:
    layer, weight, integers, grid = match
    assert grid is not None
    scale = np.broadcast_to(integers.scale.reshape(-1), weight.type.shape[:1])
    links.change(
        layer,
        inputs=[
            layer.inputs[0],
            links.constant(f"{weight.name}.i8", _symmetric(integers).astype(np.int8)),
            operand(layer, 2),
            operand(layer, 3),
            links.constant(f"{layer.name}.w_scale", np.ascontiguousarray(scale)),
            links.constant(f"{layer.name}.x_scale", np.array(grid, np.float32)),
        ],
    )


def run(graph: Graph) -> PassReport:
    return Rewrite("use_integers", _pattern, _check, _rewrite).run(graph)
