"""Run a compiled model in this process: for the compiler, benchmarks and tests."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coexec.kernels._kernels import Constant, Team, available_cores
from coexec.kernels.program.build import BuiltSegment, build_segment
from coexec.kernels.program.dtypes import numpy_dtype
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.onnx_layer import OnnxLayer
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.protos import program_pb2


@dataclass(frozen=True, slots=True)
class _OnnxStage:
    layer: OnnxLayer
    index: int
    inputs: list[int]
    outputs: list[int]


class Runner:
    """A compiled model with its steps made. Not thread-safe."""

    def __init__(self, model: CompiledModel, threads: int = 1) -> None:
        """threads: cores that work on one layer, at most those this process may use.
        Raises UnsupportedLayerError or RunError when a layer cannot be made ready."""
        self._program = model.program
        self._team = Team(available_cores()[: max(1, threads)])
        self._constants: dict[bytes, Constant] = {}
        self._stages: list[BuiltSegment | _OnnxStage] = []
        self.layer_us: dict[int, float] = {}  # microseconds of each layer in the last run
        for backend, layers in _stages(model.program):
            if backend == ONNX_RUNTIME:
                self._stages += [self._onnx_stage(i) for i in layers]
            else:
                self._stages.append(
                    build_segment(model, layers, lambda t: self._constant(model, t))
                )

    @property
    def arena_bytes(self) -> int:
        """The largest workspace among the segments: what one execution needs."""
        return max((s.segment.arena_bytes for s in self._segments()), default=0)

    @property
    def kernels(self) -> dict[int, str]:
        """Layer index -> the kernel that runs it, native layers only."""
        return {
            layer: name
            for stage in self._segments()
            for layer, name in zip(stage.steps, stage.segment.kernels, strict=True)
        }

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays by input name -> arrays by output name. Opaque values pass as they are.

        Raises RunError when an input is missing, unknown, or of another dtype or shape.
        """
        values = self._bind(inputs)
        for stage in self._stages:
            if isinstance(stage, _OnnxStage):
                start = time.perf_counter()
                results = stage.layer.run([values[i] for i in stage.inputs])
                self.layer_us[stage.index] = (time.perf_counter() - start) * 1e6
                values.update(zip(stage.outputs, results, strict=True))
            else:
                self._run_segment(stage, values)
        tensors = self._program.tensors
        return {tensors[i].name: values[i] for i in self._program.outputs}

    def _run_segment(self, stage: BuiltSegment, values: dict[int, Any]) -> None:
        made = [self._empty(i) for i in stage.outputs]
        step_us = stage.segment.run(
            [_flat(values[i]) for i in stage.inputs], [_flat(a) for a in made], self._team
        )
        self.layer_us.update(zip(stage.steps, step_us, strict=True))
        values.update(zip(stage.outputs, made, strict=True))

    def _segments(self) -> Sequence[BuiltSegment]:
        return [stage for stage in self._stages if isinstance(stage, BuiltSegment)]

    def _constant(self, model: CompiledModel, tensor: int) -> Constant:
        proto = model.program.tensors[tensor]
        key = proto.digest + proto.type.layout.encode()
        if key not in self._constants:
            self._constants[key] = model.constant(tensor)
        return self._constants[key]

    def _onnx_stage(self, i: int) -> _OnnxStage:
        layer = self._program.layers[i]
        return _OnnxStage(OnnxLayer(layer), i, list(layer.inputs), list(layer.outputs))

    def _empty(self, tensor: int) -> Any:
        kind = self._program.tensors[tensor].type
        return np.empty(tuple(kind.shape), numpy_dtype(kind.dtype))

    def _bind(self, inputs: Mapping[str, Any]) -> dict[int, Any]:
        tensors = self._program.tensors
        names = [tensors[i].name for i in self._program.inputs]
        if set(inputs) != set(names):
            raise RunError(f"inputs {sorted(inputs)} given, the model takes {sorted(names)}")
        values = {}
        for i, name in zip(self._program.inputs, names, strict=True):
            kind = tensors[i].type
            if kind.dtype == "opaque":
                values[i] = inputs[name]
                continue
            array = np.asarray(inputs[name])
            fits = len(kind.shape) == array.ndim and all(
                want in (-1, got) for want, got in zip(kind.shape, array.shape, strict=True)
            )
            if array.dtype != numpy_dtype(kind.dtype) or not fits:
                raise RunError(
                    f"input {name!r}: {array.dtype}{list(array.shape)} given, "
                    f"{kind.dtype}{list(kind.shape)} expected"
                )
            values[i] = np.ascontiguousarray(array).reshape(array.shape)
        return values


def _stages(program: program_pb2.Program) -> list[tuple[str, list[int]]]:
    """Runs of consecutive layers with the same backend."""
    stages: list[tuple[str, list[int]]] = []
    for i, layer in enumerate(program.layers):
        backend = ONNX_RUNTIME if layer.op == ONNX_RUNTIME else "native"
        if not stages or stages[-1][0] != backend:
            stages.append((backend, []))
        stages[-1][1].append(i)
    return stages


def _flat(array: Any) -> Any:
    return array.reshape(-1).view(np.uint8)
