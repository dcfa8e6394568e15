"""ArgMax and ArgMin: where along an axis the extreme lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from coexec.compiler.ir.graph import AttrValue, TensorType
from coexec.compiler.ir.op import (
    EXACT,
    NUMERIC,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    require_axis,
    traffic,
)
from coexec.compiler.ir.ops.reduction import reduced_shape


def _op(name: str, function: Callable[..., Array]) -> Op:
    def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
        axis = attrs.i("axis")
        require_axis(name, axis, len(x.shape))
        require(x.dtype in NUMERIC, f"{name}: x must be numeric, got {x.dtype}")
        require(x.shape[axis] > 0, f"{name}: axis {axis} of x {x.shape} is empty")
        return [TensorType("i64", reduced_shape(x.shape, [axis], attrs.i("keepdims")))]

    def reference(x: Array, attrs: Attrs) -> list[Array]:
        axis = attrs.i("axis")
        if attrs.i("select_last_index"):
            found = x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis)
        else:
            found = function(x, axis=axis)
        shape = reduced_shape(x.shape, [axis], attrs.i("keepdims"))
        return [np.asarray(found, np.int64).reshape(shape)]

    def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
        return Cost(flops=x.elements, bytes=traffic(x, *infer(x, attrs)))

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for shape, axis in [((2, 5, 3), 1), ((7,), 0), ((3, 1), 1), ((2, 40), 1)]:
            for keepdims, last in [(0, 0), (1, 0), (1, 1)]:
                attrs: dict[str, AttrValue] = {
                    "axis": axis,
                    "keepdims": keepdims,
                    "select_last_index": last,
                }
                # Few distinct values, so that ties are common.
                yield [rng.integers(0, 4, shape).astype(np.float32)], attrs
                yield [rng.normal(0, 1, shape).astype(np.float32)], attrs

    return Op(
        name=name,
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"axis": "i", "keepdims": "i", "select_last_index": "i"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )


OPS = [_op("ArgMax", np.argmax), _op("ArgMin", np.argmin)]
