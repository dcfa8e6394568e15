"""A unary function after Conv, ConvTranspose or Gemm becomes its activation. Exact: the kernel
applies the same function to the same rounded sum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.activation import PARAMETERIZED, fake_quantize
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import linear_before, result, why_not_open
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite

FUSABLE = frozenset(
    (
        "Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Silu", "Tanh", "Elu",
        "Gelu", "FakeQuantize",
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
    why_not = why_not_open(links, match.linear)
    return "" if why_not and _is_clamped_again(links, match) else why_not


def _is_clamped_again(links: Links, match: _Match) -> bool:
    """Is the function a FakeQuantize that reaches no further than the Relu or Clip before it?"""
    linear, function = match
    bounds = {
        "Relu": (0.0, np.inf),
        "Clip": (linear.attrs["activation_alpha"], linear.attrs["activation_beta"]),
    }.get(str(linear.attrs["activation"]))
    if function.op != "FakeQuantize" or bounds is None or not links.read_once(result(linear)):
        return False
    outside = np.array([*bounds, -np.inf, np.inf], np.float32)
    ends = fake_quantize(outside, *map(Attrs(function.attrs).f, ("scale", "zero")))
    return bool(ends[0] == ends[2] and ends[1] == ends[3])


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
