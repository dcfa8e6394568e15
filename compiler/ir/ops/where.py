"""y = a where condition holds, else b; all three broadcast."""

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
    broadcast,
    elementwise_cost,
    require,
    same_dtype,
)


def infer(condition: TensorType, a: TensorType, b: TensorType, _: Attrs) -> list[TensorType]:
    require(condition.dtype == "bool", f"Where: condition must be bool, got {condition.dtype}")
    return [TensorType(same_dtype("Where", a=a, b=b), broadcast("Where", condition, a, b))]


def reference(condition: Array, a: Array, b: Array, _: Attrs) -> list[Array]:
    return [np.where(condition, a, b)]


def cost(
    condition: TensorType, a: TensorType, b: TensorType, attrs: Attrs, _density: float
) -> Cost:
    return elementwise_cost(0, condition, a, b, infer(condition, a, b, attrs)[0])


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shapes in [((2, 3), (2, 3), (2, 3)), ((3, 1), (1, 4), ()), ((5,), (2, 1, 5), (1,))]:
        condition = np.asarray(rng.random(shapes[0]) < 0.5)
        a, b = (rng.integers(0, 100, s) for s in shapes[1:])
        for dtype in (np.float32, np.int64, np.uint8):
            yield [condition, np.asarray(a, dtype), np.asarray(b, dtype)], {}


OPS = [
    Op(
        name="Where",
        inputs=("condition", "a", "b"),
        outputs=("y",),
        weights=(),
        attrs={},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
