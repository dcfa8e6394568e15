"""Pools over windows, and over whole feature maps (which become reductions)."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.graph import Value
from coexec.compiler.onnx_import.converters.quantization import (
    Scales,
    dequantized,
    quantized,
    scales_of,
)
from coexec.compiler.onnx_import.converters.window import window
from coexec.compiler.onnx_import.node import Converter, Node

_TINY = np.finfo(np.float32).tiny


def max_pool(node: Node) -> list[Value | None]:
    node.only_output("list of positions")
    attrs = window(node, node.ints_attr("kernel_shape"))
    attrs["ceil_mode"] = node.int_attr("ceil_mode", 0)
    x = node.input(0)
    if x.type.dtype not in ("u8", "i8"):
        return [node.emit("MaxPool", [x], attrs)]
    scales = _scales_behind(node, x)
    return [quantized(node, node.emit("MaxPool", [dequantized(node, x, scales)], attrs), scales)]


def _scales_behind(node: Node, x: Value) -> Scales:
    """What integers stand for, so that their largest is that of floats: as they were made, which
    lets passes leave the integers out, or themselves."""
    made = node.producer(x)
    if made is not None and made.op == "QuantizeLinear":
        _, scale, zero = made.inputs
        assert scale is not None
        if not scale.type.shape and scale.constant is not None and scale.constant > _TINY:
            return scales_of(node, scale, zero, x.type.dtype, 0)
    return scales_of(node, node.constant(np.array(1, np.float32)), None, x.type.dtype, 0)


def average_pool(node: Node) -> list[Value | None]:
    attrs = window(node, node.ints_attr("kernel_shape"))
    attrs["ceil_mode"] = node.int_attr("ceil_mode", 0)
    attrs["count_include_pad"] = node.int_attr("count_include_pad", 0)
    return [node.emit("AveragePool", [node.input(0)], attrs)]


def _global_pool(reduction: str) -> Converter:
    def convert(node: Node) -> list[Value | None]:
        axes = list(range(2, len(node.shape(0))))
        return [node.emit(reduction, [node.input(0)], {"axes": axes, "keepdims": 1})]

    return convert


CONVERTERS: dict[str, Converter] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": _global_pool("ReduceMean"),
    "GlobalMaxPool": _global_pool("ReduceMax"),
}
