"""The layers that other layers fuse into: Conv, ConvTranspose and Gemm, in common terms."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir import Array, Layer, Value
from coexec.compiler.passes.rewrite import Links

LINEAR = frozenset(("Conv", "ConvTranspose", "Gemm"))
RESIDUAL = 3  # the operand's index in Conv and Gemm


def operand(layer: Layer, index: int) -> Value | None:
    return layer.inputs[index] if index < len(layer.inputs) else None


def result(layer: Layer) -> Value:
    """The only result of a layer that has one."""
    value = layer.outputs[0]
    assert value is not None, layer.name
    return value


def linear_before(links: Links, value: Value | None) -> Layer | None:
    """The Conv, ConvTranspose or Gemm that makes the value."""
    layer = links.producer(value)
    return layer if layer is not None and layer.op in LINEAR else None


def channel_axis(layer: Layer) -> int:
    return len(result(layer).type.shape) - 1 if layer.op == "Gemm" else 1


def why_not_open(links: Links, layer: Layer) -> str:
    """Why nothing may be added between the layer's sum and its result, or ""."""
    if not links.read_once(result(layer)):
        return f"{layer.name}'s result is read elsewhere"
    if layer.attrs["activation"]:
        return f"{layer.name} already applies {layer.attrs['activation']}"
    return ""


def per_channel(constant: Array, shape: tuple[int, ...], axis: int) -> Array | None:
    """One number per channel when the constant varies along that axis only, else None."""
    if constant.ndim > len(shape):
        return None
    dims = [1] * (len(shape) - constant.ndim) + list(constant.shape)
    if any(d != 1 for i, d in enumerate(dims) if i != axis) or dims[axis] not in (1, shape[axis]):
        return None
    return np.broadcast_to(constant.reshape(-1), (shape[axis],))


def scalar(value: Value | None) -> float | None:
    """The number a constant of one element holds, else None."""
    if value is None or value.constant is None or value.constant.size != 1:
        return None
    return float(value.constant.reshape(()))
