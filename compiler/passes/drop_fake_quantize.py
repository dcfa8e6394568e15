"""A FakeQuantize goes where it changes nothing: on values that it, or one like it, has quantized
already, and before int8 layers and Lookups that quantize what they read just so, be it behind a
pooling. Exact but for NaN: quantizing twice is quantizing once, and keeps which of two values is
larger; but quantizing makes a NaN the least value, and a MaxPool that meets it first spreads it."""

from __future__ import annotations

from coexec.compiler.ir import Graph, Layer, Value
from coexec.compiler.passes.grid import MOVING, Grid, grid_made, grid_of
from coexec.compiler.passes.integers import X_SCALE
from coexec.compiler.passes.linear import operand, result
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


def _pattern(_links: Links, layer: Layer) -> Layer | None:
    return layer if layer.op == "FakeQuantize" else None


def _on_grid(links: Links, layer: Layer) -> str:
    if links.is_output(result(layer)):
        return f"{result(layer).name} is an output"
    return "" if grid_of(links, layer.inputs[0]) == grid_made(layer) else "it quantizes"


def _quantized_later(links: Links, layer: Layer) -> str:
    grid = grid_made(layer)
    assert grid is not None
    return _why_seen(links, result(layer), grid)


def _why_seen(links: Links, value: Value, grid: Grid) -> str:
    """Who would see a value that is not on the grid."""
    if links.is_output(value):
        return f"{value.name} is an output"
    for reader in links.readers(value):
        if grid_made(reader) == grid or _quantizes(reader, value, grid):
            continue
        if reader.op not in MOVING or value in reader.inputs[1:]:
            return f"{reader.name} reads it"
        for moved in reader.outputs:
            if moved is not None and (why := _why_seen(links, moved, grid)):
                return why
    return ""


def _quantizes(reader: Layer, value: Value, grid: Grid) -> bool:
    if reader.op == "Lookup":
        return (reader.attrs["scale"], reader.attrs["zero"]) == grid
    x_scale = operand(reader, X_SCALE) if reader.op in ("Conv", "Gemm") else None
    if x_scale is None or x_scale.constant is None:
        return False
    return tuple(map(float, x_scale.constant)) == grid and value not in reader.inputs[1:]


def _rewrite(links: Links, layer: Layer) -> None:
    x = layer.inputs[0]
    assert x is not None
    links.remove(layer)
    links.redirect(result(layer), x)


def run(graph: Graph) -> PassReport:
    """What is quantized already first: what it reads may then be quantized later."""
    report = Rewrite("drop_fake_quantize", _pattern, _on_grid, _rewrite).run(graph)
    later = Rewrite("drop_fake_quantize", _pattern, _quantized_later, _rewrite).run(graph)
    return PassReport(report.name, report.done + later.done, later.refused)
