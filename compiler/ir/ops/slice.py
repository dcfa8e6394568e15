"""y = x[start:end:step] in every dim; starts and ends are clamped to the shape. With a negative
step an end of -1 means through index 0."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, traffic


def slices(attrs: Attrs) -> list[range]:
    """The indices taken of each dim."""
    return [
        range(start, end, step)
        for start, end, step in zip(
            attrs.ints("starts"), attrs.ints("ends"), attrs.ints("steps"), strict=True
        )
    ]


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    rank = len(x.shape)
    for name in ("starts", "ends", "steps"):
        count = len(attrs.ints(name))
        require(count == rank, f"Slice: {name} must hold {rank} numbers, got {count}")
    require(0 not in attrs.ints("steps"), f"Slice: a step of 0: {attrs.ints('steps')}")
    taken = slices(attrs)
    for i, (indices, size) in enumerate(zip(taken, x.shape, strict=True)):
        require(
            not indices or (0 <= indices[0] < size and 0 <= indices[-1] < size),
            f"Slice: {indices} reaches outside dim {i} of x {x.shape}",
        )
    return [TensorType(x.dtype, tuple(map(len, taken)))]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    taken = slices(attrs)
    return [x[np.ix_(*[np.array(indices, np.intp) for indices in taken])]] if taken else [x]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, starts, ends, steps in [
        ((5, 6), [1, 0], [4, 6], [1, 2]), ((7,), [6], [-1], [-1]), ((7,), [5], [0], [-2]),
        ((2, 3, 4), [0, 1, 0], [2, 1, 4], [1, 1, 1]), ((4, 4), [3, 0], [-1, 4], [-3, 3]),
    ]:  # fmt: skip
        for dtype in (np.float32, np.int64):
            x = rng.integers(0, 99, shape).astype(dtype)
            yield [x], {"starts": starts, "ends": ends, "steps": steps}


OPS = [
    Op(
        name="Slice",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"starts": "is", "ends": "is", "steps": "is"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
