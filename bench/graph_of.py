"""A compiled model's layers again as the compiler's graph, to run them one by one elsewhere."""

from typing import Any

import numpy as np
from safetensors.numpy import load_file

from coexec.compiler.ir import Array, Graph, Layer, TensorType, Value
from coexec.compiler.ir.graph import np_dtype
from coexec.kernels.program.build import attributes
from coexec.kernels.program.format import CompiledModel
from coexec.protos import program_pb2


def graph_of(model: CompiledModel) -> Graph:
    """Constants with their elements, in the layouts they were compiled in."""
    program = model.program
    stored = load_file(model.path / "weights.safetensors")
    values = [_value(tensor, stored) for tensor in program.tensors]

    def pick(indices: Any) -> list[Value | None]:
        return [values[i] if i >= 0 else None for i in indices]

    layers = [
        Layer(
            layer.op,
            layer.name,
            pick(layer.inputs),
            pick(layer.outputs),
            attributes(layer),
            layer.onnx_model,
            layer.why_not_native,
        )
        for layer in program.layers
    ]
    return Graph(
        program.name,
        [values[i] for i in program.inputs],
        [values[i] for i in program.outputs],
        layers,
    )


def _value(tensor: program_pb2.Tensor, stored: dict[str, Array]) -> Value:
    layout = tensor.type.layout or "dense"
    type = TensorType(tensor.type.dtype, tuple(tensor.type.shape), layout)
    if not tensor.constant:
        return Value(tensor.name, type)
    key, dtype = tensor.digest.hex(), np_dtype(type.dtype)
    if layout == "dense":
        return Value(tensor.name, type, stored[key].view(dtype).reshape(type.shape))
    kept = np.unpackbits(stored[f"{key}.mask"], count=type.elements, bitorder="little")
    elements = np.zeros(type.elements, dtype)
    elements[kept.astype(bool)] = stored[f"{key}.values"].view(dtype)
    return Value(tensor.name, type, elements.reshape(type.shape))
