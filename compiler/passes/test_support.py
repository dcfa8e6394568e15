"""Builds small graphs for tests, and checks what every pass owes: the graph stays well-formed
and computes the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coexec.compiler.ir import Array, AttrValue, Graph, Layer, TensorType, Value
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.graph import dtype_name
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.ir.verify import verify
from coexec.compiler.ir.window import window_attrs
from coexec.compiler.passes import Pass, PassReport, drop_dead


class Build:
    """Grows a graph layer by layer; values are random, from the seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs: list[Value] = []
        self.layers: list[Layer] = []
        self._count = 0

    def name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def input(self, *shape: int) -> Value:
        value = Value(self.name("in"), TensorType("f32", shape))
        self.inputs.append(value)
        return value

    def constant(self, array: Array) -> Value:
        return Value(self.name("c"), TensorType(dtype_name(array.dtype), array.shape), array)

    def weight(self, *shape: int) -> Value:
        return self.constant(self.rng.normal(0, 1, shape).astype(np.float32))

    def positive(self, *shape: int) -> Value:
        return self.constant((self.rng.random(shape) + 0.5).astype(np.float32))

    def number(self, number: float) -> Value:
        return self.constant(np.array(number, np.float32))

    def op(self, op: str, *inputs: Value | None, **attrs: AttrValue) -> Value:
        return self.ops(op, *inputs, **attrs)[0]

    def ops(self, op: str, *inputs: Value | None, **attrs: AttrValue) -> list[Value]:
        types = BY_NAME[op].infer_types([None if v is None else v.type for v in inputs], attrs)
        results = [Value(self.name("v"), t) for t in types]
        self.layers.append(Layer(op, self.name(op), list(inputs), list(results), attrs))
        return results

    def conv(self, x: Value, w: Value, *rest: Value | None, group: int = 1, pad: int = 0) -> Value:
        kernel = list(w.type.shape[2:])
        window = window_attrs(kernel, pads=[pad] * (2 * len(kernel)))
        return self.op("Conv", x, w, *rest, **window, group=group, **NO_ACTIVATION)

    def gemm(self, x: Value, w: Value, *rest: Value | None) -> Value:
        return self.op("Gemm", x, w, *rest, **NO_ACTIVATION)

    def graph(self, *outputs: Value) -> Graph:
        graph = Graph("test", self.inputs, list(outputs), self.layers)
        verify(graph, "imported")
        return graph

    def batch_norm(self, x: Value, channels: int) -> Value:
        parts = [self.positive(channels), self.weight(channels), self.weight(channels)]
        var = self.positive(channels)
        return self.op("BatchNormalization", x, *parts, var, epsilon=1e-3)


def ops_of(graph: Graph) -> list[str]:
    """Each layer's op, with its activation after a dot."""
    names = []
    for layer in graph.layers:
        activation = layer.attrs.get("activation", "")
        names.append(f"{layer.op}.{activation}" if activation else layer.op)
    return names


def random_inputs(graph: Graph, seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, v.type.shape).astype(np.float32) for v in graph.inputs]


def check_pass(
    graph: Graph,
    run: Pass,
    before: Sequence[str],
    after: Sequence[str],
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> PassReport:
    """Runs the pass, and drop_dead behind it, on the graph; both forms must be well-formed, have
    the given ops, keep the outputs' names and types, and compute the same within tolerance."""
    assert ops_of(graph) == list(before)
    inputs = random_inputs(graph)
    outputs = [(v.name, v.type) for v in graph.outputs]
    expected = interpret(graph, inputs)
    report = run(graph)
    verify(graph, "imported")
    drop_dead.run(graph)
    verify(graph, "rewritten")
    assert ops_of(graph) == list(after), report.refused
    assert [(v.name, v.type) for v in graph.outputs] == outputs
    for ours, theirs in zip(interpret(graph, inputs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    return report
