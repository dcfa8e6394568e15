"""Products on integers (Jacob et al., CVPR 2018, section 2): weights as int8, symmetric, a scale
per row or output channel; activations as uint8 with a zero point, a scale per tensor. Sums are
exact in int32 and become f32 right after them.

The range of an activation is from the least to the greatest value that the calibration inputs
bring, with 0 inside. No percentile: with a few dozen inputs the extremes are hardly outliers, and
a clipped value costs more than a slightly coarser step. What a layer cannot take, it does not: a
result that is off by more than ERROR_MAX on these inputs keeps the layer in f32. So does a layer
that int8 would make slower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer, TensorType, Value
from coexec.compiler.ir.integers import LEVELS, WEIGHT_MAX
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.passes.integers import RECURRENT, scales_of, why_not_int8
from coexec.compiler.prune.report import relative_error
from coexec.compiler.prune.walk import Run, Walk
from coexec.compiler.quantize.report import TypedWeight
from coexec.compiler.quantize.weights import TypedOperand, typed_operands

# Of a layer's results, relative: sound layers are below a third of it.
ERROR_MAX = 0.05


def quantized_weight(array: Array) -> tuple[Array, Array]:
    """int8 [M, ...] in -127..127 and the f32 scale of each row, 1 for a row of zeros."""
    rows = array.reshape(len(array), -1)
    largest = np.abs(rows).max(axis=1)
    scale = np.where(largest > 0, largest / WEIGHT_MAX, 1).astype(np.float32)
    scale[scale == 0] = 1  # a row of subnormals
    steps = np.clip(np.rint(rows / scale[:, None]), -WEIGHT_MAX, WEIGHT_MAX)
    return steps.astype(np.int8).reshape(array.shape), scale


def activation_scale(low: float, high: float) -> Array:
    """f32 scale and zero point of uint8 values that reach from low to high and hold 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / LEVELS)
    if not scale > np.finfo(np.float32).tiny:
        return np.array([1, 0], np.float32)
    zero = np.clip(np.rint(-low / scale), 0, LEVELS)
    return np.array([scale, zero], np.float32)


def to_int8(graph: Graph, examples: Sequence[Sequence[Array]], run: Run) -> list[TypedWeight]:
    """Gives each weight of Conv, Gemm, LSTM and GRU that may have it the type int8, in place, layer
    after layer: a later one sees what the earlier ones compute now."""
    walk = Walk(graph, examples, run)
    positions = {id(layer): i for i, layer in enumerate(graph.layers)}
    report = []
    for found in list(typed_operands(graph)):
        layer, operand, value, _ = found
        note, error = _why_not(graph, found), 0.0
        if not note:
            walk.to(positions[id(layer)])
            error, note = _quantize(found, walk)
        dtype = "f32" if note else "int8"
        report.append(TypedWeight(layer.name, operand, dtype, value.type.elements, error, note))
    return report


def _why_not(graph: Graph, found: TypedOperand) -> str:
    layer, value = found.layer, found.value
    if found.why_not:
        return found.why_not
    if sum(value in other.inputs for other in graph.layers) > 1:
        return "several layers read it"
    assert value.constant is not None
    if not np.isfinite(value.constant).all():
        return "it is not finite"
    return why_not_int8(layer, found.operand, value)


def _quantize(found: TypedOperand, walk: Walk) -> tuple[float, str]:
    """The error of the layer's first result, and why the operand stays as it is."""
    layer, operand, weight = found.layer, found.operand, found.value
    x, result = layer.inputs[0], next(value for value in layer.outputs if value)
    assert x is not None
    assert weight.constant is not None
    operands: dict[str, Value] = {}
    if operand == "w":  # the state of r has a scale that is known
        seen = [a for a in walk.values(x) if a.size]
        if not seen:
            return 0.0, "its input has no elements"
        low, high = min(float(a.min()) for a in seen), max(float(a.max()) for a in seen)
        if not np.isfinite([low, high]).all():
            return 0.0, "its input is not finite"
        operands["x_scale"] = _constant(f"{layer.name}.x_scale", activation_scale(low, high))
    rows = scales_of(layer, weight)
    integers, scale = quantized_weight(weight.constant.reshape(rows, -1))
    dims = weight.type.shape[: 2 if layer.op in RECURRENT else 1]
    operands[operand] = Value(
        weight.name, replace(weight.type, dtype="i8"), integers.reshape(weight.type.shape)
    )
    operands[f"{operand}_scale"] = _constant(f"{layer.name}.{operand}_scale", scale.reshape(dims))
    before = list(layer.inputs)
    want = walk.run_alone(layer, result)
    layer.inputs = _with(layer, operands)
    got = walk.run_alone(layer, result)
    error = relative_error([[a] for a in want], [[a] for a in got])
    if error <= ERROR_MAX:
        return error, ""
    layer.inputs = before
    return error, f"beyond {ERROR_MAX}"


def _with(layer: Layer, operands: dict[str, Value]) -> list[Value | None]:
    """The layer's operands with some, by name, in place of those it has."""
    names = [name.rstrip("?") for name in BY_NAME[layer.op].inputs]
    given = dict(zip(names, layer.inputs, strict=False)) | operands
    return [given.get(name) for name in names]


def _constant(name: str, array: Array) -> Value:
    return Value(name, TensorType("f32", array.shape), array)
