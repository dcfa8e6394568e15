"""Adjacent Transposes become one; one that moves only dims of size 1 becomes a Reshape, which
costs nothing. Exact; those that end as identities go with drop_identity."""

from __future__ import annotations

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import result
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


def _pattern(_links: Links, layer: Layer) -> Layer | None:
    return layer if layer.op == "Transpose" else None


def _merges(links: Links, layer: Layer) -> Layer | None:
    first = links.producer(layer.inputs[0])
    return first if first is not None and first.op == "Transpose" else None


def _keeps_order(layer: Layer, perm: list[int]) -> bool:
    """The dims larger than 1 stay in order, so no element moves."""
    shape = result(layer).type.shape
    moving = [axis for axis, size in zip(perm, shape, strict=True) if size != 1]
    return moving == sorted(moving) and perm != list(range(len(perm)))


def _check(links: Links, layer: Layer) -> str:
    if _merges(links, layer) or _keeps_order(layer, Attrs(layer.attrs).ints("perm")):
        return ""
    return "it moves elements, and no Transpose comes before it"


def _rewrite(links: Links, layer: Layer) -> None:
    perm = Attrs(layer.attrs).ints("perm")
    first = _merges(links, layer)
    if first is not None:
        inner = Attrs(first.attrs).ints("perm")
        perm = [inner[axis] for axis in perm]
        links.change(layer, inputs=first.inputs)
        layer.attrs = {"perm": perm}
    if _keeps_order(layer, perm):
        layer.op, layer.attrs = "Reshape", {"shape": list(result(layer).type.shape)}


def run(graph: Graph) -> PassReport:
    return Rewrite("fold_transpose", _pattern, _check, _rewrite).run(graph)
