"""Which weights may have a type of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from coexec.compiler.ir import Graph, Layer, Value
from coexec.compiler.ir.ops import BY_NAME

_OPS = ("Conv", "ConvTranspose", "Gemm", "LSTM", "GRU")


class TypedOperand(NamedTuple):
    """A constant f32 weight, with the first layer that reads it. why_not: why it stays f32."""

    layer: Layer
    operand: str
    value: Value
    why_not: str


def typed_operands(graph: Graph) -> Iterator[TypedOperand]:
    """Each weight once, in the layers' order."""
    others = _other_readers(graph)
    seen: set[Value] = set()
    for layer in graph.layers:
        if layer.op not in _OPS:
            continue
        op = BY_NAME[layer.op]
        for index, value in enumerate(layer.inputs):
            if value is None or value.constant is None or value in seen:
                continue
            name = op.inputs[index].rstrip("?")
            if name not in op.weights or value.type.dtype != "f32" or not value.type.elements:
                continue
            seen.add(value)
            why_not = f"{others[value]} reads it too, as f32" if others[value] else ""
            yield TypedOperand(layer, name, value, why_not)


def _other_readers(graph: Graph) -> dict[Value, str]:
    """Who reads a constant other than as a weight, by name."""
    found: dict[Value, str] = defaultdict(str)
    for layer in graph.layers:
        op = BY_NAME.get(layer.op)
        for index, value in enumerate(layer.inputs):
            if value is None or value.constant is None:
                continue
            weight = layer.op in _OPS and op and op.inputs[index].rstrip("?") in op.weights
            if not weight:
                found[value] = layer.name
    for value in graph.outputs:
        found[value] = "the caller"
    return found
