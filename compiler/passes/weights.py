"""Weights as the matrices the sparse kernels multiply: rows are results, columns are inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.passes.linear import operand

# Rows that share one column list in the bcr kernels.
STRIP_ROWS = {"Conv": 8, "Gemm": 16, "LSTM": 16, "GRU": 16}


# Inputs in a group of the nm layout, and the weights that may be left in it.
NM_GROUP, NM_MOST = 4, 2

# Taps of a 3x3 kernel that the pattern layout keeps.
PATTERN_TAPS = 4


class Weight(NamedTuple):
    layer: Layer
    operand: str  # "w" or "r"
    value: Value
    strip_rows: int

    @property
    def names(self) -> tuple[str, str]:
        """Its layer's, and its own in reports."""
        return self.layer.name, f"{self.layer.name}.{self.operand}"


def sparse_weights(graph: Graph) -> Iterator[Weight]:
    """The constant, non-empty f32 and bf16 weights that have sparse kernels, in the layers' order:
    of Conv without groups, Gemm, LSTM and GRU. A value that several layers read comes once per
    reader."""
    for layer in graph.layers:
        if layer.op not in STRIP_ROWS or layer.attrs.get("group", 1) != 1:
            continue
        names = ("w", "r") if layer.op in ("LSTM", "GRU") else ("w",)
        for index, name in enumerate(names, start=1):
            value = operand(layer, index)
            if value is None or value.constant is None or value.type.dtype not in ("f32", "bf16"):
                continue
            if value.constant.size:
                yield Weight(layer, name, value, STRIP_ROWS[layer.op])


def as_matrix(op: str, array: Array) -> Array:
    """A view [rows, columns]: Conv w[M, C, *K] as [M, C*K], LSTM and GRU w[D, G, I] as
    [D*G, I]."""
    if op in ("LSTM", "GRU"):
        return array.reshape(-1, array.shape[-1])
    return array.reshape(array.shape[0], -1)
