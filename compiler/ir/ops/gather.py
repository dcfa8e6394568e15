"""y = the slices of x along an axis that indices name. Negative indices count from the end;
out of range is clamped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, require_axis


def infer(x: TensorType, indices: TensorType, attrs: Attrs) -> list[TensorType]:
    axis = attrs.i("axis")
    require_axis("Gather", axis, len(x.shape))
    require(
        indices.dtype in ("i32", "i64"), f"Gather: indices must be i32 or i64, got {indices.dtype}"
    )
    require(
        x.shape[axis] > 0 or indices.elements == 0,
        f"Gather: axis {axis} of x {x.shape} is empty",
    )
    return [TensorType(x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))]


def reference(x: Array, indices: Array, attrs: Attrs) -> list[Array]:
    axis = attrs.i("axis")
    size = x.shape[axis]
    wrapped = np.where(indices < 0, indices + size, indices)
    return [np.take(x, np.clip(wrapped, 0, max(size - 1, 0)), axis=axis)]


def cost(x: TensorType, indices: TensorType, attrs: Attrs, _density: float) -> Cost:
    y = infer(x, indices, attrs)[0]
    return Cost(flops=0, bytes=2 * y.nbytes + indices.nbytes)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...], int]] = [
        ((5, 3), (4,), 0), ((2, 7, 3), (2, 2), 1), ((6,), (), 0), ((3, 4), (0,), 1),
        ((1, 9), (5,), 1),
    ]  # fmt: skip
    for shape, index_shape, axis in cases:
        size = shape[axis]
        indices = rng.integers(-size, size, index_shape)
        x = rng.integers(0, 99, shape)
        for dtype, index_dtype in [
            (np.float32, np.int64),
            (np.int64, np.int32),
            (np.uint8, np.int64),
        ]:
            yield [x.astype(dtype), np.asarray(indices, index_dtype)], {"axis": axis}


OPS = [
    Op(
        name="Gather",
        inputs=("x", "indices"),
        outputs=("y",),
        weights=(),
        attrs={"axis": "i"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
