"""Runs a graph by the ops' references: the definition of what it computes. Slow, for tests and
for measuring what pruning costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from coexec.compiler.ir import ops
from coexec.compiler.ir.graph import Graph, IrError, Layer, TensorType, Value, dtype_name
from coexec.compiler.ir.op import Array


def interpret(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The graph's outputs for inputs in the graph's order. Raises IrError when an input has
    another dtype or shape than the graph says."""
    if len(inputs) != len(graph.inputs):
        raise IrError(f"{graph.name}: takes {len(graph.inputs)} inputs, got {len(inputs)}")
    known: dict[Value, Array] = {}
    for value, array in zip(graph.inputs, inputs, strict=True):
        given = TensorType(dtype_name(array.dtype), array.shape)
        if given != value.type:
            raise IrError(f"{graph.name}: {value.name} must be {value.type}, got {given}")
        known[value] = array
    for layer in graph.layers:
        operands = [_read(value, known) for value in layer.inputs]
        for result, array in zip(layer.outputs, run_layer(layer, operands), strict=False):
            if result is not None:
                known[result] = array
    outputs = [_read(value, known) for value in graph.outputs]
    return [array for array in outputs if array is not None]


def run_layer(layer: Layer, operands: Sequence[Array | None]) -> list[Array]:
    """One layer's results, by its reference, or by ONNX Runtime where it has none."""
    if layer.op != ops.ONNX_RUNTIME:
        return ops.BY_NAME[layer.op].run(operands, layer.attrs)
    session = ort.InferenceSession(layer.onnx_model, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    present = [operand for operand in operands if operand is not None]
    results = session.run(None, dict(zip(names, present, strict=True)))
    return [np.asarray(result) for result in results]


def _read(value: Value | None, known: dict[Value, Array]) -> Array | None:
    if value is None:
        return None
    return known[value] if value.constant is None else value.constant
