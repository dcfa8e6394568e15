"""Graphs run by their references, ONNX Runtime layers by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from coexec.compiler.ir import Graph, IrError, Layer, TensorType, Value
from coexec.compiler.ir.interpret import interpret


def _foreign(x: Value, y: Value) -> Layer:
    """y = det(x) of [3, 3]: an op the IR does not have."""
    graph = helper.make_graph(
        [helper.make_node("Det", ["a"], ["b"])],
        "det",
        [helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [3, 3])],
        [helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    return Layer("OnnxRuntime", "det", [x], [y], onnx_model=model.SerializeToString())


def test_references_and_onnxruntime_take_turns() -> None:
    x, half = Value("x", TensorType("f32", (3, 3))), Value("half", TensorType("f32", ()))
    half.constant = np.array(0.5, np.float32)
    scaled, det, result = (Value(n, t) for n, t in
                           (("s", x.type), ("d", half.type), ("r", half.type)))  # fmt: skip
    layers = [
        Layer("Mul", "mul", [x, half], [scaled]),
        _foreign(scaled, det),
        Layer("Neg", "neg", [det], [result]),
    ]
    graph = Graph("g", [x], [result, half], layers)
    outputs = interpret(graph, [np.diag([2.0, 4.0, 6.0]).astype(np.float32)])
    assert [float(o) for o in outputs] == pytest.approx([-6.0, 0.5])


def test_inputs_are_checked() -> None:
    x = Value("x", TensorType("f32", (2, 3)))
    graph = Graph("g", [x], [x], [])
    with pytest.raises(IrError, match=r"x must be f32\[2, 3\], got f64\[2, 3\]"):
        interpret(graph, [np.zeros((2, 3))])
    with pytest.raises(IrError, match="takes 1 inputs, got 0"):
        interpret(graph, [])
