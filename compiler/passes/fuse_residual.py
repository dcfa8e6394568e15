"""Add of another computed tensor of equal shape, directly after a Conv or Gemm, becomes its
residual operand. Exact: kernels add bias, then residual, then apply the activation."""

from __future__ import annotations

from typing import NamedTuple

from coexec.compiler.ir import Graph, Layer, Value
from coexec.compiler.passes.linear import RESIDUAL, operand, result, why_not_open
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


class _Match(NamedTuple):
    candidates: list[tuple[Layer, Value]]  # a layer that could add, and what it would add
    add: Layer


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op != "Add":
        return None
    found = []
    a, b = layer.inputs
    for value, other in ((a, b), (b, a)):
        linear = links.producer(value)
        if linear is not None and linear.op in ("Conv", "Gemm"):
            assert other is not None
            found.append((linear, other))
    if len(found) == 2 and links.comes_before(found[0][0], found[1][0]):
        found.reverse()  # the later one: what it waits for is there already
    return _Match(found, layer) if found else None


def _why_not(links: Links, linear: Layer, other: Value, add: Layer) -> str:
    if other.constant is not None:
        return "what it adds is a constant"
    if other.type != result(linear).type or result(add).type != other.type:
        return f"{other.name} is {other.type}, {linear.name}'s result {result(linear).type}"
    if operand(linear, RESIDUAL) is not None:
        return f"{linear.name} already adds a residual"
    return why_not_open(links, linear)


def _check(links: Links, match: _Match) -> str:
    reasons = [_why_not(links, linear, other, match.add) for linear, other in match.candidates]
    return "" if "" in reasons else reasons[0]


def _rewrite(links: Links, match: _Match) -> None:
    linear, other = next(
        (linear, other)
        for linear, other in match.candidates
        if not _why_not(links, linear, other, match.add)
    )
    bias = operand(linear, 2)
    links.change(linear, inputs=[*linear.inputs[:2], bias, other])
    links.absorb(linear, match.add)


def run(graph: Graph) -> PassReport:
    return Rewrite("fuse_residual", _pattern, _check, _rewrite).run(graph)
