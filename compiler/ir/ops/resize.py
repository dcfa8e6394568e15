"""x[N, C, *S] at another spatial size, by nearest or linear interpolation.

Source coordinates are computed in f32, in ONNX's formulas, so that nearest picks the same
element whoever computes it. A layer made from target sizes carries scales = out / in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from coexec.compiler.ir.graph import AttrValue, TensorType
from coexec.compiler.ir.op import (
    NUMERIC,
    SUM_ATOL,
    SUM_RTOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    traffic,
)

_F = np.float32


def _align_corners(at: Array, _scale: float, size: int, result: int) -> Array:
    return at * _F(size - 1) / _F(result - 1) if result > 1 else np.zeros_like(at)


def _pytorch_half_pixel(at: Array, scale: float, _size: int, result: int) -> Array:
    return (at + _F(0.5)) / _F(scale) - _F(0.5) if result > 1 else np.zeros_like(at)


def _half_pixel_symmetric(at: Array, scale: float, size: int, result: int) -> Array:
    adjustment = _F(result) / (_F(scale) * _F(size))
    offset = _F(size / 2) * (_F(1) - adjustment)
    # This one alone goes through double: ONNX Runtime rounds it once.
    source = offset + (at + 0.5) / np.float64(_F(scale)) - 0.5
    return source.astype(_F)


_Coordinates = Callable[[Array, float, int, int], Array]
_COORDINATES: dict[str, _Coordinates] = {
    "half_pixel": lambda at, scale, _size, _result: (at + _F(0.5)) / _F(scale) - _F(0.5),
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda at, scale, _size, _result: at / _F(scale),
}
_NEAREST: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - _F(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + _F(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _resized(size: int, scale: float) -> int:
    # A scale that came from out / in may fall short of the whole number by a rounding.
    return math.floor(size * scale * (1 + 1e-7) + 1e-7)


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    scales = attrs.floats("scales")
    for name, table in (
        ("mode", ("nearest", "linear")),
        ("coordinate_transformation_mode", tuple(_COORDINATES)),
        ("nearest_mode", tuple(_NEAREST)),
    ):
        value = attrs.s(name)
        require(value in table, f"Resize: {name} must be one of {', '.join(table)}, got {value!r}")
    require(x.dtype in NUMERIC, f"Resize: x must be numeric, got {x.dtype}")
    require(
        len(scales) == len(x.shape) and all(s > 0 for s in scales),
        f"Resize: scales must be {len(x.shape)} positive numbers, got {scales}",
    )
    require(all(s == 1.0 for s in scales[:2]), f"Resize: only spatial dims may scale, got {scales}")
    return [TensorType(x.dtype, tuple(map(_resized, x.shape, scales)))]


def _resize_axis(x: Array, axis: int, scale: float, attrs: Attrs) -> Array:
    size, result = x.shape[axis], _resized(x.shape[axis], scale)
    transform = _COORDINATES[attrs.s("coordinate_transformation_mode")]
    at = transform(np.arange(result, dtype=_F), scale, size, result)
    if attrs.s("mode") == "nearest":
        nearest = _NEAREST[attrs.s("nearest_mode")](at).astype(np.int64)
        return np.take(x, np.clip(nearest, 0, size - 1), axis=axis)
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    weight = (at - low).astype(np.float64).reshape([-1, *[1] * (x.ndim - axis - 1)])
    high = np.minimum(low + 1, size - 1)
    below, above = np.take(x, low, axis=axis), np.take(x, high, axis=axis)
    return np.asarray(below * (1.0 - weight) + above * weight)


def reference(x: Array, attrs: Attrs) -> list[Array]:
    y = x if attrs.s("mode") == "nearest" else x.astype(np.float64)
    for axis, scale in enumerate(attrs.floats("scales")):
        if axis >= 2 and scale != 1.0:
            y = _resize_axis(y, axis, scale, attrs)
    return [y.astype(x.dtype)]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    y = infer(x, attrs)[0]
    taps = 1 if attrs.s("mode") == "nearest" else 2 ** (len(x.shape) - 2)
    return Cost(flops=2 * y.elements * (taps if taps > 1 else 0), bytes=traffic(x, y))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    shapes: list[tuple[tuple[int, ...], list[float]]] = [
        ((1, 2, 4, 5), [1.0, 1.0, 2.0, 2.0]), ((1, 3, 5, 4), [1.0, 1.0, 0.6, 1.5]),
        ((2, 1, 7, 6), [1.0, 1.0, 0.5, 0.5]), ((1, 2, 9), [1.0, 1.0, 2.5]),
        ((1, 2, 3, 3), [1.0, 1.0, 3.0, 1.0]), ((1, 2, 7, 10), [1.0, 1.0, 3 / 7, 0.3]),
    ]  # fmt: skip
    for shape, scales in shapes:
        x = rng.normal(0, 1, shape).astype(np.float32)
        for transform in _COORDINATES:
            attrs: dict[str, AttrValue] = {
                "coordinate_transformation_mode": transform,
                "nearest_mode": "round_prefer_floor",
                "scales": list(scales),
            }
            yield [x], {**attrs, "mode": "linear"}
            for nearest in _NEAREST:
                yield [x], {**attrs, "mode": "nearest", "nearest_mode": nearest}


OPS = [
    Op(
        name="Resize",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={
            "mode": "s",
            "coordinate_transformation_mode": "s",
            "nearest_mode": "s",
            "scales": "fs",
        },
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
