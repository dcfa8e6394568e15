"""Layers that return their operand go: a Reshape to the same shape, a Cast to the same dtype, a
Slice of everything and their like. Exact."""

from __future__ import annotations

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import result
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite

# With one operand and a result of the same type, these change nothing whatever their attributes.
_BY_TYPE = frozenset(("Reshape", "Cast", "Expand", "Tile", "Concat", "Split"))


def _changes_nothing(layer: Layer) -> bool:
    """For a layer with one operand whose result has the operand's type."""
    attrs = Attrs(layer.attrs)
    if layer.op in _BY_TYPE:
        return True
    if layer.op == "Transpose":
        shape, perm = result(layer).type.shape, attrs.ints("perm")
        return perm == list(range(len(shape)))
    if layer.op == "Slice":
        return all(step == 1 for step in attrs.ints("steps"))
    if layer.op == "Pad":
        return not any(attrs.ints("pads"))
    if layer.op == "Resize":
        return all(scale == 1.0 for scale in attrs.floats("scales"))
    return False


def _pattern(_links: Links, layer: Layer) -> Layer | None:
    if len(layer.inputs) != 1 or len(layer.outputs) != 1:
        return None
    x, y = layer.inputs[0], layer.outputs[0]
    if x is None or y is None or x.type != y.type:
        return None
    return layer if _changes_nothing(layer) else None


def _check(links: Links, layer: Layer) -> str:
    x = layer.inputs[0]
    assert x is not None
    if links.is_output(result(layer)) and (links.producer(x) is None or links.is_output(x)):
        return f"{result(layer).name} is an output, and so is {x.name}, or no layer makes it"
    return ""


def _rewrite(links: Links, layer: Layer) -> None:
    x, y = layer.inputs[0], result(layer)
    assert x is not None
    links.remove(layer)
    if not links.is_output(y):
        links.redirect(y, x)
        return
    # The output keeps its name: x's producer makes it directly.
    producer = links.producer(x)
    assert producer is not None
    links.change(producer, outputs=[y if v is x else v for v in producer.outputs])
    links.redirect(x, y)


def run(graph: Graph) -> PassReport:
    return Rewrite("drop_identity", _pattern, _check, _rewrite).run(graph)
