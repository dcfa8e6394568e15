"""x normalised over the dims from axis on: Ba, Kiros and Hinton, arXiv 1607.06450."""

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
    require_axis,
    require_float,
)


def infer(
    x: TensorType, scale: TensorType, bias: TensorType | None, attrs: Attrs
) -> list[TensorType]:
    dtype = require_float("LayerNormalization", x=x, scale=scale, bias=bias)
    require_axis("LayerNormalization", attrs.i("axis"), len(x.shape))
    normalised = x.shape[attrs.i("axis") :]
    for name, part in (("scale", scale), ("bias", bias)):
        fits = part is None or np.broadcast_shapes(part.shape, normalised) == normalised
        require(
            fits,
            f"LayerNormalization: {name} must broadcast to {normalised}, got {part and part.shape}",
        )
    return [TensorType(dtype, x.shape)]


def reference(x: Array, scale: Array, bias: Array | None, attrs: Attrs) -> list[Array]:
    axes = tuple(range(attrs.i("axis"), x.ndim))
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    y = centred / np.sqrt(variance + attrs.f("epsilon")) * scale
    return [(y if bias is None else y + bias).astype(x.dtype)]


def cost(
    x: TensorType, scale: TensorType, bias: TensorType | None, _attrs: Attrs, _density: float
) -> Cost:
    return elementwise_cost(8, x, scale, bias, x)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axis in [((2, 3, 8), 2), ((4, 33), 1), ((2, 3, 4, 5), 2), ((1, 7), 0)]:
        x, scale, bias = (
            rng.normal(0, 1, s).astype(np.float32) for s in (shape, shape[axis:], shape[axis:])
        )
        yield [x, scale, bias], {"axis": axis, "epsilon": 1e-5}
        yield [x, scale], {"axis": axis, "epsilon": 1e-5}


OPS = [
    Op(
        name="LayerNormalization",
        inputs=("x", "scale", "bias?"),
        outputs=("y",),
        weights=(),
        attrs={"axis": "i", "epsilon": "f"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        # Mean and variance are f32 sums; dividing by a small deviation enlarges their error.
        rtol=1e-4,
        atol=1e-4,
    )
]
