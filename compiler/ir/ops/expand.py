"""x broadcast to a complete shape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, broadcast, require, traffic


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    shape = tuple(attrs.ints("shape"))
    target = TensorType(x.dtype, shape)
    require(
        min(shape, default=0) >= 0 and broadcast("Expand", x, target) == shape,
        f"Expand: x {x.shape} does not broadcast to {shape}",
    )
    return [target]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    return [np.broadcast_to(x, attrs.ints("shape"))]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    cases: list[tuple[tuple[int, ...], list[int]]] = [
        ((3, 1), [3, 4]), ((1,), [2, 3, 5]), ((), [2]), ((2, 3), [2, 3]), ((1, 4, 1), [2, 4, 3]),
    ]  # fmt: skip
    for shape, target in cases:
        for dtype in (np.float32, np.int64):
            yield [np.asarray(rng.integers(0, 99, shape), dtype)], {"shape": target}


OPS = [
    Op(
        name="Expand",
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
