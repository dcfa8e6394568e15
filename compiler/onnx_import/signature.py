"""What a model takes and gives, read without compiling it."""

from __future__ import annotations

from pathlib import Path

import onnx

from coexec.compiler.onnx_import.read import read_model
from coexec.compiler.onnx_import.types import dtype_of
from coexec.compiler.signature import Shape, Signature, TensorSpec

__all__ = ["Shape", "Signature", "TensorSpec", "read_signature", "signature_of"]


def read_signature(path: Path) -> Signature:
    """Raises CompileError as read_model does."""
    return signature_of(read_model(path).model)


def signature_of(model: onnx.ModelProto) -> Signature:
    """Inputs that have an initializer are constants here, and no inputs."""
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    inputs = tuple(_spec(info) for info in model.graph.input if info.name not in stored)
    return Signature(inputs, tuple(_spec(info) for info in model.graph.output))


def _spec(info: onnx.ValueInfoProto) -> TensorSpec:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        word = (kind or "unknown").removesuffix("_type").removesuffix("_tensor")
        return TensorSpec(info.name, word, None)
    tensor = info.type.tensor_type
    dtype = dtype_of(tensor.elem_type)
    if not tensor.HasField("shape"):
        return TensorSpec(info.name, dtype, None)
    dims, symbols = [], []
    for dim in tensor.shape.dim:
        static = dim.HasField("dim_value") and dim.dim_value >= 0
        dims.append(dim.dim_value if static else -1)
        symbols.append("" if static else dim.dim_param)
    return TensorSpec(info.name, dtype, tuple(dims), tuple(symbols))
