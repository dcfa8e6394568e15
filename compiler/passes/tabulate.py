"""Elementwise layers that compute a function of one quantized tensor become one Lookup in the table
of its 256 values: Silu and Gelu as quantizers leave them, a chain of Sigmoid, Mul and FakeQuantize
or the like. The references make the table, which round once, so results are what they define.

A chain is worth it when it has a function that takes many operations, or several layers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.activation import PARAMETERIZED, PLAIN
from coexec.compiler.ir.integers import LEVELS
from coexec.compiler.ir.interpret import run_layer
from coexec.compiler.passes.grid import Grid, grid_of
from coexec.compiler.passes.linear import result, scalar
from coexec.compiler.passes.rewrite import Links, PassReport

_CHEAP = frozenset(
    ("Relu", "Clip", "FakeQuantize", "LeakyRelu", "Abs", "Neg", "Add", "Sub", "Mul", "Min", "Max",
     "HardSigmoid", "HardSwish")
)  # fmt: skip
_ELEMENTWISE = frozenset((*PLAIN, *PARAMETERIZED, "Gelu", "Add", "Sub", "Mul", "Div", "Pow",
                          "Min", "Max"))  # fmt: skip
_LAYERS_MIN = 3  # of cheap ones: a Lookup takes about as long as three


class _Function(NamedTuple):
    """What a value is of a quantized one. table: its values for q of 0..255."""

    source: Value
    grid: Grid
    table: Array
    layers: frozenset[Layer]


def _function_of(links: Links, known: dict[Value, _Function], value: Value) -> _Function | None:
    """Of a value that no layer seen so far computes from another: itself."""
    if value not in known and value.type.dtype == "f32":
        grid = grid_of(links, value)
        if grid is not None:
            steps = np.arange(LEVELS + 1, dtype=np.float32) - np.float32(grid.zero)
            table = steps * np.float32(grid.scale)
            known[value] = _Function(value, grid, table, frozenset())
    return known.get(value)


def _extended(links: Links, known: dict[Value, _Function], layer: Layer) -> _Function | None:
    """What the layer's result is of the one quantized value that its operands are functions of."""
    operands: list[Array | None] = []
    functions: list[_Function] = []
    for value in layer.inputs:
        number = scalar(value)
        function = None if value is None else _function_of(links, known, value)
        if function is not None:
            functions.append(function)
            operands.append(function.table)
        elif number is not None:
            operands.append(np.full(LEVELS + 1, number, np.float32))
        else:
            return None
    if not functions or any(f.source is not functions[0].source for f in functions):
        return None
    source, grid, _, _ = functions[0]
    if result(layer).type != source.type:
        return None
    with np.errstate(all="ignore"):
        table = run_layer(layer, operands)[0]
    layers = frozenset((layer,)).union(*(f.layers for f in functions))
    return _Function(source, grid, table, layers)


def _is_worth_it(function: _Function) -> bool:
    slow = any(layer.op not in _CHEAP for layer in function.layers)
    return slow or len(function.layers) >= _LAYERS_MIN


def run(graph: Graph) -> PassReport:
    report, links = PassReport("tabulate"), Links(graph)
    known: dict[Value, _Function] = {}
    for layer in links.walk():
        if layer.op in _ELEMENTWISE:
            function = _extended(links, known, layer)
            if function is not None:
                known[result(layer)] = function
    for layer in links.walk():
        function = known.get(layer.outputs[0]) if layer.outputs and layer.outputs[0] else None
        if function is None or layer not in function.layers or not _is_worth_it(function):
            continue
        if _is_only_a_step(links, known, result(layer), function):
            continue
        table = links.constant(f"{layer.name}.table", np.ascontiguousarray(function.table))
        layer.op = "Lookup"
        layer.attrs = {"scale": function.grid.scale, "zero": function.grid.zero}
        links.change(layer, inputs=[function.source, table])
        report.done.append(layer.name)
    links.finish()
    return report


def _is_only_a_step(
    links: Links, known: dict[Value, _Function], value: Value, function: _Function
) -> bool:
    """Do all that read the value go into tables of the same source?"""
    if links.is_output(value):
        return False
    following = [known.get(r.outputs[0]) if r.outputs[0] else None for r in links.readers(value)]
    return all(f is not None and f.source is function.source for f in following)
