"""One pass, taken back when no kernel takes what it makes."""

from __future__ import annotations

from collections.abc import Sequence

from coexec.compiler.ir.graph import Graph, Layer, TensorType, Value
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.native import Kernels
from coexec.compiler.passes import Pass, PassReport


def try_pass(graph: Graph, one: Pass, kernels: Kernels) -> tuple[PassReport, str]:
    """What the pass did. When no kernel takes a layer that it leaves, the graph is as it was, and
    the reason comes along: every layer stays runnable."""
    before = _copies(graph.layers), list(graph.outputs)
    stored = _constants(graph)
    done = one(graph)
    refused = _refused_by_kernels(graph, kernels) if done.done else ""
    if refused:
        graph.layers, graph.outputs = before
        for value, type in stored:
            value.type = type
    return done, refused


def _copies(layers: Sequence[Layer]) -> list[Layer]:
    return [
        Layer(
            layer.op,
            layer.name,
            list(layer.inputs),
            list(layer.outputs),
            dict(layer.attrs),
            layer.onnx_model,
            layer.why_not_native,
        )
        for layer in layers
    ]


def _constants(graph: Graph) -> list[tuple[Value, TensorType]]:
    """Each constant with the type, hence the layout, it has now."""
    operands = {v: v.type for layer in graph.layers for v in layer.inputs if v is not None}
    return [(value, type) for value, type in operands.items() if value.constant is not None]


def _refused_by_kernels(graph: Graph, kernels: Kernels) -> str:
    for layer in graph.layers:
        problem = "" if layer.op == ONNX_RUNTIME else kernels.why_not(layer)
        if problem:
            return f"{layer.name} ({layer.op}): {problem}"
    return ""
