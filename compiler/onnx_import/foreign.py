"""What ONNX and ONNX Runtime know about one node: its result types, and its value when all its
operands are constants."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime

from coexec.compiler.onnx_import.node import Array
from coexec.compiler.onnx_import.types import loose_type

# Constants up to here are shown to shape inference by value: they are shapes, axes, scales.
_SHOWN_ELEMENTS_MAX = 1024
# A folded constant may be this large, or twice its operands when those are larger still.
_FOLDED_ELEMENTS_MAX = 2**20
_RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
     "Bernoulli", "Dropout")
)  # fmt: skip
# Their result has a shape only the values tell, but never more elements than the operands times
# the rank.
_DATA_SHAPED = frozenset(("NonZero", "Compress", "Unique"))


class Frame:
    """What every single-node model of one source model has in common."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.ir_version: int = model.ir_version
        self.opset_imports = list(model.opset_import)
        self.functions = list(model.functions)

    def opset(self, domain: str) -> int:
        domain = "" if domain == "ai.onnx" else domain
        versions = [
            o.version for o in self.opset_imports if o.domain in (domain, domain or "ai.onnx")
        ]
        return versions[0] if versions else 1

    def model(
        self,
        nodes: Iterable[onnx.NodeProto],
        inputs: Iterable[onnx.ValueInfoProto],
        outputs: Iterable[onnx.ValueInfoProto],
        tensors: Iterable[onnx.TensorProto],
    ) -> onnx.ModelProto:
        graph = onnx.helper.make_graph(
            list(nodes), "coexec", list(inputs), list(outputs), initializer=list(tensors)
        )
        made: onnx.ModelProto = onnx.helper.make_model(
            graph,
            ir_version=self.ir_version,
            opset_imports=self.opset_imports,
            functions=self.functions,
        )
        return made


def infer_types(
    frame: Frame,
    node: onnx.NodeProto,
    types: Mapping[str, onnx.TypeProto],
    tensors: Mapping[str, onnx.TensorProto],
) -> dict[str, onnx.TypeProto]:
    """The types of the node's outputs by name, as far as they can be told; an empty TypeProto
    where they cannot. types and tensors: of what the node reads, constants in both."""
    shown = [t for t in tensors.values() if math.prod(t.dims) <= _SHOWN_ELEMENTS_MAX]
    by_value = {t.name for t in shown}
    outputs = [name for name in node.output if name]
    model = frame.model(
        [node],
        [_info(name, type) for name, type in types.items() if name not in by_value],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        shown,
    )
    found = {name: onnx.TypeProto() for name in outputs}
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        found.update((info.name, info.type) for info in inferred.graph.output)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        pass  # unknown stays unknown; the node runs in ONNX Runtime
    if any(_is_untyped(type) for type in found.values()):
        found.update(_types_from_runtime(model))
    return found


def evaluate(
    frame: Frame,
    node: onnx.NodeProto,
    tensors: Mapping[str, onnx.TensorProto],
    inferred: Mapping[str, onnx.TypeProto],
) -> list[Array | None] | None:
    """The node's outputs when all it reads are constants and the result is not large, as ONNX
    Runtime computes them; None when it is not to be computed now."""
    if node.op_type in _RANDOM or _has_graph(node) or not _is_bounded(node, tensors, inferred):
        return None
    names = [name for name in node.output if name]
    outputs = [_info(name, inferred[name]) for name in names]
    model = frame.model([node], [], outputs, tensors.values())
    try:
        arrays = _session(model).run(names, {})
    except Exception:  # its exceptions share no narrower base
        return None
    by_name = {n: a for n, a in zip(names, arrays, strict=True) if isinstance(a, np.ndarray)}
    if len(by_name) != len(names):
        return None
    return [by_name.get(name) for name in node.output]


def _is_bounded(
    node: onnx.NodeProto,
    tensors: Mapping[str, onnx.TensorProto],
    inferred: Mapping[str, onnx.TypeProto],
) -> bool:
    operand_elements = sum(math.prod(t.dims) for t in tensors.values())
    if node.op_type in _DATA_SHAPED:
        return operand_elements <= _FOLDED_ELEMENTS_MAX
    elements = 0
    for type in inferred.values():
        loose = loose_type(type)
        if not loose.is_static:
            return False
        elements += loose.elements
    return elements <= max(_FOLDED_ELEMENTS_MAX, 2 * operand_elements)


def _has_graph(node: onnx.NodeProto) -> bool:
    return any(a.HasField("g") or a.graphs for a in node.attribute)


def _info(name: str, type: onnx.TypeProto) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=name, type=type)


def _is_untyped(type: onnx.TypeProto) -> bool:
    kind = type.WhichOneof("value")
    return kind is None or (kind == "tensor_type" and not type.tensor_type.elem_type)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


_RUNTIME_ELEM_TYPES = {
    "float": "FLOAT", "double": "DOUBLE", "float16": "FLOAT16", "bfloat16": "BFLOAT16",
    "bool": "BOOL", "string": "STRING",
    **{name: name.upper() for bits in (8, 16, 32, 64) for name in (f"int{bits}", f"uint{bits}")},
}  # fmt: skip


def _types_from_runtime(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """Ops of ONNX Runtime's own domains have shape inference only there."""
    try:
        results = _session(model).get_outputs()
    except Exception:  # its exceptions share no narrower base
        return {}
    found = {}
    for result in results:
        match = re.fullmatch(r"tensor\((\w+)\)", result.type)
        if match and match[1] in _RUNTIME_ELEM_TYPES:
            elem_type = onnx.TensorProto.DataType.Value(_RUNTIME_ELEM_TYPES[match[1]])
            dims = [d if isinstance(d, int) and d >= 0 else None for d in result.shape]
            found[result.name] = onnx.helper.make_tensor_type_proto(elem_type, dims)
    return found
