"""Gated recurrent unit over a sequence, gates in ONNX's order z r h. Cho et al.,
arXiv 1406.1078; with linear_before_reset the reset gate comes after r's product and bias."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.activation import sigmoid
from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import SUM_ATOL, SUM_RTOL, Array, Attrs, Cost, Op, Sample
from coexec.compiler.ir.recurrent import (
    infer_recurrent,
    recurrent_cost,
    recurrent_samples,
    state_product,
    walk,
)


def infer(
    x: TensorType,
    w: TensorType,
    r: TensorType,
    b: TensorType | None,
    initial_h: TensorType | None,
    w_scale: TensorType | None,
    r_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
) -> list[TensorType]:
    states, scales = {"initial_h": initial_h}, (w_scale, r_scale, x_scale)
    return list(infer_recurrent("GRU", 3, x, w, r, b, states, scales, attrs))


def reference(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    initial_h: Array | None,
    w_scale: Array | None,
    r_scale: Array | None,
    x_scale: Array | None,
    attrs: Attrs,
) -> list[Array]:
    hidden, reset_last = attrs.i("hidden_size"), attrs.i("linear_before_reset")
    gates = 2 * hidden
    bias = np.zeros((w.shape[0], 6 * hidden)) if b is None else b.astype(np.float64)

    def cell(projected: Array, now: list[Array], way: int) -> list[Array]:
        h = now[0]

        def times(state: Array, part: slice) -> Array:
            scale = None if r_scale is None else r_scale[way, part]
            return state_product(state, r[way, part], scale)

        b_w, b_r = np.split(bias[way], 2)
        zr = projected[:, :gates] + times(h, slice(gates)) + b_w[:gates] + b_r[:gates]
        z, reset = np.split(sigmoid(zr), 2, axis=1)
        candidate = projected[:, gates:] + b_w[gates:]
        if reset_last:
            candidate = candidate + reset * (times(h, slice(gates, None)) + b_r[gates:])
        else:
            candidate = candidate + times(reset * h, slice(gates, None)) + b_r[gates:]
        return [(1.0 - z) * np.tanh(candidate) + z * h]

    results = walk(x, w, (w_scale, x_scale), hidden, [initial_h], attrs, cell)
    return [result.astype(x.dtype) for result in results]


def cost(
    x: TensorType,
    w: TensorType,
    r: TensorType,
    b: TensorType | None,
    initial_h: TensorType | None,
    w_scale: TensorType | None,
    r_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
    density: float,
) -> Cost:
    y = infer(x, w, r, b, initial_h, w_scale, r_scale, x_scale, attrs)[0]
    return recurrent_cost(x, w, r, [b, initial_h], y, density)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for reset_last in (0, 1):
        extra = {"linear_before_reset": reset_last}
        yield from recurrent_samples(rng, gates=3, states=1, extra={**extra})


OPS = [
    Op(
        name="GRU",
        inputs=("x", "w", "r", "b?", "initial_h?", "w_scale?", "r_scale?", "x_scale?"),
        outputs=("y?", "y_h?"),
        weights=("w", "r"),
        attrs={"hidden_size": "i", "direction": "s", "linear_before_reset": "i"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
