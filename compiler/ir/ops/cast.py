"""y = x in another dtype. A float becomes an integer by truncation; out of range is undefined."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType, np_dtype
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, traffic

_DTYPES = ("bool", "u8", "i8", "i32", "i64", "f16", "f32", "f64")


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    for what, dtype in (("x", x.dtype), ("to", attrs.s("to"))):
        known = ", ".join(_DTYPES)
        require(dtype in _DTYPES, f"Cast: {what} must be one of {known}, got {dtype}")
    return [TensorType(attrs.s("to"), x.shape)]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    with np.errstate(all="ignore"):
        return [x.astype(np_dtype(attrs.s("to")))]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for dtype in _DTYPES:
        for to in _DTYPES:
            values = np.abs(rng.normal(0, 20, (3, 5))) % 100
            yield [values.astype(np_dtype(dtype))], {"to": to}
    signed = np.array([-1.75, -1.0, -0.25, 0.0, 0.25, 1.75], np.float32)
    yield [signed], {"to": "i64"}
    yield [signed], {"to": "bool"}
    yield [np.zeros((0, 3), np.float32)], {"to": "i32"}


OPS = [
    Op(
        name="Cast",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"to": "s"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
