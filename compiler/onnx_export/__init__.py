"""The layer IR back to ONNX: what ONNX Runtime is given to compute, and to be compared with."""

from coexec.compiler.onnx_export.model import OPSET, layer_of_node, to_onnx

__all__ = ["OPSET", "layer_of_node", "to_onnx"]
