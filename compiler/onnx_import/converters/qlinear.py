"""Ops on quantized tensors, ONNX's and those that ONNX Runtime's quantizer adds. Each becomes what
it stands for: every operand dequantized, the op on f32, the result quantized. So passes meet the
form that models with QuantizeLinear and DequantizeLinear have, and find int8 layers there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from coexec.compiler.ir.graph import Value
from coexec.compiler.onnx_import.converters import (
    convolution,
    elementwise,
    joining,
    matrix,
    pooling,
)
from coexec.compiler.onnx_import.converters.quantization import (
    dequantized,
    quantized,
    scales_of,
)
from coexec.compiler.onnx_import.node import Converter, Node, NotNative

_ON_FLOATS = (
    convolution.CONVERTERS
    | elementwise.CONVERTERS
    | joining.CONVERTERS
    | matrix.CONVERTERS
    | pooling.CONVERTERS
)


def _operand(node: Node, i: int, axis: int = 0) -> Value:
    """Operands i to i + 2, x, its scale and its zero point, as floats."""
    x = node.input(i)
    scales = scales_of(node, node.input(i + 1), node.maybe(i + 2), x.type.dtype, axis)
    return dequantized(node, x, scales)


def _bias(node: Node, i: int, factors: Sequence[int]) -> Value | None:
    """Operand i, int32 whose scale is the product of the operands at `factors`, as floats."""
    steps = node.known(i, "bias")
    if steps is None:
        return None
    bias = steps.astype(np.float32)
    scale = np.ones(1, np.float32)
    for k in factors:
        known = node.known(k, "scale")
        assert known is not None
        scale = scale * known.reshape(-1)
    return node.constant(bias * scale)


def _computed(node: Node, op: str, inputs: list[Value | None]) -> Value:
    """What `op` makes of floats, with this node's attributes."""
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.op_type = op
    on_floats = Node(proto, node.opset, inputs)
    on_floats.name, on_floats.layers = node.name, node.layers
    (value,) = _ON_FLOATS[op](on_floats)
    assert value is not None
    return value


def _stored(node: Node, value: Value, i: int) -> list[Value | None]:
    """value in the steps that operands i and i + 1 give."""
    zero = node.maybe(i + 1)
    dtype = "u8" if zero is None else zero.type.dtype
    return [quantized(node, value, scales_of(node, node.input(i), zero, dtype, 0))]


def _conv(node: Node) -> list[Value | None]:
    inputs = [_operand(node, 0), _operand(node, 3), _bias(node, 8, (1, 4))]
    return _stored(node, _computed(node, "Conv", inputs), 6)


def _matmul(node: Node) -> list[Value | None]:
    """A scale per column of b; per row of a is refused, as its axis would be an input of sums."""
    if node.input(1).type.elements != 1:
        raise NotNative("its first operand has a scale per row")
    inputs: list[Value | None] = [_operand(node, 0), _operand(node, 3, len(node.shape(3)) - 1)]
    return _stored(node, _computed(node, "MatMul", inputs), 6)


def _gemm(node: Node) -> list[Value | None]:
    """Without a scale for the result, that is floats."""
    columns = 0 if node.int_attr("transB", 0) else 1
    inputs = [_operand(node, 0), _operand(node, 3, columns), _bias(node, 6, (1, 4))]
    if node.float_attr("alpha", 1.0) != 1.0 and inputs[2] is not None:
        raise NotNative("alpha is not 1")
    value = _computed(node, "Gemm", inputs)
    return [value] if node.maybe(7) is None else _stored(node, value, 7)


def _elementwise(op: str, operands: int) -> Converter:
    """Of one or two operands; the result's scale and zero point follow those."""

    def convert(node: Node) -> list[Value | None]:
        if node.int_attr("channels_last", 0):
            raise NotNative("its channels are last")
        inputs: list[Value | None] = [_operand(node, 3 * i) for i in range(operands)]
        return _stored(node, _computed(node, op, inputs), 3 * operands)

    return convert


def _concat(node: Node) -> list[Value | None]:
    """The result's scale and zero point come first."""
    inputs: list[Value | None] = [_operand(node, i) for i in range(2, node.input_count, 3)]
    return _stored(node, _computed(node, "Concat", inputs), 0)


CONVERTERS: dict[str, Converter] = {"QLinearConv": _conv, "QLinearMatMul": _matmul}
OF_MICROSOFT: dict[str, Converter] = {
    "QGemm": _gemm,
    "QLinearConcat": _concat,
    **{f"QLinear{op}": _elementwise(op, 2) for op in ("Add", "Mul")},
    **{
        f"QLinear{op}": _elementwise(op, 1)
        for op in ("AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid")
    },
}
