"""x repeated along every dim."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, traffic


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    repeats = attrs.ints("repeats")
    require(
        len(repeats) == len(x.shape) and min(repeats, default=0) >= 0,
        f"Tile: repeats must be {len(x.shape)} numbers from 0 up, got {repeats}",
    )
    return [TensorType(x.dtype, tuple(d * r for d, r in zip(x.shape, repeats, strict=True)))]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    return [np.tile(x, attrs.ints("repeats"))]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, repeats in [((2, 3), [2, 1]), ((4,), [3]), ((1, 2, 3), [2, 2, 2]), ((2,), [0])]:
        for dtype in (np.float32, np.int64):
            yield [rng.integers(0, 99, shape).astype(dtype)], {"repeats": repeats}


OPS = [
    Op(
        name="Tile",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"repeats": "is"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
