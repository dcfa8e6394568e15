"""One layer on generated operands, ready to run in each of its layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from coexec.compiler.ir import Array, Layer, TensorType, Value
from coexec.compiler.ir.graph import np_dtype
from coexec.compiler.native import Kernels
from coexec.kernels import _kernels
from coexec.kernels._kernels import Operand, Place, Segment, SegmentStep, Team, available_cores
from coexec.kernels._kernels import TensorType as KernelType

# Results of two layouts may differ by the order of their sums, relative to the largest element.
TOLERANCE = 1e-4
# Where the machine multiplies bf16, some kernels of bf16 weights round the other factor to bf16,
# which moves it by 2^-9 at most, and others widen the weights. Sums that cancel leave more of it.
_BF16_TOLERANCE = 2**-6
_SCALE_MIN = 1e-3  # below it are what saturated functions leave, at the edge of f32's precision


class Trial:
    """The operands that no constant gives, and what each way of running made of them."""

    def __init__(self, layer: Layer) -> None:
        rng = np.random.default_rng(0)
        self._computed = list(
            dict.fromkeys(v for v in layer.inputs if v is not None and v.constant is None)
        )
        self._arrays = [generated(v.type, rng) for v in self._computed]
        self._results = [v for v in layer.outputs if v is not None]
        self._team = Team(available_cores()[:1])

    def native(self, layer: Layer) -> tuple[Callable[[], object], list[Array]]:
        """The layer as one step, and the arrays it fills. `layer` has the operands this trial
        was made for, its constants in any layout. Raises ValueError when no kernel takes it."""
        kernels = Kernels()
        constants = list(
            dict.fromkeys(v for v in layer.inputs if v is not None and v.constant is not None)
        )
        segment = Segment(
            [_kernel_type(v) for v in self._computed],
            [_kernel_type(v) for v in self._results],
            [kernels.constant(v) for v in constants],
            [
                SegmentStep(
                    layer.name,
                    kernels.step(layer),
                    [self._operand(v, constants) for v in layer.inputs],
                    [
                        Operand(Place.OUTPUT, self._results.index(v)) if v else _NONE
                        for v in layer.outputs
                    ],
                )
            ],
            0,
        )
        made = [np.empty(v.type.shape, np_dtype(v.type.dtype)) for v in self._results]
        return lambda: segment.run(self._arrays, made, self._team), made

    def _operand(self, value: Value | None, constants: list[Value]) -> Operand:
        if value is None:
            return _NONE
        if value.constant is None:
            return Operand(Place.INPUT, self._computed.index(value))
        return Operand(Place.CONSTANT, constants.index(value))


_NONE = Operand(Place.NONE)


def generated(type: TensorType, rng: np.random.Generator) -> Array:
    """Standard normal numbers for floats, zeros for the rest."""
    dtype = np_dtype(type.dtype)
    if dtype.kind in "fV":
        return rng.standard_normal(type.shape).astype(dtype)
    return np.zeros(type.shape, dtype)


def disagreement(got: list[Any], want: list[Any], tolerance: float = TOLERANCE) -> str:
    """In which way the results differ by more than the order of sums explains; "" when not."""
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"result {i} is {a.dtype}{list(a.shape)}, expected {b.dtype}{list(b.shape)}"
        if a.dtype.kind != "f" or not a.size:
            if not np.array_equal(a, b):
                return f"result {i} differs"
            continue
        scale = max(float(np.abs(b).max()), _SCALE_MIN)
        error = float(np.abs(a.astype(np.float64) - b).max())
        if not error <= tolerance * scale:  # NaN differs too
            return f"result {i} differs by {error:.1e}, of {scale:.1e}"
    return ""


def tolerance(layer: Layer) -> float:
    """How far its results may differ between two layouts of its weights."""
    narrow = any(v is not None and v.type.dtype == "bf16" for v in layer.inputs)
    multiplied = narrow and _kernels.host_isa() in ("bf16", "amx")
    return _BF16_TOLERANCE if multiplied else TOLERANCE


def _kernel_type(value: Value) -> KernelType:
    return KernelType(value.type.dtype, list(value.type.shape), value.type.layout)
