"""QuantizeLinear and DequantizeLinear, per tensor or per channel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir.graph import AttrValue, Integers, Value, np_dtype
from coexec.compiler.ir.ops import quantize_linear as quantize_linear_op
from coexec.compiler.ir.ops.quantize_linear import along_axis
from coexec.compiler.onnx_import.node import Converter, Node, NotNative, infer
from coexec.compiler.onnx_import.types import dtype_of


def quantize_linear(node: Node) -> list[Value | None]:
    """Without a zero point, output_dtype (opset 21) says what y is, or it is uint8."""
    given = node.int_attr("output_dtype", 0)
    scales = _scales(node, dtype_of(given) if given else "u8")
    return [quantized(node, node.input(0), scales)]


def dequantize_linear(node: Node) -> list[Value | None]:
    x = node.input(0)
    return [dequantized(node, x, _scales(node, x.type.dtype))]


class Scales(NamedTuple):
    """The operands and attributes of a QuantizeLinear or DequantizeLinear beside x."""

    scale: Value
    zero: Value
    attrs: dict[str, AttrValue]


def scales_of(node: Node, scale: Value, zero: Value | None, dtype: str, axis: int) -> Scales:
    """One scale, or one for each element of x's axis. dtype: of the integers."""
    if zero is None:
        if dtype not in ("u8", "i8", "i32"):
            raise NotNative(f"integers of {dtype}")
        zero = node.constant(np.zeros(scale.type.shape, np_dtype(dtype)))
    if scale.type.elements == 1 and zero.type.elements == 1:
        return Scales(node.reshape(scale, []), node.reshape(zero, []), {"axis": 0})
    return Scales(scale, zero, {"axis": axis})


def quantized(node: Node, x: Value, scales: Scales) -> Value:
    return node.emit("QuantizeLinear", [x, scales.scale, scales.zero], scales.attrs)


def dequantized(node: Node, x: Value, scales: Scales) -> Value:
    """Of a constant it is computed here, and the integers are remembered: int8 layers take them."""
    scale, zero, attrs = scales
    if x.constant is None or scale.constant is None or zero.constant is None:
        return node.emit("DequantizeLinear", [x, scale, zero], attrs)
    infer("DequantizeLinear", [x.type, scale.type, zero.type], attrs)
    axis = attrs["axis"]
    assert isinstance(axis, int)
    rank = len(x.type.shape)
    broadcast = (along_axis(a, rank, axis) for a in (scale.constant, zero.constant))
    folded = node.constant(quantize_linear_op.dequantized(x.constant, *broadcast))
    folded.integers = Integers(x.constant, scale.constant, zero.constant, axis)
    return folded


def _scales(node: Node, dtype: str) -> Scales:
    """The node's own."""
    if node.int_attr("block_size", 0):
        raise NotNative("it has a scale per block")
    axis = node.axis("axis", 1, len(node.shape(0))) if node.shape(1) else 0
    return scales_of(node, node.input(1), node.maybe(2), dtype, axis)


CONVERTERS: dict[str, Converter] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
}
