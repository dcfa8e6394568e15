"""QuantizeLinear and DequantizeLinear, per tensor or per channel."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.graph import AttrValue, Integers, Value, np_dtype
from coexec.compiler.ir.ops.quantize_linear import along_axis, dequantized
from coexec.compiler.onnx_import.node import Converter, Node, NotNative
from coexec.compiler.onnx_import.types import dtype_of


def quantize_linear(node: Node) -> list[Value | None]:
    """Without a zero point, output_dtype (opset 21) says what y is, or it is uint8."""
    given = node.int_attr("output_dtype", 0)
    scale, zero, attrs = _scaled(node, dtype_of(given) if given else "u8")
    return [node.emit("QuantizeLinear", [node.input(0), scale, zero], attrs)]


def dequantize_linear(node: Node) -> list[Value | None]:
    """Of a constant it is computed here, and the integers are remembered: int8 layers take them."""
    x = node.input(0)
    scale, zero, attrs = _scaled(node, x.type.dtype)
    result = node.emit("DequantizeLinear", [x, scale, zero], attrs)
    if x.constant is None or scale.constant is None or zero.constant is None:
        return [result]
    axis = attrs["axis"]
    assert isinstance(axis, int)
    rank = len(x.type.shape)
    broadcast = (along_axis(a, rank, axis) for a in (scale.constant, zero.constant))
    folded = node.constant(dequantized(x.constant, *broadcast))
    folded.integers = Integers(x.constant, scale.constant, zero.constant, axis)
    node.layers.clear()
    return [folded]


def _scaled(node: Node, dtype: str) -> tuple[Value, Value, dict[str, AttrValue]]:
    """scale, zero, and the attributes of the op."""
    if node.int_attr("block_size", 0):
        raise NotNative("it has a scale per block")
    scale, zero = node.input(1), node.maybe(2)
    if zero is None:
        if dtype not in ("u8", "i8", "i32"):
            raise NotNative(f"integers of {dtype}")
        zero = node.constant(np.zeros(scale.type.shape, np_dtype(dtype)))
    if scale.type.elements == 1 and zero.type.elements == 1:
        return node.reshape(scale, []), node.reshape(zero, []), {"axis": 0}
    return scale, zero, {"axis": node.axis("axis", 1, len(node.shape(0)))}


CONVERTERS: dict[str, Converter] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
}
