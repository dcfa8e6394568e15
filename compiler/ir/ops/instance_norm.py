"""Every channel of every instance normalised by its own mean and variance: Ulyanov et al.,
arXiv 1607.08022."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import (
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    elementwise_cost,
    require,
    require_float,
)


def infer(x: TensorType, scale: TensorType, bias: TensorType, _: Attrs) -> list[TensorType]:
    dtype = require_float("InstanceNormalization", x=x, scale=scale, bias=bias)
    require(len(x.shape) >= 3, f"InstanceNormalization: x must be [N, C, *S], got {x.shape}")
    for name, part in (("scale", scale), ("bias", bias)):
        require(
            part.shape == (x.shape[1],),
            f"InstanceNormalization: {name} must be [{x.shape[1]}], got {part.shape}",
        )
    return [TensorType(dtype, x.shape)]


def reference(x: Array, scale: Array, bias: Array, attrs: Attrs) -> list[Array]:
    shape, axes = (x.shape[1], *[1] * (x.ndim - 2)), tuple(range(2, x.ndim))
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    y = centred / np.sqrt(variance + attrs.f("epsilon")) * scale.reshape(shape)
    return [(y + bias.reshape(shape)).astype(x.dtype)]


def cost(
    x: TensorType, scale: TensorType, bias: TensorType, _attrs: Attrs, _density: float
) -> Cost:
    return elementwise_cost(8, x, scale, bias, x)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape in [(2, 3, 4, 5), (1, 5, 33), (1, 2, 3, 2, 4)]:
        x, scale, bias = (
            rng.normal(0, 1, s).astype(np.float32) for s in (shape, shape[1], shape[1])
        )
        yield [x, scale, bias], {"epsilon": 1e-5}


OPS = [
    Op(
        name="InstanceNormalization",
        inputs=("x", "scale", "bias"),
        outputs=("y",),
        weights=(),
        attrs={"epsilon": "f"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        # Mean and variance are f32 sums; dividing by a small deviation enlarges their error.
        rtol=1e-4,
        atol=1e-4,
    )
]
