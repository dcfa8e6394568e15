"""What LSTM and GRU have in common: operand checks, directions, the walk over time.

w and r may be of i8, each alone: then w_scale[D, G*H] and x_scale, or r_scale[D, G*H], say what
integers stand for (see ir/integers.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from coexec.compiler.ir.graph import AttrValue, TensorType
from coexec.compiler.ir.integers import (
    STATE_STEPS,
    integers_of,
    integers_of_state,
    products,
    require_scale,
)
from coexec.compiler.ir.op import (
    Array,
    Attrs,
    Cost,
    Sample,
    require,
    require_float,
    require_float_weights,
    traffic,
)

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def infer_recurrent(
    op: str,
    gates: int,
    x: TensorType,
    w: TensorType,
    r: TensorType,
    b: TensorType | None,
    states: dict[str, TensorType | None],
    scales: Sequence[TensorType | None],
    attrs: Attrs,
) -> tuple[TensorType, TensorType]:
    """Types of y[T, D, B, H] and of one final state [D, B, H]; scales are those of w, r, x."""
    dtype = require_float(op, x=x, b=b, **states)
    hidden, direction = attrs.i("hidden_size"), attrs.s("direction")
    require(
        direction in DIRECTIONS,
        f"{op}: direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}",
    )
    require(len(x.shape) == 3, f"{op}: x must be [T, B, I], got {x.shape}")
    ways, (steps, batch, width) = DIRECTIONS[direction], x.shape
    expected = {
        "w": (w, (ways, gates * hidden, width)),
        "r": (r, (ways, gates * hidden, hidden)),
        "b": (b, (ways, 2 * gates * hidden)),
        **{name: (state, (ways, batch, hidden)) for name, state in states.items()},
    }
    for name, (operand, shape) in expected.items():
        require(
            operand is None or operand.shape == shape,
            f"{op}: {name} must be {shape}, got {operand and operand.shape}",
        )
    _check_weights(op, x, w, r, scales)
    return TensorType(dtype, (steps, ways, batch, hidden)), TensorType(dtype, (ways, batch, hidden))


def _check_weights(
    op: str, x: TensorType, w: TensorType, r: TensorType, scales: Sequence[TensorType | None]
) -> None:
    w_scale, r_scale, x_scale = scales
    of_w = {"w_scale": (w_scale, w.shape[:2]), "x_scale": (x_scale, (2,))}
    of_r = {"r_scale": (r_scale, r.shape[:2])}
    for name, weight, beside in (("w", w, of_w), ("r", r, of_r)):
        if weight.dtype != "i8":
            require_float_weights(op, x, **{name: weight})
            present = [scale_name for scale_name, (scale, _) in beside.items() if scale]
            require(not present, f"{op}: {', '.join(present)} is for {name} of i8")
            continue
        require(x.dtype == "f32", f"{op}: x must be f32 for {name} of i8, got {x.dtype}")
        for scale_name, (scale, shape) in beside.items():
            require_scale(op, scale_name, scale, *shape)


def state_product(h: Array, r: Array, r_scale: Array | None) -> Array:
    """h[B, H] times rows r[M, H], in double; r_scale[M] when r is of i8."""
    if r_scale is None:
        exact: Array = h @ r.astype(np.float64).T
        return exact
    scale = r_scale * np.float32(1 / STATE_STEPS)
    return products(integers_of_state(h) @ r.astype(np.float64).T, scale)


def _input_product(x: Array, w: Array, w_scale: Array | None, x_scale: Array | None) -> Array:
    if w_scale is None or x_scale is None:
        exact: Array = x.astype(np.float64) @ w.astype(np.float64).T
        return exact
    return products(integers_of(x, x_scale) @ w.astype(np.float64).T, x_scale[0] * w_scale)


# (x[t] @ w.T [B, G*H], state arrays [B, H], way) -> next state arrays; the first is the output.
Cell = Callable[[Array, list[Array], int], list[Array]]


def walk(
    x: Array,
    w: Array,
    scales: tuple[Array | None, Array | None],
    hidden: int,
    states: list[Array | None],
    attrs: Attrs,
    cell: Cell,
) -> list[Array]:
    """y, then the final states, in double. scales: w_scale and x_scale."""
    w_scale, x_scale = scales
    ways, (steps, batch, _) = w.shape[0], x.shape
    y = np.zeros((steps, ways, batch, hidden))
    finals = [np.zeros((ways, batch, hidden)) for _ in states]
    for way in range(ways):
        backwards = attrs.s("direction") == "reverse" or way == 1
        of_way = None if w_scale is None else w_scale[way]
        projected = _input_product(x, w[way], of_way, x_scale)
        now = [np.zeros((batch, hidden)) if s is None else s[way].astype(float) for s in states]
        for t in reversed(range(steps)) if backwards else range(steps):
            now = cell(projected[t], now, way)
            y[t, way] = now[0]
        for final, state in zip(finals, now, strict=True):
            final[way] = state
    return [y, *finals]


def recurrent_cost(
    x: TensorType,
    w: TensorType,
    r: TensorType,
    others: list[TensorType | None],
    y: TensorType,
    density: float,
) -> Cost:
    steps, batch = x.shape[:2]
    stored = round((w.elements + r.elements) * density)
    # About 40 operations per hidden element for the gates' functions.
    return Cost(
        flops=2 * stored * steps * batch + 40 * y.elements,
        bytes=traffic(x, *others, y, w, r, density=density, weights=2),
    )


def recurrent_samples(
    rng: np.random.Generator, gates: int, states: int, extra: dict[str, AttrValue]
) -> Iterator[Sample]:
    for steps, batch, width, hidden, direction in [
        (1, 1, 4, 3, "forward"), (5, 2, 7, 6, "bidirectional"), (4, 3, 16, 17, "reverse"),
        (3, 1, 1, 1, "forward"),
    ]:  # fmt: skip
        ways = DIRECTIONS[direction]
        shapes = [
            (steps, batch, width), (ways, gates * hidden, width), (ways, gates * hidden, hidden),
            (ways, 2 * gates * hidden), *[(ways, batch, hidden)] * states,
        ]  # fmt: skip
        operands: list[Array | None] = [
            rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes
        ]
        attrs: dict[str, AttrValue] = {"hidden_size": hidden, "direction": direction, **extra}
        yield operands, attrs
        yield operands[:3], attrs
        yield [*operands[:3], None, *operands[4:]], attrs
