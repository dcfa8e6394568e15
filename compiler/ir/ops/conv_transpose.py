"""y = activation(conv_transpose(x, w) + b): every input element spreads w over the output."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.activation import ACTIVATION_ATTRS, NO_ACTIVATION, activate
from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    SUM_ATOL,
    SUM_RTOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    require_float,
    require_float_weights,
    traffic,
    volume,
)
from coexec.compiler.ir.ops.conv import check_activation
from coexec.compiler.ir.window import WINDOW_ATTRS, check_window, taps, window_attrs, window_extent


def _full_spatial(spatial: tuple[int, ...], attrs: Attrs) -> tuple[int, ...]:
    """The output before pads crop it; output_padding is part of it."""
    return tuple(
        (size - 1) * stride + extent + extra
        for size, stride, extent, extra in zip(
            spatial,
            attrs.ints("strides"),
            window_extent(attrs),
            attrs.ints("output_padding"),
            strict=True,
        )
    )


def infer(x: TensorType, w: TensorType, b: TensorType | None, attrs: Attrs) -> list[TensorType]:
    dtype = require_float("ConvTranspose", x=x, b=b)
    require_float_weights("ConvTranspose", x, w=w)
    group, rank = attrs.i("group"), len(x.shape) - 2
    kernel, pads = tuple(attrs.ints("kernel_shape")), attrs.ints("pads")
    extra = attrs.ints("output_padding")
    check_window("ConvTranspose", rank, attrs)
    require(
        len(w.shape) == rank + 2 and w.shape[2:] == kernel,
        f"ConvTranspose: kernel_shape {list(kernel)} is not w's, {w.shape}",
    )
    require(
        group >= 1 and x.shape[1] == w.shape[0] and x.shape[1] % group == 0,
        f"ConvTranspose: channels differ, x {x.shape}, w {w.shape}, group {group}",
    )
    channels = w.shape[1] * group
    require(
        b is None or b.shape == (channels,),
        f"ConvTranspose: b must be [{channels}], got {b and b.shape}",
    )
    require(
        len(extra) == rank and min(extra) >= 0,
        f"ConvTranspose: output_padding must be {rank} numbers from 0 up, got {extra}",
    )
    full = _full_spatial(x.shape[2:], attrs)
    spatial = tuple(f - pads[i] - pads[rank + i] for i, f in enumerate(full))
    require(min(spatial) > 0, f"ConvTranspose: pads {pads} leave nothing of {full}")
    check_activation("ConvTranspose", attrs)
    return [TensorType(dtype, (x.shape[0], channels, *spatial))]


def reference(x: Array, w: Array, b: Array | None, attrs: Attrs) -> list[Array]:
    group, rank, pads = attrs.i("group"), x.ndim - 2, attrs.ints("pads")
    n, c, m = x.shape[0], x.shape[1], w.shape[1]
    full = _full_spatial(x.shape[2:], attrs)
    wide = w.astype(np.float64).reshape(group, c // group, m, *w.shape[2:])
    columns = x.astype(np.float64).reshape(n, group, c // group, -1)
    y = np.zeros((n, group * m, *full))
    for tap, seen in taps(y, attrs, x.shape[2:]):
        spread = wide[tap].swapaxes(1, 2) @ columns
        seen += spread.reshape(n, group * m, *x.shape[2:])
    crop = tuple(slice(pads[i], size - pads[rank + i]) for i, size in enumerate(full))
    y = y[(slice(None), slice(None), *crop)]
    if b is not None:
        y = y + b.astype(np.float64).reshape(group * m, *[1] * rank)
    return [activate(y, attrs).astype(x.dtype)]


def cost(x: TensorType, w: TensorType, b: TensorType | None, attrs: Attrs, _density: float) -> Cost:
    y = infer(x, w, b, attrs)[0]
    positions = x.shape[0] * volume(x.shape[2:])
    return Cost(flops=2 * w.elements * positions + y.elements, bytes=traffic(x, w, b, y))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    def case(
        x: tuple[int, ...],
        w: tuple[int, ...],
        group: int = 1,
        extra: list[int] | None = None,
        act: str = "",
        **window: list[int],
    ) -> Sample:
        attrs = {**window_attrs(w[2:], **window), "group": group, **NO_ACTIVATION}
        attrs |= {"output_padding": extra or [0] * (len(x) - 2), "activation": act}
        return [rng.normal(0, 1, s).astype(np.float32) for s in (x, w, (w[1] * group,))], attrs

    yield case((1, 3, 4, 5), (3, 6, 2, 2), strides=[2, 2], act="Relu")
    yield case((2, 4, 3, 3), (4, 5, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], extra=[1, 1])
    yield case((1, 6, 5, 4), (6, 2, 3, 2), group=3, dilations=[2, 1])
    yield case((1, 4, 5, 5), (4, 1, 4, 4), group=4, strides=[2, 2], pads=[1, 1, 1, 1])
    yield case((1, 3, 9), (3, 2, 5), strides=[3], pads=[2, 0])
    yield case((1, 2, 3, 2, 2), (2, 2, 2, 2, 2), strides=[2, 1, 2])
    inputs, attrs = case((1, 3, 1, 1), (3, 4, 1, 1))
    yield inputs[:2], attrs


OPS = [
    Op(
        name="ConvTranspose",
        inputs=("x", "w", "b?"),
        outputs=("y",),
        weights=("w",),
        attrs={**WINDOW_ATTRS, "output_padding": "is", "group": "i", **ACTIVATION_ATTRS},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
