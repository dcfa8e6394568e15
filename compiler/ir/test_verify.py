"""The verifier finds what it says it looks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from coexec.compiler.ir import Graph, IrError, Layer, TensorType, Value
from coexec.compiler.ir.verify import verify


def _graph() -> Graph:
    x, w = Value("x", TensorType("f32", (2, 3))), Value("w", TensorType("f32", (1, 3)))
    w.constant = np.ones((1, 3), np.float32)
    y, z = Value("y", x.type), Value("z", x.type)
    layers = [Layer("Add", "add", [x, w], [y]), Layer("Relu", "relu", [y], [z])]
    return Graph("g", [x], [z], layers)


def _swap(graph: Graph) -> None:
    graph.layers.reverse()


def _rename_value(graph: Graph) -> None:
    graph.outputs[0].name = "x"


def _rename_layer(graph: Graph) -> None:
    graph.layers[1].name = "add"


def _make_twice(graph: Graph) -> None:
    graph.layers[1].outputs = list(graph.layers[0].outputs)
    graph.outputs = [graph.inputs[0]]


def _unknown_op(graph: Graph) -> None:
    graph.layers[1].op = "Reluu"


def _foreign_without_model(graph: Graph) -> None:
    graph.layers[1].op = "OnnxRuntime"


def _constant_of_another_shape(graph: Graph) -> None:
    w = graph.layers[0].inputs[1]
    assert w is not None
    w.constant = np.ones(3, np.float32)


def _sparse_result(graph: Graph) -> None:
    graph.outputs[0].type = TensorType("f32", (2, 3), "csr")


def _wrong_result_type(graph: Graph) -> None:
    graph.outputs[0].type = TensorType("f32", (2, 4))


def _surplus_result(graph: Graph) -> None:
    graph.layers[1].outputs.append(Value("more", TensorType("f32", (2, 3))))


def _missing_attribute(graph: Graph) -> None:
    graph.layers[1].op = "LeakyRelu"


def _nowhere(graph: Graph) -> None:
    graph.outputs = [Value("nowhere", TensorType("f32", ()))]


def _dead_layer(graph: Graph) -> None:
    graph.layers.append(
        Layer("Tanh", "tanh", [graph.inputs[0]], [Value("t", graph.inputs[0].type)])
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_swap, "order that runs: relu reads y before it is there"),
        (_rename_value, "names are unique: 2 values are named 'x'"),
        (_rename_layer, "2 layers are named 'add'"),
        (_make_twice, "made once: y is made 2 times"),
        (_unknown_op, "ops are known: relu: no op 'Reluu'"),
        (_foreign_without_model, "relu: OnnxRuntime lacks an onnx_model"),
        (_constant_of_another_shape, r"w is f32\[1, 3\] but holds f32\[3\]"),
        (_sparse_result, "z is computed, so it must be dense, not csr"),
        (_wrong_result_type, r"relu: z is f32\[2, 4\], inferred f32\[2, 3\]"),
        (_surplus_result, "relu: 2 results of 1"),
        (_missing_attribute, "relu: LeakyRelu: attributes missing: alpha"),
        (_nowhere, "the output nowhere is never computed"),
        (_dead_layer, "tanh: nobody needs what it computes"),
    ],
)
def test_what_is_wrong_is_named(spoil: Callable[[Graph], None], words: str) -> None:
    graph = _graph()
    verify(graph, "rewritten")
    spoil(graph)
    with pytest.raises(IrError, match=words):
        verify(graph, "rewritten")


def test_digests_are_asked_for_at_the_end_only() -> None:
    with pytest.raises(IrError, match="digests are set: x has no digest; w has no digest"):
        verify(_graph(), "digested")
