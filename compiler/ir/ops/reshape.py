"""The same elements, in the same order, under another shape. Free when it can alias."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, volume


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    shape = tuple(attrs.ints("shape"))
    require(
        min(shape, default=0) >= 0 and volume(shape) == x.elements,
        f"Reshape: {list(shape)} does not hold the {x.elements} elements of x {x.shape}",
    )
    return [TensorType(x.dtype, shape)]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    return [x.reshape(attrs.ints("shape"))]


def cost(_x: TensorType, _attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=0)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    cases: list[tuple[tuple[int, ...], list[int]]] = [
        ((2, 3, 4), [6, 4]), ((1,), []), ((), [1, 1]), ((0, 5), [5, 0, 3]), ((12,), [3, 2, 2]),
    ]  # fmt: skip
    for shape, target in cases:
        for dtype in (np.float32, np.int64, np.bool_):
            yield [np.asarray(rng.integers(0, 99, shape), dtype)], {"shape": target}


OPS = [
    Op(
        name="Reshape",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"shape": "is"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
