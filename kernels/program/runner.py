"""Run a compiled model in this process: for the compiler, benchmarks and tests."""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coexec.kernels._kernels import Constant, SegmentRun, Team, available_cores
from coexec.kernels.program.build import BuiltSegment, build_segment
from coexec.kernels.program.dtypes import numpy_dtype
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.onnx_layer import OnnxLayer
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.kernels.program.whole_model import WholeModel
from coexec.protos import program_pb2


@dataclass(frozen=True, slots=True)
class _Spec:
    """A tensor of the program, in NumPy's words. shape: -1 where any extent fits."""

    name: str
    dtype: np.dtype[Any] | None  # None: opaque
    shape: tuple[int, ...]

    def takes(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            want in (-1, got) for want, got in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _OnnxStage:
    layer: OnnxLayer
    index: int
    inputs: list[int]
    outputs: list[int]


@dataclass(frozen=True, slots=True)
class _NativeStage:
    built: BuiltSegment
    run: SegmentRun  # from arrays in order to arrays by index


_Stage = _NativeStage | _OnnxStage


class Runner:
    """A compiled model with its steps made. Not thread-safe."""

    def __init__(self, model: CompiledModel, threads: int = 1) -> None:
        """threads: cores that work on one layer, at most those this process may use.
        Raises UnsupportedLayerError or RunError when a layer cannot be made ready."""
        self._program = model.program
        self._team = Team(available_cores()[: max(1, threads)])
        self._constants: dict[bytes, Constant] = {}
        self._shapes: dict[int, tuple[int, ...]] = {}  # of the last inputs, which fit
        self._inputs = {i: _spec(model.program.tensors[i]) for i in model.program.inputs}
        self._outputs = {i: model.program.tensors[i].name for i in model.program.outputs}
        self._stages: list[_Stage] = []
        self._onnx_us: dict[int, float] = {}  # by stage, of the last run
        for backend, layers in _stages(model.program):
            if backend == ONNX_RUNTIME:
                self._stages += [self._onnx_stage(i) for i in layers]
            else:
                self._stages.append(self._native_stage(model, layers))
        self._native = self._native_model()
        self._whole = self._whole_model()

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

    @property
    def copied_bytes(self) -> dict[int, int]:
        """Layer index -> bytes of its inputs that its kernel first writes in another order."""
        return {
            layer: copied
            for stage in self._segments()
            for layer, copied in zip(stage.steps, stage.segment.copied_bytes, strict=True)
        }

    def products(self, threads: int) -> dict[int, list[int]]:
        """Layer index -> multiply-adds with stored weights by thread, where a kernel says so."""
        return {
            layer: products
            for stage in self._segments()
            for layer, products in zip(stage.steps, stage.segment.products(threads), strict=True)
            if products
        }

    @property
    def layer_us(self) -> dict[int, float]:
        """Layer index -> microseconds in the last run."""
        times: dict[int, float] = {}
        for at, stage in enumerate(self._stages):
            if isinstance(stage, _OnnxStage):
                times[stage.index] = self._whole.us if self._whole else self._onnx_us[at]
            else:
                run = self._native or stage.run
                times.update(zip(stage.built.steps, run.step_us, strict=True))
        return times

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays by input name -> arrays by output name. Opaque values pass as they are.

        Raises RunError when an input is missing, unknown, or of another dtype or shape.
        """
        if self._native is not None:
            return self._native.run(inputs) or self._run_native(self._native, inputs)
        if self._whole is not None:
            return self._whole.run(inputs) or self._run_whole(self._whole, inputs)
        values = self._bind(inputs)
        for at, stage in enumerate(self._stages):
            if isinstance(stage, _OnnxStage):
                start = time.perf_counter()
                results = stage.layer.run([values[i] for i in stage.inputs])
                self._onnx_us[at] = (time.perf_counter() - start) * 1e6
                values.update(zip(stage.outputs, results, strict=True))
            else:
                values.update(stage.run.run_arrays([values[i] for i in stage.built.inputs]))
        return {name: values[i] for i, name in self._outputs.items()}

    def _run_native(self, native: SegmentRun, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """When a run says that inputs are not just arrays that fit."""
        values = self._bind(inputs)
        return native.run_arrays([values[i] for i in self._segments()[0].inputs])

    def _run_whole(self, whole: WholeModel, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """When a run says that inputs are not like those of the last."""
        values = self._bind(inputs)
        arrays = {spec.name: values[i] for i, spec in self._inputs.items()}
        whole.bind(arrays)
        results = whole.run(arrays)
        assert results is not None
        return results

    def _segments(self) -> Sequence[BuiltSegment]:
        return [stage.built for stage in self._stages if isinstance(stage, _NativeStage)]

    def _constant(self, model: CompiledModel, tensor: int) -> Constant:
        proto = model.program.tensors[tensor]
        key = proto.digest + proto.type.layout.encode()
        if key not in self._constants:
            self._constants[key] = model.constant(tensor)
        return self._constants[key]

    def _onnx_stage(self, i: int) -> _OnnxStage:
        layer = self._program.layers[i]
        return _OnnxStage(OnnxLayer(layer), i, list(layer.inputs), list(layer.outputs))

    def _whole_model(self) -> WholeModel | None:
        """The layer that is all of the model, with its inputs and outputs as they are."""
        match self._stages:
            case [_OnnxStage(layer, _, inputs, outputs)]:
                same = inputs == list(self._inputs) and outputs == list(self._outputs)
                tensors = [self._program.tensors[i] for i in (*self._inputs, *self._outputs)]
                plain = all(t.type.dtype not in ("opaque", "string", "bf16") for t in tensors)
                names = [*layer.input_names, *layer.output_names]
                if same and plain and names == [tensor.name for tensor in tensors]:
                    return WholeModel(layer)
        return None

    def _native_stage(self, model: CompiledModel, layers: list[int]) -> _NativeStage:
        built = build_segment(model, layers, lambda t: self._constant(model, t))
        inputs = [(i, "") for i in built.inputs]
        return _NativeStage(built, self._segment_run(built, inputs, list(built.outputs)))

    def _native_model(self) -> SegmentRun | None:
        """The segment that is all of the model, from and to arrays by name."""
        match self._stages:
            case [_NativeStage(built)]:
                if set(built.inputs) == set(self._inputs) and built.outputs == list(self._outputs):
                    specs = [self._inputs[i] for i in built.inputs]
                    inputs = [(spec.name, _format(spec)) for spec in specs]
                    return self._segment_run(built, inputs, list(self._outputs.values()))
        return None

    def _segment_run(
        self, built: BuiltSegment, inputs: Sequence[tuple[Any, str]], outputs: Sequence[Any]
    ) -> SegmentRun:
        types = [self._program.tensors[i].type for i in built.outputs]
        makes = [functools.partial(np.empty, tuple(t.shape), numpy_dtype(t.dtype)) for t in types]
        return SegmentRun(
            built.segment, self._team, list(inputs), list(zip(outputs, makes, strict=True))
        )

    def _bind(self, inputs: Mapping[str, Any]) -> dict[int, Any]:
        values = {}
        for i, spec in self._inputs.items():
            try:
                given = inputs[spec.name]
            except KeyError:
                raise self._wrong_inputs(inputs) from None
            if spec.dtype is None:
                values[i] = given
                continue
            array = np.asarray(given, order="C")
            shape = array.shape
            known = shape == self._shapes.get(i)
            if array.dtype != spec.dtype or not (known or spec.takes(shape)):
                raise RunError(
                    f"input {spec.name!r}: {array.dtype}{list(shape)} given, "
                    f"{self._program.tensors[i].type.dtype}{list(spec.shape)} expected"
                )
            self._shapes[i], values[i] = shape, array
        if len(inputs) != len(values):
            raise self._wrong_inputs(inputs)
        return values

    def _wrong_inputs(self, inputs: Mapping[str, Any]) -> RunError:
        names = sorted(spec.name for spec in self._inputs.values())
        return RunError(f"inputs {sorted(inputs)} given, the model takes {names}")


def _spec(tensor: program_pb2.Tensor) -> _Spec:
    dtype = None if tensor.type.dtype == "opaque" else numpy_dtype(tensor.type.dtype)
    return _Spec(tensor.name, dtype, tuple(tensor.type.shape))


def _format(spec: _Spec) -> str:
    """How Python's buffers name the elements; "" where they cannot."""
    try:
        return np.empty(0, spec.dtype).data.format
    except ValueError:
        return ""


def _stages(program: program_pb2.Program) -> list[tuple[str, list[int]]]:
    """Runs of consecutive layers with the same backend."""
    stages: list[tuple[str, list[int]]] = []
    for i, layer in enumerate(program.layers):
        backend = ONNX_RUNTIME if layer.op == ONNX_RUNTIME else "native"
        if not stages or stages[-1][0] != backend:
            stages.append((backend, []))
        stages[-1][1].append(i)
    return stages
