"""Layers whose results nobody needs go, and optional results nobody reads become absent."""

from __future__ import annotations

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.passes.rewrite import PassReport


def _optional_results(layer: Layer) -> tuple[bool, ...]:
    """Per result: may it be absent?"""
    names = BY_NAME[layer.op].outputs if layer.op in BY_NAME else ()
    padded = (*names, *["y"] * len(layer.outputs))
    return tuple(name.endswith("?") for name in padded[: len(layer.outputs)])


def run(graph: Graph) -> PassReport:
    report = PassReport("drop_dead")
    needed = set(graph.outputs)
    kept: list[Layer] = []
    for layer in reversed(graph.layers):
        if needed.isdisjoint(layer.outputs):
            report.done.append(layer.name)
            continue
        for index, optional in enumerate(_optional_results(layer)):
            value = layer.outputs[index]
            if optional and value is not None and value not in needed:
                layer.outputs[index] = None
                report.done.append(f"{layer.name}'s {value.name}")
        needed.update(value for value in layer.inputs if value is not None)
        kept.append(layer)
    graph.layers = kept[::-1]
    return report
