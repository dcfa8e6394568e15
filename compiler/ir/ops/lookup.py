"""y = table[q], q = clip(rint(x / scale) + zero, 0, 255): a function of the 256 values that a
quantized x has. In f32 and by the reciprocal, as int8 layers quantize; NaN becomes the least."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.integers import LEVELS
from coexec.compiler.ir.op import (
    EXACT,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    elementwise_cost,
    require,
)

_FLOPS = 6


def infer(x: TensorType, table: TensorType, attrs: Attrs) -> list[TensorType]:
    require(x.dtype == "f32", f"Lookup: x must be f32, got {x.dtype}")
    wanted = TensorType("f32", (LEVELS + 1,))
    require(table == wanted, f"Lookup: table must be {wanted}, got {table}")
    zero = attrs.f("zero")
    require(zero in range(LEVELS + 1), f"Lookup: zero must be in 0..{LEVELS}, got {zero}")
    return [x]


def reference(x: Array, table: Array, attrs: Attrs) -> list[Array]:
    zero = attrs.f("zero")
    steps = x * (np.float32(1) / np.float32(attrs.f("scale")))
    inside = np.minimum(np.fmax(steps, -zero), LEVELS - zero)
    return [table[(np.rint(inside) + zero).astype(np.int64)]]


def cost(x: TensorType, table: TensorType, attrs: Attrs, _density: float) -> Cost:
    return elementwise_cost(_FLOPS, x, *infer(x, table, attrs))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    table = rng.normal(0, 1, LEVELS + 1).astype(np.float32)
    for zero in (0.0, 90.0, 255.0):
        for shape in ((2, 3, 5), (1,), (), (0, 4)):
            yield [rng.normal(0, 3, shape).astype(np.float32), table], {"scale": 0.05, "zero": zero}


OPS = [
    Op(
        name="Lookup",
        inputs=("x", "table"),
        outputs=("y",),
        weights=(),
        attrs={"scale": "f", "zero": "f"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
