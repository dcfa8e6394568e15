"""A weight that is read otherwise too (by a Gather that takes rows of it, or by a ConvTranspose
that shares it with a Conv) becomes a value of its own for each kind of layer that multiplies by it:
its layout is theirs to choose, and other readers take none but dense operands. Exact; what stays
equal is stored once."""

from __future__ import annotations

from collections import defaultdict

from coexec.compiler.ir import AttrValue, Graph, Layer, Value
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.passes.rewrite import Links, PassReport

# What layers have in common that may share a weight; None: its reader does not multiply by it.
_Kind = tuple[str, str, AttrValue] | None


def _kind(layer: Layer, index: int) -> _Kind:
    op = BY_NAME.get(layer.op)
    if op is None or index >= len(op.inputs):
        return None
    name = op.inputs[index].rstrip("?")
    return (layer.op, name, layer.attrs.get("group", 1)) if name in op.weights else None


def run(graph: Graph) -> PassReport:
    report, links = PassReport("own_weights"), Links(graph)
    kinds: dict[Value, set[_Kind]] = defaultdict(set)
    for layer in graph.layers:
        for index, value in enumerate(layer.inputs):
            if value is not None and value.constant is not None:
                kinds[value].add(_kind(layer, index))
    own: dict[tuple[Value, _Kind], Value] = {}
    for layer in links.walk():
        for index, value in enumerate(layer.inputs):
            kind = _kind(layer, index)
            if value is None or value.constant is None or kind is None or len(kinds[value]) == 1:
                continue
            if (value, kind) not in own:
                own[value, kind] = links.constant(value.name, value.constant)
                report.done.append(f"{layer.name}'s {value.name}")
            inputs = list(layer.inputs)
            inputs[index] = own[value, kind]
            links.change(layer, inputs=inputs)
    links.finish()
    return report
