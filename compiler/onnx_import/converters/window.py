"""Sliding windows: what convolutions and pools have in common."""

from __future__ import annotations

from coexec.compiler.ir.graph import AttrValue
from coexec.compiler.onnx_import.node import Node, NotNative


def window(node: Node, kernel_shape: list[int]) -> dict[str, AttrValue]:
    """kernel_shape, strides, pads and dilations, complete; auto_pad worked out from x's shape."""
    rank = len(node.shape(0)) - 2
    strides = node.ints_attr("strides", [1] * rank)
    dilations = node.ints_attr("dilations", [1] * rank)
    pads = node.ints_attr("pads", [0] * (2 * rank))
    if rank < 1 or not (len(kernel_shape) == len(strides) == len(dilations) == rank):
        raise NotNative(f"its window does not fit x of rank {rank + 2}")
    mode = node.text_attr("auto_pad", "NOTSET")
    if mode != "NOTSET":
        pads = [0] * (2 * rank)
    if mode.startswith("SAME"):
        for i, size in enumerate(node.shape(0)[2:]):
            extent = (kernel_shape[i] - 1) * dilations[i] + 1
            missing = max((-(-size // strides[i]) - 1) * strides[i] + extent - size, 0)
            less, more = missing // 2, missing - missing // 2
            pads[i], pads[rank + i] = (less, more) if mode == "SAME_UPPER" else (more, less)
    return {
        "kernel_shape": kernel_shape,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
    }
