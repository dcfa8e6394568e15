"""Softmax and LogSoftmax along one axis; the maximum is subtracted first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    MATH_RTOL,
    SUM_ATOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    elementwise_cost,
    require_axis,
    require_float,
)


def _softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / np.sum(e, axis=axis, keepdims=True))


def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def _op(name: str, function: Callable[[Array, int], Array]) -> Op:
    def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
        dtype = require_float(name, x=x)
        require_axis(name, attrs.i("axis"), len(x.shape))
        return [TensorType(dtype, x.shape)]

    def reference(x: Array, attrs: Attrs) -> list[Array]:
        return [function(x.astype(np.float64), attrs.i("axis")).astype(x.dtype)]

    def cost(x: TensorType, _attrs: Attrs, _density: float) -> Cost:
        return elementwise_cost(24, x, x)

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for shape, axis in [((2, 10), 1), ((3, 4, 5), 1), ((1, 1), 1), ((4, 33), 0), ((7,), 0)]:
            yield [rng.normal(0, 4, shape).astype(np.float32)], {"axis": axis}
        yield [np.array([[-200.0, 0.0, 200.0]], np.float32)], {"axis": 1}

    return Op(
        name=name,
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"axis": "i"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=MATH_RTOL,
        atol=SUM_ATOL,
    )


OPS = [_op("Softmax", _softmax), _op("LogSoftmax", _log_softmax)]
