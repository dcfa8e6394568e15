"""Layers whose operands are all constants are computed now, by their references, unless that
would make the model much larger. The references round once where kernels may round more often,
so the last bits may change."""

from __future__ import annotations

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.interpret import run_layer
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite

_GROWTH_BYTES_MAX = 1 << 20


def _pattern(_links: Links, layer: Layer) -> Layer | None:
    present = [v for v in layer.inputs if v is not None]
    if layer.op == ONNX_RUNTIME or not present or any(v.constant is None for v in present):
        return None
    return layer


def _check(links: Links, layer: Layer) -> str:
    results = [v for v in layer.outputs if v is not None]
    grown = sum(v.type.nbytes for v in results) - sum(v.type.nbytes for v in layer.inputs if v)
    if grown > _GROWTH_BYTES_MAX:
        return f"its constant results would add {grown} bytes"
    for value in results:
        if links.is_output(value):
            return f"{value.name} is an output"
    return ""


def _rewrite(links: Links, layer: Layer) -> None:
    operands = [None if v is None else v.constant for v in layer.inputs]
    results = run_layer(layer, operands)
    links.remove(layer)
    for value, array in zip(layer.outputs, results, strict=False):
        if value is not None:
            value.constant = array


def run(graph: Graph) -> PassReport:
    return Rewrite("fold_constants", _pattern, _check, _rewrite).run(graph)
