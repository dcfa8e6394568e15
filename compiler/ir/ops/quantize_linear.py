"""QuantizeLinear: y = clip(rint(x / scale) + zero) in zero's dtype, ties to even; NaN becomes the
least. DequantizeLinear: y = (x - zero) * scale. scale and zero have no dims, or are [C] for the dim
`axis` of x."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    EXACT,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    elementwise_cost,
    require,
    require_axis,
)

_STORED = ("u8", "i8")
# What makes a zero point of each type one of uint8.
SHIFT = {"u8": 0, "i8": 128}
_SUMS = ("i32",)  # only dequantized, as biases are
_FLOPS = 4


def _check(op: str, x: TensorType, scale: TensorType, zero: TensorType, attrs: Attrs) -> None:
    require(scale.dtype == "f32", f"{op}: scale must be f32, got {scale.dtype}")
    require(scale.shape == zero.shape, f"{op}: scale is {scale.shape}, zero {zero.shape}")
    if not scale.shape:
        return
    axis = attrs.i("axis")
    require_axis(op, axis, len(x.shape))
    channels = x.shape[axis]
    require(scale.shape == (channels,), f"{op}: scale must be [{channels}], got {scale.shape}")


def _infer_quantize(
    x: TensorType, scale: TensorType, zero: TensorType, attrs: Attrs
) -> list[TensorType]:
    _check("QuantizeLinear", x, scale, zero, attrs)
    require(x.dtype == "f32", f"QuantizeLinear: x must be f32, got {x.dtype}")
    require(zero.dtype in _STORED, f"QuantizeLinear: y must be u8 or i8, got {zero.dtype}")
    return [TensorType(zero.dtype, x.shape)]


def _infer_dequantize(
    x: TensorType, scale: TensorType, zero: TensorType, attrs: Attrs
) -> list[TensorType]:
    _check("DequantizeLinear", x, scale, zero, attrs)
    known = (*_STORED, *_SUMS)
    require(
        x.dtype == zero.dtype and x.dtype in known,
        f"DequantizeLinear: x and zero must both be u8, i8 or i32, got {x.dtype} and {zero.dtype}",
    )
    return [TensorType("f32", x.shape)]


def along_axis(array: Array, rank: int, axis: int) -> Array:
    """scale or zero, shaped to broadcast to x."""
    return array.reshape([-1 if i == axis else 1 for i in range(rank)]) if array.ndim else array


def _quantize(x: Array, scale: Array, zero: Array, attrs: Attrs) -> list[Array]:
    limits = np.iinfo(zero.dtype)
    scale, zero = (along_axis(a, x.ndim, attrs.i("axis")) for a in (scale, zero))
    wide = zero.astype(np.float32)
    with np.errstate(all="ignore"):
        steps = np.minimum(np.fmax(x / scale, limits.min - wide), limits.max - wide)
    return [(np.rint(steps) + wide).astype(zero.dtype)]


def _dequantize(x: Array, scale: Array, zero: Array, attrs: Attrs) -> list[Array]:
    scale, zero = (along_axis(a, x.ndim, attrs.i("axis")) for a in (scale, zero))
    return [dequantized(x, scale, zero)]


def dequantized(x: Array, scale: Array, zero: Array) -> Array:
    """Of operands that broadcast."""
    difference: Array = x.astype(np.int32) - zero.astype(np.int32)
    return difference.astype(np.float32) * scale


def _cost_quantize(
    x: TensorType, scale: TensorType, zero: TensorType, attrs: Attrs, _density: float
) -> Cost:
    return elementwise_cost(_FLOPS, x, *_infer_quantize(x, scale, zero, attrs))


def _cost_dequantize(
    x: TensorType, scale: TensorType, zero: TensorType, attrs: Attrs, _density: float
) -> Cost:
    return elementwise_cost(_FLOPS, x, *_infer_dequantize(x, scale, zero, attrs))


def _samples_quantize(rng: np.random.Generator) -> Iterator[Sample]:
    x: Array = rng.normal(0, 8, (2, 3, 5)).astype(np.float32)
    coarse, one = np.array(0.07, np.float32), np.array(1, np.float32)
    ties = np.array([-600, -3.5, -2.5, -0.5, 0.5, 1.5, 2.5, 600], np.float32)
    for dtype, zero in ((np.uint8, 128), (np.uint8, 0), (np.int8, 0), (np.int8, -128)):
        yield [x, coarse, np.array(zero, dtype)], {"axis": 0}
        yield [ties, one, np.array(zero, dtype)], {"axis": 0}
        yield [ties[:0], one, np.array(zero, dtype)], {"axis": 0}
        for axis in range(3):
            channels = x.shape[axis]
            yield (
                [x, _scales(rng, channels), (np.arange(channels) + zero).astype(dtype)],
                {"axis": axis},
            )


def _samples_dequantize(rng: np.random.Generator) -> Iterator[Sample]:
    for dtype in (np.uint8, np.int8, np.int32):
        x = rng.integers(0, 256, (2, 3, 5)).astype(np.uint8).view(np.int8).astype(dtype)
        zero = np.array(0 if dtype is np.int32 else 7, dtype)
        yield [x, np.array(0.07, np.float32), zero], {"axis": 0}
        for axis in range(3):
            channels = x.shape[axis]
            yield [x, _scales(rng, channels), np.full(channels, zero)], {"axis": axis}


def _scales(rng: np.random.Generator, channels: int) -> Array:
    return rng.uniform(0.05, 0.2, (channels,)).astype(np.float32)


OPS = [
    Op(
        name="QuantizeLinear",
        inputs=("x", "scale", "zero"),
        outputs=("y",),
        weights=(),
        attrs={"axis": "i"},
        infer=_infer_quantize,
        reference=_quantize,
        cost=_cost_quantize,
        samples=_samples_quantize,
        rtol=EXACT,
        atol=EXACT,
    ),
    Op(
        name="DequantizeLinear",
        inputs=("x", "scale", "zero"),
        outputs=("y",),
        weights=(),
        attrs={"axis": "i"},
        infer=_infer_dequantize,
        reference=_dequantize,
        cost=_cost_dequantize,
        samples=_samples_dequantize,
        rtol=EXACT,
        atol=EXACT,
    ),
]
