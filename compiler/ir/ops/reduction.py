"""Reductions over a set of axes. They differ by a function only, so they share this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    FLOATS,
    NUMERIC,
    SUM_ATOL,
    SUM_RTOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    traffic,
)

Axes = tuple[int, ...]


def _log_sum_exp(x: Array, axes: Axes) -> Array:
    top = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.asarray(np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top)


def _extreme(function: Callable[..., Array], sign: int) -> Callable[[Array, Axes], Array]:
    def reduce(x: Array, axes: Axes) -> Array:
        if x.dtype.kind in "iu":
            limits = np.iinfo(x.dtype)
            start = limits.min if sign > 0 else limits.max
            return function(x, axis=axes, keepdims=True, initial=start)
        return function(x, axis=axes, keepdims=True, initial=-sign * np.inf)

    return reduce


# Every function keeps the reduced dims as 1.
_TABLE: dict[str, Callable[[Array, Axes], Array]] = {
    "ReduceSum": lambda x, axes: np.sum(x, axis=axes, keepdims=True),
    "ReduceMean": lambda x, axes: np.mean(x, axis=axes, keepdims=True),
    "ReduceMax": _extreme(np.max, 1),
    "ReduceMin": _extreme(np.min, -1),
    "ReduceProd": lambda x, axes: np.prod(x, axis=axes, keepdims=True),
    "ReduceL1": lambda x, axes: np.sum(np.abs(x), axis=axes, keepdims=True),
    "ReduceL2": lambda x, axes: np.sqrt(np.sum(x * x, axis=axes, keepdims=True)),
    "ReduceSumSquare": lambda x, axes: np.sum(x * x, axis=axes, keepdims=True),
    "ReduceLogSum": lambda x, axes: np.log(np.sum(x, axis=axes, keepdims=True)),
    "ReduceLogSumExp": _log_sum_exp,
}
_INTEGERS_TOO = frozenset(("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"))


def reduced_shape(shape: Sequence[int], axes: Sequence[int], keepdims: int) -> tuple[int, ...]:
    if keepdims:
        return tuple(1 if i in axes else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axes)


def _op(name: str) -> Op:
    function = _TABLE[name]
    allowed = NUMERIC if name in _INTEGERS_TOO else FLOATS

    def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
        axes, rank = attrs.ints("axes"), len(x.shape)
        require(x.dtype in allowed, f"{name}: x must be one of {allowed}, got {x.dtype}")
        require(
            len(set(axes)) == len(axes) and all(0 <= axis < rank for axis in axes),
            f"{name}: axes must be distinct and within 0..{rank - 1}, got {axes}",
        )
        return [TensorType(x.dtype, reduced_shape(x.shape, axes, attrs.i("keepdims")))]

    def reference(x: Array, attrs: Attrs) -> list[Array]:
        axes = attrs.ints("axes")
        wide = x if x.dtype.kind in "iu" else x.astype(np.float64)
        with np.errstate(all="ignore"):
            y = function(wide, tuple(axes)).astype(x.dtype)
        return [y.reshape(reduced_shape(x.shape, axes, attrs.i("keepdims")))]

    def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
        per_element = 20 if name == "ReduceLogSumExp" else 2
        return Cost(flops=per_element * x.elements, bytes=traffic(x, *infer(x, attrs)))

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        cases: list[tuple[tuple[int, ...], list[int], int]] = [
            ((2, 3, 5, 7), [2, 3], 1), ((2, 3, 5, 7), [1], 0), ((2, 3, 5), [0, 1, 2], 0),
            ((2, 3, 5), [0, 2], 1), ((4, 33), [1], 1), ((1,), [0], 0),
        ]  # fmt: skip
        for shape, axes, keepdims in cases:
            x = rng.normal(0, 1, shape).astype(np.float32)
            x = np.abs(x) if name == "ReduceLogSum" else x
            yield [x], {"axes": axes, "keepdims": keepdims}
            if name in _INTEGERS_TOO:
                small = rng.integers(-3, 4, shape)
                yield [small.astype(np.int64)], {"axes": axes, "keepdims": keepdims}
                yield [small.astype(np.int32)], {"axes": axes, "keepdims": keepdims}

    return Op(
        name=name,
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"axes": "is", "keepdims": "i"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )


OPS = [_op(name) for name in _TABLE]
