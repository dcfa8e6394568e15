"""y = activation(conv(x, w) + b + residual), cross-correlation as ONNX defines it.

With w of i8, w_scale[M] and x_scale say what integers stand for: see ir/integers.py. Padding is the
zero point, so 0 as it is in f32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from coexec.compiler.ir.activation import (
    ACTIVATION_ATTRS,
    ACTIVATIONS,
    FUSED_SAMPLES,
    NO_ACTIVATION,
    activate,
)
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
from coexec.compiler.ir.window import (
    WINDOW_ATTRS,
    check_window,
    output_spatial,
    pad_spatial,
    taps,
    window_attrs,
)


def infer(
    x: TensorType,
    w: TensorType,
    b: TensorType | None,
    residual: TensorType | None,
    w_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
) -> list[TensorType]:
    dtype = require_float("Conv", x=x, b=b, residual=residual)
    check_weight("Conv", x, w, w_scale, x_scale)
    group, kernel = attrs.i("group"), tuple(attrs.ints("kernel_shape"))
    check_window("Conv", len(x.shape) - 2, attrs)
    require(len(w.shape) == len(x.shape), f"Conv: rank differs, x {x.shape}, w {w.shape}")
    require(w.shape[2:] == kernel, f"Conv: kernel_shape {list(kernel)} is not w's, {w.shape}")
    require(
        group >= 1 and x.shape[1] == group * w.shape[1],
        f"Conv: channels differ, x {x.shape}, w {w.shape}, group {group}",
    )
    require(w.shape[0] % group == 0, f"Conv: w {w.shape} does not split into {group} groups")
    require(
        b is None or b.shape == (w.shape[0],),
        f"Conv: b must be [{w.shape[0]}], got {b and b.shape}",
    )
    shape = (x.shape[0], w.shape[0], *output_spatial("Conv", x.shape[2:], attrs))
    require(
        residual is None or residual.shape == shape,
        f"Conv: residual must be {shape}, got {residual and residual.shape}",
    )
    check_activation("Conv", attrs)
    return [TensorType(dtype, shape)]


def check_activation(op: str, attrs: Attrs) -> None:
    name = attrs.s("activation")
    require(not name or name in ACTIVATIONS, f"{op}: unknown activation {name!r}")


def reference(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    w_scale: Array | None,
    x_scale: Array | None,
    attrs: Attrs,
) -> list[Array]:
    group = attrs.i("group")
    n, c, m = x.shape[0], x.shape[1], w.shape[0]
    windows = output_spatial("Conv", x.shape[2:], attrs)
    wide = w.astype(np.float64).reshape(group, m // group, c // group, *w.shape[2:])
    y = np.zeros((n, group, m // group, volume(windows)))
    terms = x.astype(np.float64) if x_scale is None else integers_of(x, x_scale)
    for tap, seen in taps(pad_spatial(terms, attrs, 0.0), attrs, windows):
        y += wide[tap] @ seen.reshape(n, group, c // group, volume(windows))
    y = y.reshape(n, m, *windows)
    per_channel = (m, *[1] * len(windows))
    if w_scale is not None and x_scale is not None:
        y = products(y, (x_scale[0] * w_scale).reshape(per_channel))
    if b is not None:
        y += b.astype(np.float64).reshape(per_channel)
    if residual is not None:
        y += residual
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
    positions = y.shape[0] * volume(y.shape[2:])
    return Cost(
        flops=2 * round(w.elements * density) * positions + y.elements,
        bytes=traffic(x, b, residual, y, w, density=density, weights=1),
    )


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    def case(
        x: tuple[int, ...], w: tuple[int, ...], group: int = 1, act: str = "", **window: list[int]
    ) -> Sample:
        attrs = {**window_attrs(w[2:], **window), "group": group, **NO_ACTIVATION}
        attrs["activation"] = act
        operands: list[Any] = [_draw(rng, x), _draw(rng, w), _draw(rng, w[:1])]
        return operands, attrs

    yield case((1, 3, 9, 11), (8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], act="Relu")
    yield case((2, 4, 5, 5), (6, 4, 1, 1))
    yield case((1, 6, 8, 7), (6, 1, 3, 3), group=6, pads=[1, 0, 2, 1], act="HardSwish")
    yield case((1, 6, 8, 7), (12, 2, 3, 2), group=3, dilations=[2, 1])
    yield case((2, 3, 17), (5, 3, 4), strides=[3], pads=[2, 1])
    yield case((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), pads=[0, 1, 0, 1, 0, 1])
    yield case(
        (2, 4, 5, 6, 7), (6, 2, 3, 1, 1), group=2, strides=[2, 1, 1], pads=[1, 0, 0, 1, 0, 0]
    )
    yield case((1, 4, 5, 6, 7), (4, 1, 3, 3, 3), group=4, dilations=[2, 1, 2], act="Relu")
    yield case((1, 5, 1, 1), (17, 5, 1, 1))
    inputs, attrs = case((1, 16, 6, 6), (9, 16, 3, 3), pads=[1, 1, 1, 1])
    yield [inputs[0], inputs[1]], attrs
    yield [inputs[0], inputs[1], None, _draw(rng, (1, 9, 6, 6))], {**attrs, "activation": "Relu"}
    for name, alpha, beta in FUSED_SAMPLES:
        fused: dict[str, AttrValue] = {"activation_alpha": alpha, "activation_beta": beta}
        for group in (1, 8):
            operands, plain = case((1, 8, 5, 6), (8, 8 // group, 3, 3), group=group, act=name)
            yield operands, {**plain, **fused}
    clip: dict[str, AttrValue] = {
        "activation": "Clip",
        "activation_alpha": 0.0,
        "activation_beta": 6.0,
    }
    yield [*inputs, _draw(rng, (1, 9, 6, 6))], {**attrs, **clip}


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(0, 1, shape).astype(np.float32)


OPS = [
    Op(
        name="Conv",
        inputs=("x", "w", "b?", "residual?", "w_scale?", "x_scale?"),
        outputs=("y",),
        weights=("w",),
        attrs={**WINDOW_ATTRS, "group": "i", **ACTIVATION_ATTRS},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
