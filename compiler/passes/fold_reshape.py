"""A Reshape reads through the Reshape before it. Exact; the first one goes when nobody else reads
it."""

from __future__ import annotations

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


def _pattern(links: Links, layer: Layer) -> tuple[Layer, Layer] | None:
    if layer.op != "Reshape":
        return None
    first = links.producer(layer.inputs[0])
    return (first, layer) if first is not None and first.op == "Reshape" else None


def _check(_links: Links, _match: tuple[Layer, Layer]) -> str:
    return ""


def _rewrite(links: Links, match: tuple[Layer, Layer]) -> None:
    first, second = match
    links.change(second, inputs=first.inputs)


def run(graph: Graph) -> PassReport:
    return Rewrite("fold_reshape", _pattern, _check, _rewrite).run(graph)
