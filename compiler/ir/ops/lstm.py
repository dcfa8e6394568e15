"""Long short-term memory over a sequence, gates in ONNX's order i o f c, no peepholes.
Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, with the forget gate of Gers et al."""

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
    initial_c: TensorType | None,
    w_scale: TensorType | None,
    r_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
) -> list[TensorType]:
    states = {"initial_h": initial_h, "initial_c": initial_c}
    y, final = infer_recurrent("LSTM", 4, x, w, r, b, states, (w_scale, r_scale, x_scale), attrs)
    return [y, final, final]


def reference(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    initial_h: Array | None,
    initial_c: Array | None,
    w_scale: Array | None,
    r_scale: Array | None,
    x_scale: Array | None,
    attrs: Attrs,
) -> list[Array]:
    hidden = attrs.i("hidden_size")
    bias = np.zeros((w.shape[0], 8 * hidden)) if b is None else b.astype(np.float64)

    def cell(projected: Array, now: list[Array], way: int) -> list[Array]:
        h, c = now
        total = bias[way, : 4 * hidden] + bias[way, 4 * hidden :]
        product = state_product(h, r[way], None if r_scale is None else r_scale[way])
        i, o, f, g = np.split(projected + product + total, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]

    results = walk(x, w, (w_scale, x_scale), hidden, [initial_h, initial_c], attrs, cell)
    return [result.astype(x.dtype) for result in results]


def cost(
    x: TensorType,
    w: TensorType,
    r: TensorType,
    b: TensorType | None,
    initial_h: TensorType | None,
    initial_c: TensorType | None,
    w_scale: TensorType | None,
    r_scale: TensorType | None,
    x_scale: TensorType | None,
    attrs: Attrs,
    density: float,
) -> Cost:
    y = infer(x, w, r, b, initial_h, initial_c, w_scale, r_scale, x_scale, attrs)[0]
    return recurrent_cost(x, w, r, [b, initial_h, initial_c], y, density)


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    return recurrent_samples(rng, gates=4, states=2, extra={})


OPS = [
    Op(
        name="LSTM",
        inputs=(
            "x",
            "w",
            "r",
            "b?",
            "initial_h?",
            "initial_c?",
            "w_scale?",
            "r_scale?",
            "x_scale?",
        ),
        outputs=("y?", "y_h?", "y_c?"),
        weights=("w", "r"),
        attrs={"hidden_size": "i", "direction": "s"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]
