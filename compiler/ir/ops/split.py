"""x cut along an axis into parts of the given lengths."""

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
    require,
    require_axis,
    traffic,
)


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    axis, split = attrs.i("axis"), attrs.ints("split")
    require_axis("Split", axis, len(x.shape))
    require(
        min(split, default=-1) >= 0 and sum(split) == x.shape[axis],
        f"Split: {split} must add up to {x.shape[axis]}, dim {axis} of x {x.shape}",
    )
    return [TensorType(x.dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in split]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    ends = np.cumsum(attrs.ints("split"))
    return np.split(x, ends[:-1], axis=attrs.i("axis"))


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axis, split in [
        ((2, 9), 1, [2, 3, 4]), ((6, 2, 2), 0, [3, 3]), ((5,), 0, [5]), ((4, 3), 0, [0, 4]),
    ]:  # fmt: skip
        for dtype in (np.float32, np.int64):
            yield [rng.integers(0, 99, shape).astype(dtype)], {"axis": axis, "split": split}


OPS = [
    Op(
        name="Split",
        inputs=("x",),
        outputs=("y*",),
        weights=(),
        attrs={"axis": "i", "split": "is"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
