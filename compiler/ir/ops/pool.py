"""MaxPool and AveragePool: one window, two functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    EXACT,
    SUM_ATOL,
    SUM_RTOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    require_float,
    traffic,
    volume,
)
from coexec.compiler.ir.window import (
    WINDOW_ATTRS,
    check_window,
    output_spatial,
    pad_spatial,
    taps,
    window_attrs,
)


def _infer(op: str, x: TensorType, attrs: Attrs) -> list[TensorType]:
    dtype = require_float(op, x=x)
    check_window(op, len(x.shape) - 2, attrs)
    pads, rank = attrs.ints("pads"), len(x.shape) - 2
    for i, size in enumerate(attrs.ints("kernel_shape")):
        # A window inside the padding would have nothing to take the maximum or mean of.
        largest = max(pads[i], pads[rank + i])
        extent = (size - 1) * attrs.ints("dilations")[i] + 1
        require(largest < extent, f"{op}: pads {pads} must be less than the window's {extent}")
    spatial = output_spatial(op, x.shape[2:], attrs, bool(attrs.i("ceil_mode")))
    return [TensorType(dtype, (*x.shape[:2], *spatial))]


def infer_max(x: TensorType, attrs: Attrs) -> list[TensorType]:
    return _infer("MaxPool", x, attrs)


def infer_average(x: TensorType, attrs: Attrs) -> list[TensorType]:
    return _infer("AveragePool", x, attrs)


def reference_max(x: Array, attrs: Attrs) -> list[Array]:
    windows = output_spatial("MaxPool", x.shape[2:], attrs, bool(attrs.i("ceil_mode")))
    y = np.full((*x.shape[:2], *windows), -np.inf, x.dtype)
    for _, seen in taps(pad_spatial(x, attrs, -np.inf, windows), attrs, windows):
        y = np.maximum(y, seen)
    return [y]


def reference_average(x: Array, attrs: Attrs) -> list[Array]:
    """The mean over the window's elements inside x, or inside x and its pads when
    count_include_pad is set; what ceil_mode adds beyond the pads never counts."""
    windows = output_spatial("AveragePool", x.shape[2:], attrs, bool(attrs.i("ceil_mode")))
    ones = np.ones((1, 1, *x.shape[2:]))
    if attrs.i("count_include_pad"):
        counted = pad_spatial(ones, attrs, 1.0)
        counted = pad_spatial_to(counted, attrs, windows)
    else:
        counted = pad_spatial(ones, attrs, 0.0, windows)
    wide = pad_spatial(x.astype(np.float64), attrs, 0.0, windows)
    total, count = np.zeros((*x.shape[:2], *windows)), np.zeros((1, 1, *windows))
    for (_, seen), (_, weight) in zip(
        taps(wide, attrs, windows), taps(counted, attrs, windows), strict=True
    ):
        total, count = total + seen, count + weight
    return [(total / count).astype(x.dtype)]


def pad_spatial_to(padded: Array, attrs: Attrs, windows: tuple[int, ...]) -> Array:
    """Zeros behind what is already padded, until the last window fits."""
    bare = Attrs(
        {
            "kernel_shape": attrs.ints("kernel_shape"),
            "strides": attrs.ints("strides"),
            "dilations": attrs.ints("dilations"),
            "pads": [0] * len(attrs.ints("pads")),
        }
    )
    return pad_spatial(padded, bare, 0.0, windows)


def cost_max(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    y = infer_max(x, attrs)[0]
    return Cost(flops=y.elements * volume(attrs.ints("kernel_shape")), bytes=traffic(x, y))


def cost_average(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    y = infer_average(x, attrs)[0]
    return Cost(flops=y.elements * volume(attrs.ints("kernel_shape")), bytes=traffic(x, y))


def samples_max(rng: np.random.Generator) -> Iterator[Sample]:
    def case(x: tuple[int, ...], ceil_mode: int, **window: list[int]) -> Sample:
        attrs = {**window_attrs(**window), "ceil_mode": ceil_mode}
        return [rng.normal(0, 1, x).astype(np.float32)], attrs

    for mode in (0, 1):
        yield case((1, 3, 9, 10), mode, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        yield case((2, 2, 7, 7), mode, kernel_shape=[2, 2], strides=[2, 2])
        yield case((1, 4, 8, 5), mode, kernel_shape=[2, 3], dilations=[2, 1], pads=[0, 1, 1, 0])
        yield case((1, 2, 11), mode, kernel_shape=[4], strides=[3], pads=[1, 2])
        yield case((1, 1, 5, 4, 6), mode, kernel_shape=[2, 2, 2], strides=[2, 1, 2])
        window = {"kernel_shape": [3, 2, 3], "strides": [2, 2, 1], "pads": [2, 0, 1, 1, 1, 1]}
        yield case((2, 3, 6, 5, 7), mode, dilations=[2, 1, 1], **window)
        yield case((1, 1, 2, 2), mode, kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1])
    yield case((1, 3, 1, 1), 0, kernel_shape=[1, 1])


def samples_average(rng: np.random.Generator) -> Iterator[Sample]:
    for inputs, attrs in samples_max(rng):
        for include in (0, 1):
            yield inputs, {**attrs, "count_include_pad": include}


OPS = [
    Op(
        name="MaxPool",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={**WINDOW_ATTRS, "ceil_mode": "i"},
        infer=infer_max,
        reference=reference_max,
        cost=cost_max,
        samples=samples_max,
        rtol=EXACT,
        atol=EXACT,
    ),
    Op(
        name="AveragePool",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={**WINDOW_ATTRS, "ceil_mode": "i", "count_include_pad": "i"},
        infer=infer_average,
        reference=reference_average,
        cost=cost_average,
        samples=samples_average,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    ),
]
