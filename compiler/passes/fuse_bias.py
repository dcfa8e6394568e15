"""Add or Sub of a per-channel constant after Conv, ConvTranspose or Gemm becomes its bias.

Exact where the layer had no bias. Where it had one, the two are added in double first, and the
last bits of the result may change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer
from coexec.compiler.passes.linear import (
    RESIDUAL,
    channel_axis,
    linear_before,
    operand,
    per_channel,
    result,
    why_not_open,
)
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


class _Match(NamedTuple):
    linear: Layer
    add: Layer
    constant: Array


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op not in ("Add", "Sub"):
        return None
    orders = [(0, 1), (1, 0)] if layer.op == "Add" else [(0, 1)]
    for computed, constant in orders:
        linear, added = linear_before(links, layer.inputs[computed]), layer.inputs[constant]
        if linear is not None and added is not None and added.constant is not None:
            return _Match(linear, layer, added.constant)
    return None


def _check(links: Links, match: _Match) -> str:
    linear, add, constant = match
    b, shape = operand(linear, 2), result(linear).type.shape
    if result(add).type.shape != shape:
        return f"it broadcasts {linear.name}'s result"
    if per_channel(constant, shape, channel_axis(linear)) is None:
        return f"its constant {constant.shape} is not one number per channel of {shape}"
    if b is not None and b.constant is None:
        return f"{linear.name}'s bias is computed"
    if operand(linear, RESIDUAL) is not None:
        return f"{linear.name} adds a residual before it"
    return why_not_open(links, linear)


def _rewrite(links: Links, match: _Match) -> None:
    linear, add, constant = match
    b = operand(linear, 2)
    added = per_channel(constant, result(linear).type.shape, channel_axis(linear))
    assert added is not None
    total = added.astype(np.float64) * (-1.0 if add.op == "Sub" else 1.0)
    if b is not None and b.constant is not None:
        total = total + b.constant
    bias = links.constant(f"{linear.name}_bias", total.astype(constant.dtype))
    links.change(linear, inputs=[*linear.inputs[:2], bias])
    links.absorb(linear, add)


def run(graph: Graph) -> PassReport:
    return Rewrite("fuse_bias", _pattern, _check, _rewrite).run(graph)
