"""numpy.matmul of two computed operands; a constant matrix makes a Gemm instead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import IrError, TensorType
from coexec.compiler.ir.op import (
    SUM_ATOL,
    SUM_RTOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    require_float,
    traffic,
)


def infer(a: TensorType, b: TensorType, _: Attrs) -> list[TensorType]:
    dtype = require_float("MatMul", a=a, b=b)
    require(
        len(a.shape) >= 1 and len(b.shape) >= 1,
        f"MatMul: a and b need at least one dim, a {a.shape}, b {b.shape}",
    )
    rows, columns = a.shape[-2:-1], b.shape[-1:] if len(b.shape) > 1 else ()
    k = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    require(a.shape[-1] == k, f"MatMul: k differs, a {a.shape}, b {b.shape}")
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise IrError(f"MatMul: leading dims do not broadcast, a {a.shape}, b {b.shape}") from None
    return [TensorType(dtype, (*lead, *rows, *columns))]


def reference(a: Array, b: Array, _: Attrs) -> list[Array]:
    return [np.asarray(np.matmul(a.astype(np.float64), b.astype(np.float64)), a.dtype)]


def cost(a: TensorType, b: TensorType, attrs: Attrs, _density: float) -> Cost:
    y = infer(a, b, attrs)[0]
    return Cost(flops=2 * y.elements * a.shape[-1], bytes=traffic(a, b, y))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for a, b in [
        ((3, 5), (5, 17)), ((1, 1), (1, 1)), ((2, 3, 4, 5), (5, 6)), ((2, 1, 4, 5), (3, 5, 7)),
        ((5,), (5,)), ((5,), (2, 5, 3)), ((4, 5), (5,)), ((3, 4), (2, 4, 33)), ((8, 16), (16, 0)),
    ]:  # fmt: skip
        yield [rng.normal(0, 1, s).astype(np.float32) for s in (a, b)], {}


OPS = [
    Op(
        name="MatMul",
        inputs=("a", "b"),
        outputs=("y",),
        weights=(),
        attrs={},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
