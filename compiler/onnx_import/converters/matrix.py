"""Gemm and MatMul. A product with a constant matrix is a Gemm layer, its weights w[M, K]."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.graph import Value
from coexec.compiler.onnx_import.converters.elementwise import with_legacy_broadcast
from coexec.compiler.onnx_import.node import Array, Converter, Node


def matmul(node: Node) -> list[Value | None]:
    a, b = node.input(0), node.input(1)
    if b.constant is not None and b.constant.ndim == 2 and a.type.dtype == "f32":
        weights = node.transpose(b, [1, 0])
        return [node.emit("Gemm", [a, weights, None, None], NO_ACTIVATION)]
    return [node.emit("MatMul", [a, b])]


def gemm(node: Node) -> list[Value | None]:
    """alpha * a' @ b' + beta * c, with a and b transposed on request."""
    a, b = node.input(0), node.input(1)
    alpha, beta = node.float_attr("alpha", 1.0), node.float_attr("beta", 1.0)
    if node.int_attr("transA", 0):
        a = node.transpose(a, [1, 0])
    trans_b = bool(node.int_attr("transB", 0))
    c = node.maybe(2) if beta != 0.0 else None
    if c is not None:
        c = _scaled(node, c, beta)
    if b.constant is not None and b.constant.ndim == 2 and a.type.dtype == "f32":
        weights = b if trans_b else node.transpose(b, [1, 0])
        weights = _scaled(node, weights, alpha)
        bias = _bias(node, c, weights.type.shape[0])
        result = node.emit("Gemm", [a, weights, bias, None], NO_ACTIVATION)
        if bias is not None:
            return [result]
    else:
        product = node.emit("MatMul", [a, node.transpose(b, [1, 0]) if trans_b else b])
        result = _scaled(node, product, alpha)
    if c is None:
        return [result]
    a_result, c = with_legacy_broadcast(node, result, c)
    return [node.emit("Add", [a_result, c])]


def _scaled(node: Node, value: Value, factor: float) -> Value:
    if factor == 1.0:
        return value
    dtype = _numpy_of(value)
    if value.constant is not None:
        return node.constant(value.constant * dtype.type(factor))
    return node.emit("Mul", [value, node.constant(np.array(factor, dtype))])


def _numpy_of(value: Value) -> np.dtype[np.float32]:
    return np.dtype({"f16": "float16", "f64": "float64"}.get(value.type.dtype, "float32"))


def _bias(node: Node, c: Value | None, columns: int) -> Value | None:
    """c as a vector of one number per column, when it is a constant that can be one."""
    if c is None or c.constant is None:
        return None
    array: Array = c.constant
    if array.size != 1 and array.shape not in ((columns,), (1, columns)):
        return None
    if array.ndim == 1 and array.size == columns:
        return c
    return node.constant(np.broadcast_to(array.reshape(-1), (columns,)))


CONVERTERS: dict[str, Converter] = {"MatMul": matmul, "Gemm": gemm}
