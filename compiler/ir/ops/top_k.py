"""The k largest or smallest elements along an axis, with their indices. Among equals the lower
index comes first. Results are sorted whether or not the layer asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    EXACT,
    NUMERIC,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    require_axis,
    traffic,
)


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    axis, k = attrs.i("axis"), attrs.i("k")
    require(x.dtype in NUMERIC, f"TopK: x must be numeric, got {x.dtype}")
    require_axis("TopK", axis, len(x.shape))
    require(0 <= k <= x.shape[axis], f"TopK: k {k} is outside 0..{x.shape[axis]}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return [TensorType(x.dtype, shape), TensorType("i64", shape)]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    axis, k = attrs.i("axis"), attrs.i("k")
    if attrs.i("largest"):
        # A stable ascending sort of the reversed axis, read backwards: lower index first again.
        order = x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable")
        order = np.flip(order, axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    indices = np.take(order, np.arange(k), axis=axis).astype(np.int64)
    return [np.take_along_axis(x, indices, axis), indices]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    comparisons = x.elements * max(1, attrs.i("k").bit_length())
    return Cost(flops=comparisons, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axis, k in [((3, 9), 1, 4), ((5, 2, 3), 0, 5), ((1,), 0, 1), ((2, 100), 1, 17)]:
        for largest in (0, 1):
            attrs = {"axis": axis, "k": k, "largest": largest, "sorted": 1}
            yield [rng.normal(0, 1, shape).astype(np.float32)], {**attrs}
            yield [rng.integers(0, 5, shape).astype(np.float32)], {**attrs}
            yield [rng.integers(0, 5, shape).astype(np.int64)], {**attrs}


OPS = [
    Op(
        name="TopK",
        inputs=("x",),
        outputs=("values?", "indices?"),
        weights=(),
        attrs={"k": "i", "axis": "i", "largest": "i", "sorted": "i"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
