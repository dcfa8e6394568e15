"""Gives every value its digest: what it is, never what it is called.

    constant      dtype, shape, bytes; the layout apart, so equal weights meet however stored
    graph input   dtype, shape, position
    computed      op, attributes, the operands' digests and layouts, which result

So equal prefixes of models that were exported apart, with inputs of equal type, have equal
digests. The layout of a weight counts in what is computed from it: kernels of different layouts
add in different orders."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import numpy as np
import onnx

from coexec.compiler.ir import AttrValue, Graph, Layer, TensorType, Value
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.passes.rewrite import PassReport

_DIGEST_BYTES = 32


def _hash(*parts: bytes) -> bytes:
    """Each part is preceded by its length, so parts cannot run into each other."""
    state = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        state.update(struct.pack("<q", len(part)))
        state.update(part)
    return state.digest()


def _type_bytes(type_: TensorType) -> bytes:
    return f"{type_.dtype}{list(type_.shape)}".encode()


def constant_digest(value: Value) -> bytes:
    """Of a constant's dtype, shape and row-major bytes."""
    assert value.constant is not None
    if value.constant.dtype == object:  # strings: their bytes are pointers
        data = _hash(*(str(item).encode() for item in value.constant.ravel()))
    else:
        data = np.ascontiguousarray(value.constant).tobytes()
    return _hash(b"constant", _type_bytes(value.type), data)


def _attr_bytes(value: AttrValue) -> bytes:
    if isinstance(value, list):
        return b"[" + _hash(*map(_attr_bytes, value)) + b"]"
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    return f"{type(value).__name__}{value}".encode()


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Every value in the graph and in graphs inside it gets a name by order of appearance."""

    def renamed(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}") if name else ""

    graph.name = ""
    for tensor in graph.initializer:
        tensor.name, tensor.doc_string = renamed(tensor.name), ""
    for info in (*graph.input, *graph.output, *graph.value_info):
        info.name, info.doc_string = renamed(info.name), ""
    for node in graph.node:
        node.name, node.doc_string = "", ""
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename(inner, names)


def _foreign_bytes(onnx_model: bytes) -> bytes:
    """The model without names, comments and producer."""
    model = onnx.load_model_from_string(onnx_model)
    del model.graph.value_info[:]
    _rename(model.graph, {})
    bare = onnx.ModelProto(ir_version=model.ir_version, graph=model.graph)
    bare.opset_import.extend(sorted(model.opset_import, key=lambda o: (o.domain, o.version)))
    bare.functions.extend(model.functions)
    return bare.SerializeToString(deterministic=True)


def _operand_parts(layer: Layer) -> Iterator[bytes]:
    for value in layer.inputs:
        yield b"absent" if value is None else value.digest + value.type.layout.encode()


def _layer_digest(layer: Layer) -> bytes:
    attrs = [
        part for k in sorted(layer.attrs) for part in (k.encode(), _attr_bytes(layer.attrs[k]))
    ]
    foreign = _foreign_bytes(layer.onnx_model) if layer.op == ONNX_RUNTIME else b""
    return _hash(layer.op.encode(), _hash(*attrs), _hash(*_operand_parts(layer)), foreign)


def run(graph: Graph) -> PassReport:
    report = PassReport("digest")
    hashed: set[Value] = set()  # weights are large, and some have several readers
    for position, value in enumerate(graph.inputs):
        value.digest = _hash(b"input", _type_bytes(value.type), str(position).encode())
    for layer in graph.layers:
        for operand in layer.inputs:
            if operand is not None and operand.constant is not None and operand not in hashed:
                hashed.add(operand)
                operand.digest = constant_digest(operand)
        of_layer = _layer_digest(layer)
        for index, result in enumerate(layer.outputs):
            if result is not None:
                result.digest = _hash(of_layer, str(index).encode())
    for value in graph.outputs:
        if value.constant is not None:
            value.digest = constant_digest(value)
    report.done.append(f"{len(graph.layers)} layers")
    return report
