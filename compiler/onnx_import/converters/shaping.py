"""Ops that give a tensor another shape, or change nothing at all."""

from __future__ import annotations

import math

from coexec.compiler.ir.graph import Value
from coexec.compiler.onnx_import.node import Converter, Node, NotNative, normal_axes


def identity(node: Node) -> list[Value | None]:
    return [node.input(0)]


def dropout(node: Node) -> list[Value | None]:
    """At inference the input, unless someone reads the mask or asks for training."""
    node.only_output("mask")
    training = node.known(2, "training_mode")
    if training is not None and training.any():
        raise NotNative("it drops elements at random")
    if node.opset < 7 and not node.int_attr("is_test", 0):
        raise NotNative("it drops elements at random")
    return [node.input(0)]


def reshape(node: Node) -> list[Value | None]:
    """0 copies the dim (unless allowzero), -1 takes what is left."""
    x = node.input(0)
    wanted = node.ints_attr("shape") or node.known_ints(1, "its shape") or []
    if not node.int_attr("allowzero", 0):
        if any(d == 0 and i >= len(x.type.shape) for i, d in enumerate(wanted)):
            raise NotNative(f"its shape {wanted} copies a dim that x {x.type} lacks")
        wanted = [x.type.shape[i] if d == 0 else d for i, d in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(d for d in wanted if d != -1)
        wanted = [x.type.elements // rest if d == -1 and rest else d for d in wanted]
    if any(d < 0 for d in wanted) or math.prod(wanted) != x.type.elements:
        raise NotNative(f"x {x.type} cannot have the shape {wanted}")
    return [node.reshape(x, wanted)]


def flatten(node: Node) -> list[Value | None]:
    shape = node.shape(0)
    axis = node.int_attr("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return [node.reshape(node.input(0), [math.prod(shape[:axis]), math.prod(shape[axis:])])]


def squeeze(node: Node) -> list[Value | None]:
    shape = node.shape(0)
    given = node.ints_given(1, "axes")
    axes = normal_axes(given, len(shape)) if given else [i for i, d in enumerate(shape) if d == 1]
    if any(shape[axis] != 1 for axis in axes):
        raise NotNative(f"it squeezes dims of {list(shape)} that are not 1")
    return [node.reshape(node.input(0), [d for i, d in enumerate(shape) if i not in axes])]


def unsqueeze(node: Node) -> list[Value | None]:
    shape = list(node.shape(0))
    given = node.ints_given(1, "axes")
    if given is None:
        raise NotNative("it has no axes")
    axes = normal_axes(given, len(shape) + len(given))
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return [node.reshape(node.input(0), shape)]


CONVERTERS: dict[str, Converter] = {
    "Identity": identity,
    "Dropout": dropout,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
}
