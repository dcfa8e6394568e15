"""From the layer IR to the messages of a compiled model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from coexec.compiler.ir.graph import AttrValue, Graph, Layer, TensorType, Value
from coexec.compiler.ir.ops import BY_NAME, ONNX_RUNTIME
from coexec.compiler.tune.choice import Choice
from coexec.kernels.program.weights import StoredConstant
from coexec.protos import program_pb2

PRODUCER = "coexec 0.1.0"
_ABSENT = -1


def to_program(
    graph: Graph,
    source_sha256: bytes,
    options: Mapping[str, str],
    choices: Mapping[str, Choice] = MappingProxyType({}),
) -> tuple[program_pb2.Program, list[StoredConstant]]:
    """The program and its constants, each digest once. Every value's digest must be set.
    choices: what the tuner tried, by layer name."""
    table = _Tensors()
    program = program_pb2.Program(
        name=graph.name,
        producer=PRODUCER,
        source_sha256=source_sha256,
        inputs=[table.index(value) for value in graph.inputs],
        options=dict(options),
    )
    for layer in graph.layers:
        flops, traffic_bytes = cost(layer)
        message = program.layers.add(
            name=layer.name,
            op=layer.op,
            inputs=[table.index(value) for value in layer.inputs],
            outputs=[table.index(value) for value in layer.outputs],
            onnx_model=layer.onnx_model,
            why_not_native=layer.why_not_native,
            flops=flops,
            bytes=traffic_bytes,
        )
        for name, value in layer.attrs.items():
            _set(message.attrs[name], value)
        if layer.name in choices:
            message.choice.CopyFrom(_choice(choices[layer.name]))
    program.outputs.extend(table.index(value) for value in graph.outputs)
    program.tensors.extend(table.messages)
    return program, list(table.constants.values())


def cost(layer: Layer) -> tuple[int, int]:
    """flops and bytes of memory traffic of one run, stored weights only."""
    if layer.op == ONNX_RUNTIME:
        flops = layer.attrs.get("flops", 0)
        assert isinstance(flops, int)
        types = [v.type for v in (*layer.inputs, *layer.outputs) if v is not None]
        traffic = sum(t.nbytes for t in types if t.is_static and t.dtype != "opaque")
        return flops, traffic + len(layer.onnx_model)
    types_in: Sequence[TensorType | None] = [v.type if v else None for v in layer.inputs]
    result = BY_NAME[layer.op].cost_of(types_in, layer.attrs, density(layer))
    return result.flops, result.bytes


def density(layer: Layer) -> float:
    """The share of its weights' elements that is stored: all of them where they are dense."""
    sparse = [v for v in layer.inputs if v is not None and v.type.layout != "dense"]
    elements = sum(value.type.elements for value in sparse)
    if not elements:
        return 1.0
    stored = sum(np.count_nonzero(v.constant) for v in sparse if v.constant is not None)
    return float(stored) / elements


def _choice(choice: Choice) -> program_pb2.Choice:
    candidates = [
        program_pb2.Candidate(name=c.name, work=c.work, measured_us=c.measured_us, note=c.note)
        for c in choice.candidates
    ]
    return program_pb2.Choice(candidates=candidates, taken=choice.taken, mode=choice.mode)


class _Tensors:
    """The program's tensors in order of first use."""

    def __init__(self) -> None:
        self.messages: list[program_pb2.Tensor] = []
        self.constants: dict[tuple[bytes, str], StoredConstant] = {}
        self._index: dict[int, int] = {}

    def index(self, value: Value | None) -> int:
        if value is None:
            return _ABSENT
        if id(value) not in self._index:
            self._index[id(value)] = len(self.messages)
            self._add(value)
        return self._index[id(value)]

    def _add(self, value: Value) -> None:
        type = value.type
        self.messages.append(
            program_pb2.Tensor(
                name=value.name,
                type=program_pb2.TensorType(dtype=type.dtype, shape=type.shape, layout=type.layout),
                digest=value.digest,
                constant=value.constant is not None,
            )
        )
        if value.constant is not None:
            stored = StoredConstant(value.digest, type.dtype, type.layout, value.constant)
            self.constants.setdefault((value.digest, type.layout), stored)


def _set(message: program_pb2.Attr, value: AttrValue) -> None:
    if isinstance(value, str):
        message.s = value
    elif isinstance(value, int):
        message.i = value
    elif isinstance(value, float):
        message.f = value
    elif all(isinstance(item, int) for item in value):
        message.ints.values.extend(int(item) for item in value)
        message.ints.SetInParent()
    else:
        message.floats.values.extend(float(item) for item in value)
