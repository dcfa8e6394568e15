"""y[..., M] = activation(x[..., K] @ w[M, K].T + b + residual). Sparsity is in w's type.

With w of i8, w_scale[M] and x_scale say what integers stand for: see ir/integers.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.activation import ACTIVATION_ATTRS, FUSED_SAMPLES, NO_ACTIVATION, activate
from coexec.compiler.ir.graph import AttrValue, TensorType
from coexec.compiler.ir.integers import check_weight, integers_of, products
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
    volume,
)
from coexec.compiler.ir.ops.conv import check_activation


def infer(
    x: TensorType,
    w: TensorType,
    b: TensorType | None,
    residual: TensorType | None,
    w_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
) -> list[TensorType]:
    dtype = require_float("Gemm", x=x, b=b, residual=residual)
    check_weight("Gemm", x, w, w_scale, x_scale)
    require(len(w.shape) == 2, f"Gemm: w must be [M, K], got {w.shape}")
    require(len(x.shape) >= 1, f"Gemm: x must be [..., K], got {x.shape}")
    require(x.shape[-1] == w.shape[1], f"Gemm: k differs, x {x.shape}, w {w.shape}")
    require(
        b is None or b.shape == (w.shape[0],),
        f"Gemm: b must be [{w.shape[0]}], got {b and b.shape}",
    )
    shape = (*x.shape[:-1], w.shape[0])
    require(
        residual is None or residual.shape == shape,
        f"Gemm: residual must be {shape}, got {residual and residual.shape}",
    )
    check_activation("Gemm", attrs)
    return [TensorType(dtype, shape)]


def reference(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    w_scale: Array | None,
    x_scale: Array | None,
    attrs: Attrs,
) -> list[Array]:
    if w_scale is None or x_scale is None:
        y = x.astype(np.float64) @ w.astype(np.float64).T
    else:
        sums = integers_of(x, x_scale) @ w.astype(np.float64).T
        y = products(sums, x_scale[0] * w_scale)
    if b is not None:
        y = y + b
    if residual is not None:
        y = y + residual
    return [activate(y, attrs).astype(x.dtype)]


def cost(
    x: TensorType,
    w: TensorType,
    b: TensorType | None,
    residual: TensorType | None,
    w_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
    density: float,
) -> Cost:
    y = infer(x, w, b, residual, w_scale, x_scale, attrs)[0]
    return Cost(
        flops=2 * round(w.elements * density) * volume(x.shape[:-1]) + y.elements,
        bytes=traffic(x, b, residual, y, w, density=density, weights=1),
    )


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for lead, m, k, act in [
        ((1,), 1, 1, ""), ((3,), 17, 33, "Relu"), ((2, 5), 16, 8, "Tanh"), ((), 5, 7, ""),
        ((0,), 4, 4, ""), ((1,), 64, 100, "Sigmoid"),
    ]:  # fmt: skip
        attrs: dict[str, AttrValue] = {**NO_ACTIVATION, "activation": act}
        x, w, b, residual = (
            rng.normal(0, 1, s).astype(np.float32) for s in ((*lead, k), (m, k), (m,), (*lead, m))
        )
        yield [x, w], attrs
        yield [x, w, b], attrs
        yield [x, w, b, residual], attrs
    for name, alpha, beta in FUSED_SAMPLES:
        operands = [rng.normal(0, 2, s).astype(np.float32) for s in ((3, 20), (21, 20), (21,))]
        yield (
            [*operands],
            {"activation": name, "activation_alpha": alpha, "activation_beta": beta},
        )


OPS = [
    Op(
        name="Gemm",
        inputs=("x", "w", "b?", "residual?", "w_scale?", "x_scale?"),
        outputs=("y",),
        weights=("w",),
        attrs=ACTIVATION_ATTRS,
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
