"""Layer normalisation that exporters spell out becomes one LayerNormalization.

The spelling: d = x - mean(x); y = d / sqrt(mean(d * d) + epsilon), then maybe times a constant,
then maybe plus one. The kernel adds in another order and multiplies where the chain divided, so
the last bits may change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import result, scalar
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


class _Match(NamedTuple):
    divide: Layer
    x: Value
    axes: list[int]
    epsilon: float


def _mean(links: Links, value: Value | None) -> tuple[Value, list[int]] | None:
    """x and the axes when the value is x's mean over axes that stay as 1."""
    layer = links.producer(value)
    if layer is None or layer.op != "ReduceMean" or layer.inputs[0] is None:
        return None
    attrs = Attrs(layer.attrs)
    return (layer.inputs[0], attrs.ints("axes")) if attrs.i("keepdims") else None


def _square_of(links: Links, value: Value) -> Value | None:
    """d when the value is d * d or d to the power of 2."""
    layer = links.producer(value)
    if layer is None or layer.op not in ("Mul", "Pow"):
        return None
    base, other = layer.inputs
    squared = other is base if layer.op == "Mul" else scalar(other) == 2.0
    return base if squared else None


def _variance(links: Links, value: Value | None) -> tuple[Value, list[int], float] | None:
    """d, the axes and epsilon when the value is sqrt(mean(d * d) + epsilon)."""
    root = links.producer(value)
    plus = links.producer(root.inputs[0]) if root is not None and root.op == "Sqrt" else None
    if plus is None or plus.op != "Add":
        return None
    a, b = plus.inputs
    epsilon = scalar(b) if scalar(b) is not None else scalar(a)
    mean = _mean(links, a if scalar(b) is not None else b)
    d = _square_of(links, mean[0]) if mean else None
    return (d, mean[1], epsilon) if mean and d is not None and epsilon is not None else None


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op != "Div":
        return None
    variance = _variance(links, layer.inputs[1])
    if variance is None or variance[0] is not layer.inputs[0]:
        return None
    centred = links.producer(variance[0])
    if centred is None or centred.op != "Sub" or centred.inputs[0] is None:
        return None
    x, mean = centred.inputs[0], _mean(links, centred.inputs[1])
    if mean is None or mean[0] is not x or mean[1] != variance[1]:
        return None
    return _Match(layer, x, sorted(mean[1]), variance[2])


def _check(_links: Links, match: _Match) -> str:
    rank, axes = len(match.x.type.shape), match.axes
    if axes != list(range(rank - len(axes), rank)) or not axes:
        return f"it normalises axes {axes} of {match.x.type}, not the last ones"
    return "" if match.x.type.dtype == "f32" else f"it normalises {match.x.type}"


def _constant_after(links: Links, layer: Layer, op: str, shape: tuple[int, ...]) -> Layer | None:
    """The only reader of the layer, when it applies op with a constant over the last dims."""
    y = result(layer)
    if not links.read_once(y):
        return None
    reader = links.readers(y)[0]
    if reader.op != op or result(reader).type != y.type:
        return None
    constant = _other(reader, y)
    fits = constant is not None and constant.ndim <= len(shape)
    return reader if fits else None


def _other(layer: Layer, y: Value) -> Array | None:
    value = layer.inputs[1] if layer.inputs[0] is y else layer.inputs[0]
    return None if value is None else value.constant


def _rewrite(links: Links, match: _Match) -> None:
    layer, axis = match.divide, match.axes[0]
    shape = match.x.type.shape[axis:]
    parts: dict[str, Value | None] = {
        "scale": links.constant(f"{layer.name}_scale", np.ones(shape, np.float32)),
        "bias": None,
    }
    for part, op in (("scale", "Mul"), ("bias", "Add")):
        follower = _constant_after(links, layer, op, shape)
        constant = None if follower is None else _other(follower, result(layer))
        if follower is not None and constant is not None:
            full = np.ascontiguousarray(np.broadcast_to(constant, shape))
            parts[part] = links.constant(f"{layer.name}_{part}", full)
            links.absorb(layer, follower)
    layer.op, layer.attrs = "LayerNormalization", {"axis": axis, "epsilon": match.epsilon}
    links.change(layer, inputs=[match.x, *(p for p in parts.values() if p is not None)])


def run(graph: Graph) -> PassReport:
    return Rewrite("recognize_layer_norm", _pattern, _check, _rewrite).run(graph)
