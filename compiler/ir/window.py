"""Sliding windows over spatial dims: what Conv, ConvTranspose and the pools have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from coexec.compiler.ir.graph import AttrValue
from coexec.compiler.ir.op import Array, Attrs, require

WINDOW_ATTRS = {"kernel_shape": "is", "strides": "is", "pads": "is", "dilations": "is"}


def window_attrs(
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
) -> dict[str, AttrValue]:
    """Complete window attributes: strides and dilations of 1 and no padding unless given."""
    rank = len(kernel_shape)
    return {
        "kernel_shape": list(kernel_shape),
        "strides": list(strides or [1] * rank),
        "pads": list(pads or [0] * (2 * rank)),
        "dilations": list(dilations or [1] * rank),
    }


def check_window(op: str, spatial_rank: int, attrs: Attrs) -> None:
    """Raises IrError unless every window attribute fits the rank and is in range."""
    require(1 <= spatial_rank <= 3, f"{op}: x must have 1 to 3 spatial dims, got {spatial_rank}")
    for name, least in (("kernel_shape", 1), ("strides", 1), ("dilations", 1)):
        values = attrs.ints(name)
        require(
            len(values) == spatial_rank and min(values) >= least,
            f"{op}: {name} must be {spatial_rank} numbers from {least} up, got {values}",
        )
    pads = attrs.ints("pads")
    require(
        len(pads) == 2 * spatial_rank and min(pads) >= 0,
        f"{op}: pads must be {2 * spatial_rank} numbers from 0 up, got {pads}",
    )


def window_extent(attrs: Attrs) -> list[int]:
    """What one window spans per dim, dilation included."""
    kernel, dilations = attrs.ints("kernel_shape"), attrs.ints("dilations")
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]


def output_spatial(
    op: str, spatial: Sequence[int], attrs: Attrs, ceil_mode: bool = False
) -> tuple[int, ...]:
    """How many windows fit per dim. With ceil_mode a last, partial window counts too, unless it
    would start beyond the input and its leading padding."""
    rank, pads = len(spatial), attrs.ints("pads")
    result = []
    for i, (size, extent, stride) in enumerate(
        zip(spatial, window_extent(attrs), attrs.ints("strides"), strict=True)
    ):
        room = size + pads[i] + pads[rank + i] - extent
        require(
            room >= 0,
            f"{op}: a window of {extent} does not fit dim {i} of {size} with pads "
            f"{pads[i]}, {pads[rank + i]}",
        )
        count = room // stride + 1
        if ceil_mode and room % stride and count * stride < size + pads[i]:
            count += 1
        result.append(count)
    return tuple(result)


def pad_spatial(
    x: Array, attrs: Attrs, value: float, windows: Sequence[int] | None = None
) -> Array:
    """x[N,C,*S] with its spatial dims padded, far enough for `windows` windows when given."""
    rank, pads = x.ndim - 2, attrs.ints("pads")
    width = [(0, 0), (0, 0)]
    for i, (extent, stride) in enumerate(
        zip(window_extent(attrs), attrs.ints("strides"), strict=True)
    ):
        end = pads[rank + i]
        if windows is not None:
            needed = (windows[i] - 1) * stride + extent
            end = max(end, needed - x.shape[2 + i] - pads[i])
        width.append((pads[i], end))
    return np.pad(x, width, constant_values=value)


def taps(
    padded: Array, attrs: Attrs, windows: Sequence[int]
) -> Iterator[tuple[tuple[Any, ...], Array]]:
    """For every position inside the window: the index that takes it from a weight's last dims,
    and x[N,C,*windows] seen through it."""
    strides, dilations = attrs.ints("strides"), attrs.ints("dilations")
    for tap in np.ndindex(*attrs.ints("kernel_shape")):
        window = tuple(
            slice(t * d, t * d + (count - 1) * s + 1, s)
            for t, d, s, count in zip(tap, dilations, strides, windows, strict=True)
        )
        yield (..., *tap), padded[(slice(None), slice(None), *window)]
