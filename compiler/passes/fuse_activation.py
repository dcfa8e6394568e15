"""A unary function after Conv, ConvTranspose or Gemm becomes its activation. Exact: the kernel
applies the same function to the same rounded sum."""

from __future__ import annotations

from typing import NamedTuple

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.activation import PARAMETERIZED
from coexec.compiler.passes.linear import linear_before, why_not_open
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite

FUSABLE = frozenset(
    (
        "Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Silu", "Tanh", "Elu",
        "Gelu",
    )
)  # fmt: skip


class _Match(NamedTuple):
    linear: Layer
    function: Layer


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op not in FUSABLE:
        return None
    linear = linear_before(links, layer.inputs[0])
    return _Match(linear, layer) if linear else None


def _check(links: Links, match: _Match) -> str:
    return why_not_open(links, match.linear)


def _rewrite(links: Links, match: _Match) -> None:
    linear, function = match
    names = PARAMETERIZED[function.op][0] if function.op in PARAMETERIZED else ()
    values = [function.attrs[name] for name in names] + [0.0, 0.0]
    linear.attrs = {
        **linear.attrs,
        "activation": "GeluTanh" if function.attrs.get("approximate") == "tanh" else function.op,
        "activation_alpha": values[0],
        "activation_beta": values[1],
    }
    links.absorb(linear, function)


def run(graph: Graph) -> PassReport:
    return Rewrite("fuse_activation", _pattern, _check, _rewrite).run(graph)
