"""BatchNormalization after Conv, ConvTranspose or Gemm moves into its weights and bias.

Folded in double and rounded once, so results change in the last bits: the normalisation's own
rounding is gone, and the weights are rounded after scaling instead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer
from coexec.compiler.passes.linear import (
    RESIDUAL,
    channel_axis,
    linear_before,
    operand,
    why_not_open,
)
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


class _Match(NamedTuple):
    linear: Layer
    norm: Layer


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op != "BatchNormalization":
        return None
    linear = linear_before(links, layer.inputs[0])
    return _Match(linear, layer) if linear else None


def _check(links: Links, match: _Match) -> str:
    linear, norm = match
    w, b = operand(linear, 1), operand(linear, 2)
    if any(v is None or v.constant is None for v in norm.inputs[1:]):
        return "its scale, bias, mean or var is computed"
    if w is None or w.constant is None or (b is not None and b.constant is None):
        return f"the weights of {linear.name} are computed"
    if operand(linear, RESIDUAL) is not None:
        return f"{linear.name} adds a residual before it"
    if channel_axis(linear) != 1:
        return f"{linear.name} has its channels in another dim"
    return why_not_open(links, linear)


def _scaled(linear: Layer, w: Array, factor: Array) -> Array:
    """w in double with every output channel multiplied by its factor."""
    wide = w.astype(np.float64)
    if linear.op != "ConvTranspose":
        return wide * factor.reshape(-1, *[1] * (w.ndim - 1))
    group = linear.attrs["group"]
    assert isinstance(group, int)
    grouped = wide.reshape(group, w.shape[0] // group, *w.shape[1:])
    return (grouped * factor.reshape(group, 1, w.shape[1], *[1] * (w.ndim - 2))).reshape(w.shape)


def _rewrite(links: Links, match: _Match) -> None:
    linear, norm = match
    w, b = operand(linear, 1), operand(linear, 2)
    assert w is not None
    assert w.constant is not None
    parts = [v.constant.astype(np.float64) for v in norm.inputs[1:] if v and v.constant is not None]
    scale, bias, mean, var = parts
    epsilon = norm.attrs["epsilon"]
    assert isinstance(epsilon, float)
    factor = scale / np.sqrt(var + epsilon)
    before = 0.0 if b is None or b.constant is None else b.constant.astype(np.float64)
    dtype = w.constant.dtype
    new_w = links.constant(f"{w.name}_bn", _scaled(linear, w.constant, factor).astype(dtype))
    new_b = ((before - mean) * factor + bias).astype(dtype)
    name = b.name if b is not None else w.name
    links.change(linear, inputs=[linear.inputs[0], new_w, links.constant(f"{name}_bn_b", new_b)])
    links.absorb(linear, norm)


def run(graph: Graph) -> PassReport:
    return Rewrite("fuse_batch_norm", _pattern, _check, _rewrite).run(graph)
