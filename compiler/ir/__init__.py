"""The layer IR: typed tensors, layers, graphs, and the record every op fills in."""

from coexec.compiler.ir.graph import AttrValue, Graph, IrError, Layer, TensorType, Value
from coexec.compiler.ir.op import Array, Attrs, Cost, Op, Sample

__all__ = [
    "Array",
    "AttrValue",
    "Attrs",
    "Cost",
    "Graph",
    "IrError",
    "Layer",
    "Op",
    "Sample",
    "TensorType",
    "Value",
]
