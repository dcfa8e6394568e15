"""An ONNX file from an untrusted hand: parsed, checked, with its external data inside."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from coexec.compiler.errors import CompileError
from coexec.compiler.signature import ELEMENTS_MAX

# Protobuf cannot hold a larger message, and ONNX Runtime takes its models as one.
MODEL_BYTES_MAX = 2**31 - 1


@dataclass(slots=True)
class Source:
    """A model as read. model_error holds what ONNX's checker says against it, or "": such a
    model may still be one that ONNX Runtime takes."""

    path: Path
    model: onnx.ModelProto
    sha256: bytes  # of the file, then of each external data file in order of first use
    model_error: str


def read_model(path: Path) -> Source:
    """Raises CompileError for a file that is no ONNX model, is too large, declares impossible
    dimensions, or keeps weights outside its own folder."""
    data = _read_file(path)
    try:
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise CompileError(
            f"{path}: not an ONNX model, or a truncated one ({error}); export it again"
        ) from None
    if not model.graph.node and not model.graph.output:
        raise CompileError(f"{path}: not an ONNX model, or one without a graph")
    _check_names(path, model)
    sha = hashlib.sha256(data)
    _check_dims(path, model)
    _load_external_data(path, model, sha)
    return Source(path, model, sha.digest(), _checker_error(model))


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every graph nested in its nodes."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        yield current
        for node in current.node:
            waiting.extend(_nested(node))


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor the model stores, at any depth."""
    nodes = [node for function in model.functions for node in function.node]
    waiting = [model.graph]
    while waiting or nodes:
        if waiting:
            graph = waiting.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield sparse.values
                yield sparse.indices
            nodes.extend(graph.node)
        while nodes:
            node = nodes.pop()
            for attribute in node.attribute:
                yield from _attribute_tensors(attribute)
            waiting.extend(_nested(node))


def _nested(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _attribute_tensors(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for tensor in (*sparse, *attribute.sparse_tensors):
        yield tensor.values
        yield tensor.indices


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise CompileError(f"{path}: not a file; give the path of an .onnx file")
        if size > MODEL_BYTES_MAX:
            raise CompileError(
                f"{path}: {size} bytes, at most {MODEL_BYTES_MAX} are read; "
                "store the weights as external data beside the model"
            )
        return path.read_bytes()
    except OSError as error:
        raise CompileError(f"{path}: cannot be read: {error.strerror}") from None


def _check_names(path: Path, model: onnx.ModelProto) -> None:
    """Protobuf hands over a text that is not UTF-8 as bytes; names must all be texts."""
    for graph in graphs_of(model.graph):
        names = [info.name for info in (*graph.input, *graph.output)]
        names += [tensor.name for tensor in graph.initializer]
        for node in graph.node:
            names += [node.name, node.op_type, node.domain, *node.input, *node.output]
            names += [attribute.name for attribute in node.attribute]
        for name in names:
            if not isinstance(name, str):
                raise CompileError(
                    f"{path}: the name {name!r} is not UTF-8; the file is damaged, or its "
                    "exporter is"
                )


def _check_dims(path: Path, model: onnx.ModelProto) -> None:
    for tensor in tensors_of(model):
        _check_shape(path, tensor.name or "a constant", tensor.dims)
    for graph in graphs_of(model.graph):
        for info in (*graph.input, *graph.output, *graph.value_info):
            dims = info.type.tensor_type.shape.dim
            _check_shape(path, info.name, [d.dim_value for d in dims if d.dim_value])


def _check_shape(path: Path, tensor_name: str, dims: object) -> None:
    sizes = list(dims)  # type: ignore[call-overload]
    if any(dim < 0 for dim in sizes) or math.prod(sizes) > ELEMENTS_MAX:
        raise CompileError(
            f"{path}: tensor {tensor_name} declares dimensions {sizes}; each must be at "
            f"least 0 and their product at most {ELEMENTS_MAX}"
        )


def _load_external_data(path: Path, model: onnx.ModelProto, sha: hashlib._Hash) -> None:
    total = 0
    hashed: set[Path] = set()
    for tensor in tensors_of(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        fields = {entry.key: entry.value for entry in tensor.external_data}
        file = _external_file(path, tensor.name, fields.get("location", ""))
        data = _external_bytes(path, file, tensor, fields)
        total += len(data)
        if total > MODEL_BYTES_MAX:
            raise CompileError(f"{path}: more than {MODEL_BYTES_MAX} bytes of external data")
        if file not in hashed:
            hashed.add(file)
            with file.open("rb") as stream:
                sha.update(hashlib.file_digest(stream, "sha256").digest())
        tensor.raw_data = data
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def _external_file(path: Path, tensor_name: str, location: str) -> Path:
    """The file of an external tensor: inside the model's folder, links followed."""
    problem = ""
    file = folder = path.resolve().parent
    try:
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            problem = "leaves the model's folder"
        elif not file.is_file():
            problem = "does not exist"
    except (OSError, ValueError) as error:
        problem = f"is no file name ({error})"
    if problem:
        raise CompileError(
            f"{path}: tensor {tensor_name} keeps its data in {location!r}, which {problem}; "
            "external data must be a file in the model's own folder, and no link out of it"
        )
    return file


def _external_bytes(
    path: Path, file: Path, tensor: onnx.TensorProto, fields: dict[str, str]
) -> bytes:
    item_bits = _ITEM_BITS.get(tensor.data_type, 0)
    needed = (math.prod(tensor.dims) * item_bits + 7) // 8
    size = file.stat().st_size
    try:
        offset = int(fields.get("offset", "0"))
        length = int(fields.get("length", str(needed)))
    except ValueError:
        offset, length = -1, -1
    if not item_bits or length != needed or offset < 0 or offset + length > size:
        raise CompileError(
            f"{path}: tensor {tensor.name} of {needed} bytes cannot lie at offset "
            f"{fields.get('offset', '0')}, length {fields.get('length', 'not given')} of "
            f"{file.name}, which holds {size} bytes"
        )
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _item_bits() -> dict[int, int]:
    bits: dict[int, int] = {}
    for name, number in onnx.TensorProto.DataType.items():
        if name in ("UNDEFINED", "STRING"):
            continue
        packed = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
        dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
        bits[number] = packed.get(name, dtype.itemsize * 8)
    return bits


_ITEM_BITS = _item_bits()


def _checker_error(model: onnx.ModelProto) -> str:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError, RecursionError) as error:
        return " ".join(str(error).split())[:500] or "ONNX's checker refuses it"
    return ""
