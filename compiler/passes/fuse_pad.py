"""Pad with zeros before a Conv becomes the Conv's own padding. Exact."""

from __future__ import annotations

from typing import NamedTuple

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


class _Match(NamedTuple):
    pad: Layer
    conv: Layer


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op != "Conv":
        return None
    pad = links.producer(layer.inputs[0])
    return _Match(pad, layer) if pad is not None and pad.op == "Pad" else None


def _check(_links: Links, match: _Match) -> str:
    attrs = Attrs(match.pad.attrs)
    pads = attrs.ints("pads")
    rank = len(pads) // 2
    if attrs.s("mode") != "constant" or attrs.f("value") != 0.0:
        return f"{match.pad.name} does not pad with zeros"
    if min(pads) < 0:
        return f"{match.pad.name} crops"
    if any(pads[i] for i in (0, 1, rank, rank + 1)):
        return f"{match.pad.name} pads more than spatial dims"
    return ""


def _rewrite(links: Links, match: _Match) -> None:
    pad, conv = match
    outer, inner = Attrs(pad.attrs).ints("pads"), Attrs(conv.attrs).ints("pads")
    rank = len(outer) // 2
    spatial = outer[2:rank] + outer[rank + 2 :]
    conv.attrs = {**conv.attrs, "pads": [a + b for a, b in zip(spatial, inner, strict=True)]}
    links.change(conv, inputs=[pad.inputs[0], *conv.inputs[1:]])


def run(graph: Graph) -> PassReport:
    return Rewrite("fuse_pad", _pattern, _check, _rewrite).run(graph)
