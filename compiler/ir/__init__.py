"""The layer IR: typed tensors, layers, graphs."""

from coexec.compiler.ir.graph import AttrValue, Graph, IrError, Layer, TensorType, Value

__all__ = ["AttrValue", "Graph", "IrError", "Layer", "TensorType", "Value"]
