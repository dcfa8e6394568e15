"""A compiled model in words and numbers: what each layer is, who runs it, what it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.kernels.program.dtypes import numpy_dtype
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.runner import Runner
from coexec.protos import program_pb2

_ROUNDS_MIN, _ROUNDS_MAX = 5, 50
_PROFILE_S = 0.2
# The first runs of an ONNX Runtime session still allocate: they can take twice as long.
_WARMUP = 3
_COPIED_BYTES = 1 << 18
_COPIES = 25


@dataclass(slots=True)
class LayerDescription:
    """One layer. shape and dtype: of its first output. density: stored share of its weights.
    measured_us: median of a short profile on one thread, 0 when it was not measured.
    copied_bytes: of its input, which its kernel first writes in an order of its own, and copied_us:
    what that takes at least, as part of measured_us."""

    op: str
    name: str
    shape: list[int]
    dtype: str
    layout: str
    density: float
    kernel: str
    flops: int
    measured_us: float
    native: bool
    why_not_native: str
    copied_bytes: int = 0
    copied_us: float = 0.0


@dataclass(slots=True)
class Description:
    name: str
    layers: list[LayerDescription] = field(default_factory=list)
    native_flops_share: float = 0.0
    flops: int = 0
    arena_bytes: int = 0
    constants_bytes: int = 0


def describe(model: CompiledModel) -> Description:
    """Runs the model a few times on generated inputs for the layers' times. Raises
    UnsupportedLayerError or RunError when it cannot be made ready on this machine."""
    runner = Runner(model)
    times = _profile(runner, model.program)
    program = model.program
    kernels, copied, bytes_per_us = runner.kernels, runner.copied_bytes, _copying_bytes_per_us()
    layers = [
        _layer(model, i, kernels.get(i, ""), times.get(i, 0.0)) for i in range(len(program.layers))
    ]
    for i, layer in enumerate(layers):
        layer.copied_bytes = copied.get(i, 0)
        layer.copied_us = layer.copied_bytes / bytes_per_us
    flops = sum(layer.flops for layer in layers)
    native = sum(layer.flops for layer in layers if layer.native)
    stored = {(t.digest, t.type.layout or "dense") for t in program.tensors if t.constant}
    return Description(
        program.name,
        layers,
        native / flops if flops else float(all(layer.native for layer in layers)),
        flops,
        runner.arena_bytes,
        sum(model.weights.stored_bytes(digest, layout) for digest, layout in stored),
    )


def random_inputs(program: program_pb2.Program, seed: int = 0) -> dict[str, Any]:
    """Standard normal numbers for floats, zeros for the rest; a dynamic dim is 1. Raises
    RunError for an input that is no tensor."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {}
    for i in program.inputs:
        tensor = program.tensors[i]
        if tensor.type.dtype == "opaque":
            raise RunError(f"input {tensor.name!r} is no tensor; there is no example of one")
        dtype = numpy_dtype(tensor.type.dtype)
        shape = tuple(dim if dim >= 0 else 1 for dim in tensor.type.shape)
        if dtype.kind == "f":
            made[tensor.name] = rng.standard_normal(shape).astype(dtype)
        else:
            made[tensor.name] = np.full(shape, "") if dtype.kind == "O" else np.zeros(shape, dtype)
    return made


def _profile(runner: Runner, program: program_pb2.Program) -> Mapping[int, float]:
    """Layer -> median microseconds; empty when the model does not take generated inputs."""
    times: dict[int, list[float]] = {}
    try:
        inputs = random_inputs(program)
        for _ in range(_WARMUP):
            runner.run(inputs)
        start = time.perf_counter()
        for done in range(_ROUNDS_MAX):
            if done >= _ROUNDS_MIN and time.perf_counter() - start > _PROFILE_S:
                break
            runner.run(inputs)
            for layer, microseconds in runner.layer_us.items():
                times.setdefault(layer, []).append(microseconds)
    except RunError:
        return {}
    return {layer: statistics.median(values) for layer, values in times.items()}


def _copying_bytes_per_us() -> float:
    """From cache to cache, by vectors: memmove is many times slower where two addresses are near
    modulo a page (Zen 3)."""
    source = np.ones(_COPIED_BYTES // 4, np.float32)
    target = np.zeros_like(source)
    us = []
    for _ in range(_COPIES):
        start = time.perf_counter()
        np.negative(source, out=target)
        us.append((time.perf_counter() - start) * 1e6)
    return _COPIED_BYTES / max(min(us), 1e-3)  # the least: what else runs only slows a copy


def _layer(model: CompiledModel, i: int, kernel: str, measured_us: float) -> LayerDescription:
    program = model.program
    layer = program.layers[i]
    result = next((program.tensors[t].type for t in layer.outputs if t >= 0), None)
    layout, density = _weights(model, layer)
    native = layer.op != ONNX_RUNTIME
    return LayerDescription(
        layer.op,
        layer.name,
        list(result.shape) if result is not None else [],
        result.dtype if result is not None else "",
        layout,
        density,
        kernel or ("" if not native else "in place"),
        layer.flops,
        measured_us,
        native,
        layer.why_not_native,
    )


def _weights(model: CompiledModel, layer: program_pb2.Layer) -> tuple[str, float]:
    """The layout of the layer's sparse weights and the share of their elements stored."""
    for t in layer.inputs:
        tensor = model.program.tensors[t] if t >= 0 else None
        if tensor is not None and tensor.constant and tensor.type.layout not in ("", "dense"):
            nbytes = model.type_of(t).nbytes
            mask_bytes = (nbytes // numpy_dtype(tensor.type.dtype).itemsize + 7) // 8
            stored = model.weights.stored_bytes(tensor.digest, tensor.type.layout) - mask_bytes
            return tensor.type.layout, stored / nbytes if nbytes else 1.0
    return "dense", 1.0
