"""QuantizeLinear and the DequantizeLinear that undoes it become one FakeQuantize, when both have
one scale for the whole tensor; a second one like it, of the same value, becomes the first."""

from __future__ import annotations

from typing import NamedTuple

from coexec.compiler.ir import Graph, Layer, Value
from coexec.compiler.passes.grid import Grid, grid_made, grid_of_operands
from coexec.compiler.passes.linear import result
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


class _Match(NamedTuple):
    quantize: Layer
    dequantize: Layer


def _pattern(links: Links, layer: Layer) -> _Match | None:
    quantize = links.producer(layer.inputs[0]) if layer.op == "DequantizeLinear" else None
    if quantize is None or quantize.op != "QuantizeLinear":
        return None
    return _Match(quantize, layer)


def _check(_links: Links, match: _Match) -> str:
    quantized, dequantized = grid_of_operands(match.quantize), grid_of_operands(match.dequantize)
    if quantized is None or dequantized is None:
        return "it has no one scale that is known"
    return "" if quantized == dequantized else "it is quantized with another scale or zero point"


def _rewrite(links: Links, match: _Match) -> None:
    quantize, layer = match
    x, grid = quantize.inputs[0], grid_of_operands(quantize)
    assert x is not None
    assert grid is not None
    twin = _twin(links, x, grid, layer)
    if twin is not None and not links.is_output(result(layer)):
        links.remove(layer)
        links.redirect(result(layer), result(twin))
        return
    layer.op, layer.attrs = "FakeQuantize", {"scale": grid.scale, "zero": grid.zero}
    links.change(layer, inputs=[x])


def _twin(links: Links, x: Value, grid: Grid, layer: Layer) -> Layer | None:
    for other in links.readers(x):
        if other.op == "FakeQuantize" and grid_made(other) == grid:
            return other if links.comes_before(other, layer) else None
    return None


def run(graph: Graph) -> PassReport:
    return Rewrite("recognize_fake_quantize", _pattern, _check, _rewrite).run(graph)
