"""Pools over windows, and over whole feature maps (which become reductions)."""

from __future__ import annotations

from coexec.compiler.ir.graph import Value
from coexec.compiler.onnx_import.converters.window import window
from coexec.compiler.onnx_import.node import Converter, Node


def max_pool(node: Node) -> list[Value | None]:
    node.only_output("list of positions")
    attrs = window(node, node.ints_attr("kernel_shape"))
    attrs["ceil_mode"] = node.int_attr("ceil_mode", 0)
    return [node.emit("MaxPool", [node.input(0)], attrs)]


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
