"""One walk over a model's nodes, in order: each becomes a constant, layers, or stays ONNX's.

Types are known as the walk goes, from the layer IR for converted nodes and from ONNX's shape
inference for the others, so shape arithmetic folds away wherever shapes are complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx

from coexec.compiler.ir.graph import IrError, Layer, TensorType, Value, dtype_name
from coexec.compiler.onnx_import.converters import CONVERTERS
from coexec.compiler.onnx_import.foreign import Frame, evaluate, infer_types
from coexec.compiler.onnx_import.node import Array, Node, NotNative
from coexec.compiler.onnx_import.types import (
    NATIVE_DTYPES,
    described,
    loose_type,
    static_type,
    type_proto,
)


class WholeModelError(Exception):
    """The walk cannot represent this model; ONNX Runtime may run it as a whole."""


@dataclass(slots=True, eq=False)
class Item:
    """A node that computes at run time. layers is empty when no converter took it, and then
    reason says why."""

    node: onnx.NodeProto
    name: str
    reads: list[str]  # ONNX names, what its nested graphs capture included
    outputs: dict[str, Value]  # by ONNX name
    layers: list[Layer]
    reason: str = ""


@dataclass(slots=True, eq=False)
class Imported:
    """values, types: by ONNX name. Two names share a value where a node changes nothing.
    tensors: the constants, as ONNX holds them. items: in an order that runs. makers: the layers
    that converters made, by their results."""

    frame: Frame
    inputs: list[Value]
    outputs: list[str]
    values: dict[str, Value] = field(default_factory=dict)
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    makers: dict[Value, Layer] = field(default_factory=dict)

    def tensor(self, name: str) -> onnx.TensorProto | None:
        """The constant of that name, None when it is computed."""
        made = self.tensors.get(name)
        if made is None and name in self.values and self.values[name].constant is not None:
            made = self.tensors[name] = onnx.numpy_helper.from_array(
                np.asarray(self.values[name].constant), name
            )
        return made


def import_model(model: onnx.ModelProto) -> Imported:
    """model: prepared, its input shapes complete. Raises WholeModelError when it cannot be taken
    apart: inputs that are no tensors, sparse initializers, nodes out of order."""
    graph = model.graph
    if graph.sparse_initializer:
        raise WholeModelError("it has sparse initializers")
    result = Imported(Frame(model), [], [info.name for info in graph.output])
    for tensor in graph.initializer:
        _add_constant(result, tensor)
    for info in graph.input:
        type = static_type(info.type)
        if type is None:
            raise WholeModelError(f"its input {info.name} is {described(info.type)}")
        value = Value(info.name, type)
        result.inputs.append(value)
        result.values[info.name], result.types[info.name] = value, info.type
    for node in graph.node:
        _take(result, node)
    for name in result.outputs:
        if name not in result.values:
            raise WholeModelError(f"nothing computes its output {name}")
    return result


def reads_of(node: onnx.NodeProto) -> list[str]:
    """What the node reads, what its nested graphs capture from outside included; each once."""
    names = dict.fromkeys(name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            names.update(dict.fromkeys(_captured(graph)))
    return list(names)


def _captured(graph: onnx.GraphProto) -> Iterator[str]:
    inside = {info.name for info in graph.input}
    inside |= {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        yield from (name for name in reads_of(node) if name not in inside)
        inside.update(node.output)
    yield from (info.name for info in graph.output if info.name not in inside)


def _add_constant(result: Imported, tensor: onnx.TensorProto) -> None:
    """Constants of dtypes the IR has no name for stay ONNX's: nothing native can read them."""
    name = tensor.name
    result.tensors[name] = tensor
    result.types[name] = onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    type = static_type(result.types[name])
    if type is None:
        result.values[name] = Value(name, loose_type(result.types[name]))
        return
    try:
        array = np.ascontiguousarray(onnx.numpy_helper.to_array(tensor)).reshape(type.shape)
    except (ValueError, TypeError, RuntimeError) as error:
        raise WholeModelError(f"its initializer {name} is malformed: {error}") from None
    result.values[name] = Value(name, type, array)


def _take(result: Imported, proto: onnx.NodeProto) -> None:
    reads = reads_of(proto)
    for name in reads:
        if name not in result.values:
            raise WholeModelError(f"node {proto.name or proto.op_type} reads {name} too early")
    folded = _fold_shape(result, proto)
    if folded is not None:
        _add_folded(result, proto, [folded])
        return
    node, reason = _convert(result, proto)
    all_constant = all(result.tensor(name) is not None for name in reads)
    folds = all_constant and node.layers  # a converter that made none has the result already
    if folds or reason:
        types = {name: result.types[name] for name in reads}
        tensors = {n: t for n in reads if (t := result.tensor(n)) is not None}
        inferred = infer_types(result.frame, proto, types, tensors)
        arrays = evaluate(result.frame, proto, tensors, inferred) if all_constant else None
        if arrays is not None and _add_folded(result, proto, arrays):
            return
        if reason:
            _add_foreign(result, proto, reads, inferred, reason)
            return
    _add_converted(result, proto, reads, node)


def _fold_shape(result: Imported, proto: onnx.NodeProto) -> Array | None:
    """Shape and Size of a value whose shape is complete, whatever computes it."""
    if proto.domain not in ("", "ai.onnx") or proto.op_type not in ("Shape", "Size"):
        return None
    type = static_type(result.types[proto.input[0]])
    if type is None:
        return None
    if proto.op_type == "Size":
        return np.array(type.elements, np.int64)
    ends = {a.name: a.i for a in proto.attribute}
    return np.array(type.shape[slice(ends.get("start", 0), ends.get("end"))], np.int64)


def _convert(result: Imported, proto: onnx.NodeProto) -> tuple[Node, str]:
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    inputs = [result.values[name] if name else None for name in proto.input]
    node = Node(proto, result.frame.opset(domain), inputs, result.makers)
    converter = CONVERTERS.get((domain, proto.op_type))
    if converter is None:
        return node, f"no native kernel for {domain + '.' if domain else ''}{proto.op_type}"
    for name in reads_of(proto):
        if static_type(result.types[name]) is None:
            return node, f"its operand {name} is {described(result.types[name])}"
    try:
        outputs = converter(node)
    except NotNative as refusal:
        return node, str(refusal)
    except (IndexError, ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        return node, f"its attributes or operands do not fit the op ({error})"
    node.outputs = outputs
    return node, ""


def _add_folded(result: Imported, proto: onnx.NodeProto, arrays: list[Array | None]) -> bool:
    made: dict[str, Value] = {}
    for name, array in zip(proto.output, arrays, strict=False):
        if not name or array is None:
            continue
        try:
            dtype = dtype_name(array.dtype)
        except IrError:
            return False
        if dtype not in NATIVE_DTYPES:
            return False
        array = np.ascontiguousarray(array).reshape(array.shape)
        made[name] = Value(name, TensorType(dtype, array.shape), array)
    for name, value in made.items():
        result.values[name], result.types[name] = value, type_proto(value.type)
    return True


def _add_foreign(
    result: Imported,
    proto: onnx.NodeProto,
    reads: list[str],
    inferred: dict[str, onnx.TypeProto],
    reason: str,
) -> None:
    outputs = {name: Value(name, loose_type(inferred[name])) for name in proto.output if name}
    result.values.update(outputs)
    result.types.update(inferred)
    name = proto.name or f"{proto.op_type}_{next(iter(outputs), '')}"
    result.items.append(Item(proto, name, reads, outputs, [], reason))


def _add_converted(result: Imported, proto: onnx.NodeProto, reads: list[str], node: Node) -> None:
    makers = {v: layer for layer in node.layers for v in layer.outputs if v is not None}
    result.makers |= makers
    outputs: dict[str, Value] = {}
    for name, value in zip(proto.output, node.outputs, strict=False):
        if not name:
            continue
        assert value is not None, f"{node.name}: no value stands for its output {name}"
        if value in makers and value not in outputs.values():
            value.name = name
            outputs[name] = value
        result.values[name], result.types[name] = value, type_proto(value.type)
    if node.layers:
        result.items.append(Item(proto, node.name, reads, outputs, node.layers))
