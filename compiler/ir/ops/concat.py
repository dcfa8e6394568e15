"""Operands one after another along an axis."""

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
    same_dtype,
    traffic,
)


def infer(*operands: TensorType | Attrs) -> list[TensorType]:
    types = [t for t in operands if isinstance(t, TensorType)]
    attrs = operands[-1]
    assert isinstance(attrs, Attrs)
    axis, first = attrs.i("axis"), types[0]
    require_axis("Concat", axis, len(first.shape))
    dtype = same_dtype("Concat", **{f"x{i}": t for i, t in enumerate(types)})
    for t in types:
        others = (t.shape[:axis], t.shape[axis + 1 :])
        require(
            others == (first.shape[:axis], first.shape[axis + 1 :]),
            f"Concat: shapes differ beyond axis {axis}: {', '.join(str(t.shape) for t in types)}",
        )
    length = sum(t.shape[axis] for t in types)
    return [TensorType(dtype, (*first.shape[:axis], length, *first.shape[axis + 1 :]))]


def reference(*operands: Array | Attrs) -> list[Array]:
    arrays = [a for a in operands if isinstance(a, np.ndarray)]
    attrs = operands[-1]
    assert isinstance(attrs, Attrs)
    return [np.concatenate(arrays, axis=attrs.i("axis"))]


def cost(*operands: TensorType | Attrs | float) -> Cost:
    types = [t for t in operands if isinstance(t, TensorType)]
    return Cost(flops=0, bytes=2 * traffic(*types))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    cases: list[tuple[list[tuple[int, ...]], int]] = [
        ([(2, 3), (2, 5)], 1), ([(4,)], 0), ([(1, 2, 3), (2, 2, 3), (0, 2, 3)], 0),
        ([(1, 3, 4, 4), (1, 5, 4, 4), (1, 1, 4, 4)], 1),
    ]  # fmt: skip
    for shapes, axis in cases:
        for dtype in (np.float32, np.int64, np.uint8):
            yield [rng.integers(0, 99, s).astype(dtype) for s in shapes], {"axis": axis}


OPS = [
    Op(
        name="Concat",
        inputs=("x*",),
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
