"""Normalisations and softmax."""

from __future__ import annotations

import math

import numpy as np

from coexec.compiler.ir.graph import Value
from coexec.compiler.onnx_import.node import Converter, Node, NotNative


def batch_normalization(node: Node) -> list[Value | None]:
    node.only_output("running statistics")
    if node.int_attr("training_mode", 0) or (node.opset < 7 and not node.int_attr("is_test", 0)):
        raise NotNative("it normalises by the batch's own statistics")
    if node.opset < 9 and not node.int_attr("spatial", 1):
        raise NotNative("it normalises each position on its own")
    operands = [node.input(i) for i in range(5)]
    return [
        node.emit("BatchNormalization", operands, {"epsilon": node.float_attr("epsilon", 1e-5)})
    ]


def instance_normalization(node: Node) -> list[Value | None]:
    operands = [node.input(i) for i in range(3)]
    return [
        node.emit("InstanceNormalization", operands, {"epsilon": node.float_attr("epsilon", 1e-5)})
    ]


def group_normalization(node: Node) -> list[Value | None]:
    """Groups become the channels of an instance normalisation; scale and bias (per channel
    from opset 21 on, per group before) follow."""
    x, scale, bias = node.input(0), node.input(1), node.input(2)
    groups = node.int_attr("num_groups", 1)
    count, channels, *spatial = x.type.shape
    if groups < 1 or channels % groups:
        raise NotNative(f"{channels} channels do not divide into {groups} groups")
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    grouped = node.reshape(x, [count, groups, channels // groups * math.prod(spatial)])
    normal = node.emit(
        "InstanceNormalization",
        [grouped, node.constant(ones), node.constant(zeros)],
        {"epsilon": node.float_attr("epsilon", 1e-5)},
    )
    per = [channels, 1] if scale.type.elements == channels else [groups, 1]
    parts = node.reshape(normal, [count, per[0], -(-channels // per[0]) * math.prod(spatial)])
    scaled = node.emit("Mul", [parts, node.reshape(scale, per)])
    shifted = node.emit("Add", [scaled, node.reshape(bias, per)])
    return [node.reshape(shifted, x.type.shape)]


def layer_normalization(node: Node) -> list[Value | None]:
    node.only_output("mean or deviation")
    axis = node.axis("axis", -1, len(node.shape(0)))
    attrs = {"axis": axis, "epsilon": node.float_attr("epsilon", 1e-5)}
    return [node.emit("LayerNormalization", [node.input(0), node.input(1), node.maybe(2)], attrs)]


def softmax(node: Node) -> list[Value | None]:
    """Before opset 13 all dims from the axis on were one."""
    x = node.input(0)
    shape = x.type.shape
    if node.opset >= 13:
        return [node.emit(node.op, [x], {"axis": node.axis("axis", -1, len(shape))})]
    axis = node.axis("axis", 1, len(shape))
    if axis == len(shape) - 1:
        return [node.emit(node.op, [x], {"axis": axis})]
    rows = math.prod(shape[:axis])
    flat = node.reshape(x, [rows, math.prod(shape[axis:])])
    return [node.reshape(node.emit(node.op, [flat], {"axis": 1}), shape)]


CONVERTERS: dict[str, Converter] = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LayerNormalization": layer_normalization,
    "Softmax": softmax,
    "LogSoftmax": softmax,
}
