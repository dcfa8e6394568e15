"""What the planner knows of a program: digests, costs, sizes. Plain data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from coexec.kernels.program.dtypes import numpy_dtype
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.protos import program_pb2

# A first guess where the compiler has not measured: one core's plain arithmetic and memory.
_FLOPS_PER_US = 8000.0
_BYTES_PER_US = 8000.0


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """A layer. Equal keys in two programs mean that both compute the same values."""

    key: bytes
    name: str
    native: bool
    cost_us: float
    inputs: tuple[bytes, ...]  # digests of the values it reads, constants apart
    outputs: tuple[bytes, ...]
    output_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """A program. Layers stand in an order that runs; no key appears twice."""

    id: int
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    layers: tuple[LayerFacts, ...]


def merge_equal_layers(program: program_pb2.Program) -> None:
    """Remove, in place, every layer that computes what an earlier one does already."""
    first: dict[tuple[bytes, ...], list[int]] = {}
    renamed: dict[int, int] = {}
    kept = []
    for layer in program.layers:
        layer.inputs[:] = [renamed.get(tensor, tensor) for tensor in layer.inputs]
        digests = tuple(program.tensors[i].digest if i != -1 else b"" for i in layer.outputs)
        known = any(digests) and all(
            digest or i == -1 for digest, i in zip(digests, layer.outputs, strict=True)
        )
        earlier = first.get(digests) if known else None
        if earlier is None:
            first[digests] = list(layer.outputs)
            kept.append(layer)
        else:
            renamed.update(zip(layer.outputs, earlier, strict=True))
    renamed.pop(-1, None)
    layers = [program_pb2.Layer.FromString(layer.SerializeToString()) for layer in kept]
    del program.layers[:]
    program.layers.extend(layers)
    program.outputs[:] = [renamed.get(tensor, tensor) for tensor in program.outputs]


def value_digests(program_id: int, program: program_pb2.Program) -> list[bytes]:
    """The digest of every tensor; one without gets a name that no other program has."""
    return [
        tensor.digest or f"{program_id}:{i}".encode() for i, tensor in enumerate(program.tensors)
    ]


def facts_of(program_id: int, program: program_pb2.Program) -> ProgramFacts:
    """What the planner needs of a program without equal layers."""
    digests = value_digests(program_id, program)

    def of(tensors: Iterable[int]) -> tuple[bytes, ...]:
        return tuple(digests[i] for i in tensors if i != -1 and not program.tensors[i].constant)

    layers = tuple(
        LayerFacts(
            key=_key(of(layer.outputs)),
            name=layer.name,
            native=layer.op != ONNX_RUNTIME,
            cost_us=expected_us(layer),
            inputs=of(layer.inputs),
            outputs=of(layer.outputs),
            output_bytes=tuple(_nbytes(program.tensors[i].type) for i in layer.outputs if i != -1),
        )
        for layer in program.layers
    )
    return ProgramFacts(program_id, of(program.inputs), of(program.outputs), layers)


def expected_us(layer: program_pb2.Layer) -> float:
    """What the compiler says a layer costs on one core, in microseconds."""
    if layer.measured_us > 0:
        return layer.measured_us
    return 1.0 + max(layer.flops / _FLOPS_PER_US, layer.bytes / _BYTES_PER_US)


def _key(outputs: tuple[bytes, ...]) -> bytes:
    return hashlib.blake2b(b"".join(outputs), digest_size=16).digest()


def _nbytes(kind: program_pb2.TensorType) -> int:
    if kind.dtype in ("opaque", "string"):
        return 0
    return int(numpy_dtype(kind.dtype).itemsize * math.prod(max(dim, 1) for dim in kind.shape))
