"""A spelled-out layer normalisation becomes one op, with whatever scale and bias follow it."""

from __future__ import annotations

import pytest

from coexec.compiler.ir import Value
from coexec.compiler.passes import recognize_layer_norm
from coexec.compiler.passes.test_support import Build, check_pass, ops_of

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def _spelled(b: Build, x: Value, axes: list[int], by_pow: bool = True) -> Value:
    d = b.op("Sub", x, b.op("ReduceMean", x, axes=axes, keepdims=1))
    square = b.op("Pow", d, b.number(2.0)) if by_pow else b.op("Mul", d, d)
    variance = b.op("ReduceMean", square, axes=axes, keepdims=1)
    return b.op("Div", d, b.op("Sqrt", b.op("Add", variance, b.number(1e-5))))


@pytest.mark.parametrize("by_pow", [True, False])
def test_with_scale_and_bias(by_pow: bool) -> None:
    b = Build()
    y = _spelled(b, b.input(2, 3, 8), [2], by_pow)
    y = b.op("Add", b.op("Mul", y, b.weight(8)), b.weight(8))
    graph = b.graph(b.op("Tanh", y))
    after = ["LayerNormalization", "Tanh"]
    check_pass(graph, recognize_layer_norm.run, ops_of(graph), after, **CLOSE)
    assert len(graph.layers[0].inputs) == 3


def test_without_scale_and_over_two_dims() -> None:
    b = Build()
    x = b.input(2, 3, 4)
    y = _spelled(b, x, [1, 2])
    graph = b.graph(b.op("Add", y, x))
    after = ["LayerNormalization", "Add"]
    check_pass(graph, recognize_layer_norm.run, ops_of(graph), after, **CLOSE)


def test_other_axes_and_readers_stay() -> None:
    b = Build()
    x = b.input(2, 3, 4)
    y = _spelled(b, x, [1])
    graph = b.graph(b.op("Mul", y, b.weight(4)))
    kept = ops_of(graph)
    report = check_pass(graph, recognize_layer_norm.run, kept, kept)
    assert "not the last ones" in report.refused[0]


def test_a_result_read_twice_keeps_its_scale_apart() -> None:
    b = Build()
    y = _spelled(b, b.input(2, 4), [1])
    graph = b.graph(b.op("Mul", y, b.weight(4)), y)
    after = ["LayerNormalization", "Mul"]
    check_pass(graph, recognize_layer_norm.run, ops_of(graph), after, **CLOSE)


def test_a_scale_that_varies_over_other_dims_stays() -> None:
    b = Build()
    y = _spelled(b, b.input(2, 3, 4), [2])
    graph = b.graph(b.op("Mul", y, b.weight(3, 1)))
    after = ["LayerNormalization", "Mul"]
    check_pass(graph, recognize_layer_norm.run, ops_of(graph), after, **CLOSE)
