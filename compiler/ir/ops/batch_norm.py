"""y = (x - mean) / sqrt(var + epsilon) * scale + bias per channel: the inference form of
Ioffe and Szegedy, arXiv 1502.03167."""

from __future__ import annotations

from collections.abc import Iterator

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
    require,
    require_float,
)


def infer(
    x: TensorType,
    scale: TensorType,
    bias: TensorType,
    mean: TensorType,
    var: TensorType,
    _: Attrs,
) -> list[TensorType]:
    parts = {"scale": scale, "bias": bias, "mean": mean, "var": var}
    dtype = require_float("BatchNormalization", x=x, **parts)
    require(len(x.shape) >= 2, f"BatchNormalization: x must be [N, C, ...], got {x.shape}")
    for name, part in parts.items():
        require(
            part.shape == (x.shape[1],),
            f"BatchNormalization: {name} must be [{x.shape[1]}], got {part.shape}",
        )
    return [TensorType(dtype, x.shape)]


def reference(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, attrs: Attrs
) -> list[Array]:
    shape = (x.shape[1], *[1] * (x.ndim - 2))
    wide = [p.astype(np.float64).reshape(shape) for p in (scale, bias, mean, var)]
    factor = wide[0] / np.sqrt(wide[3] + attrs.f("epsilon"))
    return [((x - wide[2]) * factor + wide[1]).astype(x.dtype)]


def cost(
    x: TensorType,
    scale: TensorType,
    bias: TensorType,
    mean: TensorType,
    var: TensorType,
    _attrs: Attrs,
    _density: float,
) -> Cost:
    return elementwise_cost(2, x, scale, bias, mean, var, x)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape in [(2, 3, 4, 5), (1, 7, 9), (4, 5), (1, 1, 1, 1), (1, 2, 3, 2, 2)]:
        parts = [rng.normal(0, 1, shape[1]) for _ in range(3)] + [rng.random(shape[1]) + 0.1]
        x, *rest = (p.astype(np.float32) for p in (rng.normal(0, 2, shape), *parts))
        yield [x, *rest], {"epsilon": 1e-5}


OPS = [
    Op(
        name="BatchNormalization",
        inputs=("x", "scale", "bias", "mean", "var"),
        outputs=("y",),
        weights=(),
        attrs={"epsilon": "f"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=MATH_RTOL,
        atol=SUM_ATOL,
    )
]
