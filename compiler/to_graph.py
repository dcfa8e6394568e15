"""From a model as it was read to a graph that runs, as ONNX Runtime's parts allow."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from coexec.compiler.errors import CompileError
from coexec.compiler.ir.graph import Graph
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.native import Kernels
from coexec.compiler.onnx_import import (
    Shape,
    Signature,
    Source,
    WholeModelError,
    import_model,
    prepare,
)
from coexec.compiler.onnx_import.read import MODEL_BYTES_MAX
from coexec.compiler.partition import partition, whole_model
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.onnx_layer import OnnxLayer
from coexec.protos import program_pb2


def to_graph(
    source: Source,
    signature: Signature,
    shapes: Mapping[str, Shape],
    kernels: Kernels,
    name: str,
) -> tuple[Graph, bytes]:
    """Layers, with what is not native in ONNX Runtime layers; one layer for the whole model when
    nothing is, or when it cannot be taken apart. What ONNX Runtime gets, it has accepted. And the
    model with its shapes bound, when it was taken apart."""
    reason = source.model_error or _why_whole(signature)
    if not reason:
        bound = signature.bind(name, shapes)
        try:
            prepared = prepare(source.model, bound)
            graph = partition(import_model(prepared), kernels, name)
            if graph is not None:
                problem = _refused_by_runtime(graph)
                if not problem:
                    return graph, _serialized(prepared)
                reason = f"ONNX Runtime takes its part only with the rest ({problem[:300]})"
            else:
                reason = "no layer has a native kernel"
        except WholeModelError as error:
            reason = str(error)
    graph = whole_model(source.model, signature, name, reason)
    problem = _refused_by_runtime(graph)
    if problem:
        raise CompileError(
            f"{name}: {source.model_error or reason}; and {problem}. Check the file with "
            "onnx.checker, or export it again"
        )
    return graph, b""


def _serialized(model: onnx.ModelProto) -> bytes:
    """Empty when it is too large for one message."""
    if model.ByteSize() > MODEL_BYTES_MAX:
        return b""
    data: bytes = model.SerializeToString()
    return data


def _why_whole(signature: Signature) -> str:
    for spec in (*signature.inputs, *signature.outputs):
        if spec.type.dtype in ("opaque", "string", "bf16"):
            return f"{spec} is nothing native layers take"
    return ""


def _refused_by_runtime(graph: Graph) -> str:
    """What ONNX Runtime says against a layer it is given; "" when it takes them all."""
    for layer in graph.layers:
        if layer.op == ONNX_RUNTIME:
            try:
                OnnxLayer(program_pb2.Layer(name=layer.name, onnx_model=layer.onnx_model))
            except RunError as error:
                return str(error)
    return ""
