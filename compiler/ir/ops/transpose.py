"""Dims in another order: y's dim i is x's dim perm[i]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, traffic


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    perm = attrs.ints("perm")
    require(
        sorted(perm) == list(range(len(x.shape))),
        f"Transpose: perm {perm} must order the {len(x.shape)} dims of x {x.shape}",
    )
    return [TensorType(x.dtype, tuple(x.shape[i] for i in perm))]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    return [np.transpose(x, attrs.ints("perm"))]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, perm in [
        ((2, 3), [1, 0]), ((2, 3, 4, 5), [0, 2, 3, 1]), ((2, 3, 4, 5), [0, 3, 1, 2]), ((7,), [0]),
        ((3, 1, 17), [2, 0, 1]), ((2, 2, 2, 2, 2), [4, 3, 2, 1, 0]), ((0, 3), [1, 0]),
    ]:  # fmt: skip
        for dtype in (np.float32, np.int64, np.uint8):
            yield [rng.integers(0, 99, shape).astype(dtype)], {"perm": perm}


OPS = [
    Op(
        name="Transpose",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"perm": "is"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
