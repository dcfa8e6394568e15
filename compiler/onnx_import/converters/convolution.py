"""Conv, ConvTranspose, and the fused convolution that ONNX Runtime's optimiser writes."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.graph import AttrValue, Value
from coexec.compiler.onnx_import.converters.window import window
from coexec.compiler.onnx_import.node import Converter, Node, NotNative


def conv(node: Node) -> list[Value | None]:
    return [_conv(node)]


def _conv(node: Node) -> Value:
    kernel_shape = node.ints_attr("kernel_shape") or list(node.shape(1)[2:])
    attrs = {**window(node, kernel_shape), "group": node.int_attr("group", 1), **NO_ACTIVATION}
    return node.emit("Conv", [node.input(0), node.input(1), node.maybe(2), None], attrs)


def fused_conv(node: Node) -> list[Value | None]:
    """com.microsoft FusedConv: the parts one by one; the fusion passes join them again."""
    value = _conv(node)
    residual = node.maybe(3)
    if residual is not None:
        value = node.emit("Add", [value, residual])
    name = node.text_attr("activation", "")
    params = node.floats_attr("activation_params")
    if name in ("Relu", "Sigmoid", "Tanh"):
        value = node.emit(name, [value])
    elif name == "LeakyRelu":
        value = node.emit(name, [value], {"alpha": params[0] if params else 0.01})
    elif name == "HardSigmoid":
        alpha, beta = (*params, 0.2, 0.5)[:2] if not params else params[:2]
        value = node.emit(name, [value], {"alpha": alpha, "beta": beta})
    elif name == "Clip" and len(params) == 2:
        value = node.emit(name, [value], {"min": params[0], "max": params[1]})
    elif name:
        raise NotNative(f"activation {name} with {len(params)} parameters")
    return [value]


def conv_transpose(node: Node) -> list[Value | None]:
    rank = len(node.shape(0)) - 2
    kernel_shape = node.ints_attr("kernel_shape") or list(node.shape(1)[2:])
    attrs = window(node, kernel_shape)
    extra = node.ints_attr("output_padding", [0] * rank)
    attrs["output_padding"] = extra
    attrs["pads"] = _transposed_pads(node, attrs, extra)
    attrs |= {"group": node.int_attr("group", 1), **NO_ACTIVATION}
    return [node.emit("ConvTranspose", [node.input(0), node.input(1), node.maybe(2)], attrs)]


def _transposed_pads(node: Node, attrs: dict[str, AttrValue], extra: list[int]) -> list[int]:
    """What to crop from each end, given or worked out from the output's wanted size."""
    kernel, strides, dilations, pads = (
        np.array(attrs[name], np.int64) for name in ("kernel_shape", "strides", "dilations", "pads")
    )
    spatial = np.array(node.shape(0)[2:], np.int64)
    mode = node.text_attr("auto_pad", "NOTSET")
    wanted = node.ints_attr("output_shape")
    if not wanted:
        if not mode.startswith("SAME"):
            return [int(p) for p in pads]
        wanted = [int(n) for n in spatial * strides]
    wanted = wanted[-len(spatial) :]
    full = strides * (spatial - 1) + np.array(extra) + (kernel - 1) * dilations + 1
    cropped = full - np.array(wanted, np.int64)
    if (cropped < 0).any():
        raise NotNative(f"its output_shape {wanted} is larger than its windows reach")
    less, more = cropped // 2, cropped - cropped // 2
    begins, ends = (less, more) if mode == "SAME_UPPER" else (more, less)
    return [int(p) for p in (*begins, *ends)]


CONVERTERS: dict[str, Converter] = {"Conv": conv, "ConvTranspose": conv_transpose}
