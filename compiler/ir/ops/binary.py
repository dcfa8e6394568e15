"""Elementwise functions of two operands with NumPy broadcasting: arithmetic, comparison, logic,
Mod and PRelu. They differ by a function and by the dtypes it is for, so they share this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from coexec.compiler.ir.graph import AttrValue, TensorType
from coexec.compiler.ir.op import (
    EXACT,
    FLOATS,
    MATH_ATOL,
    MATH_RTOL,
    NUMERIC,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    broadcast,
    elementwise_cost,
    require,
    same_dtype,
)


def _div(a: Array, b: Array, _: Attrs) -> Array:
    if a.dtype.kind == "f":
        return np.divide(a, b)
    quotient = np.floor_divide(a, b)
    # Floor and truncation part where the exact quotient is negative and not whole.
    return np.asarray(quotient + ((a % b != 0) & ((a < 0) != (b < 0))))


def _mod(a: Array, b: Array, attrs: Attrs) -> Array:
    """fmod 1: the sign of a, as in C; 0: the sign of b, as in Python."""
    return np.fmod(a, b) if attrs.i("fmod") else np.mod(a, b)


def _pow(a: Array, b: Array, _: Attrs) -> Array:
    return np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)


class _Row(NamedTuple):
    name: str
    function: Callable[[Array, Array, Attrs], Array]
    dtypes: tuple[str, ...]
    is_bool: bool = False  # the result is bool whatever the operands are


_BOOL = ("bool",)
_TABLE = (
    _Row("Add", lambda a, b, _: np.add(a, b), NUMERIC),
    _Row("Sub", lambda a, b, _: np.subtract(a, b), NUMERIC),
    _Row("Mul", lambda a, b, _: np.multiply(a, b), NUMERIC),
    _Row("Div", _div, NUMERIC),
    _Row("Pow", _pow, NUMERIC),
    _Row("Min", lambda a, b, _: np.minimum(a, b), NUMERIC),
    _Row("Max", lambda a, b, _: np.maximum(a, b), NUMERIC),
    _Row("Mod", _mod, NUMERIC),
    _Row("PRelu", lambda a, b, _: np.where(a < 0, a * b, a), FLOATS),
    _Row("Equal", lambda a, b, _: np.equal(a, b), (*NUMERIC, "bool"), is_bool=True),
    _Row("Less", lambda a, b, _: np.less(a, b), NUMERIC, is_bool=True),
    _Row("LessOrEqual", lambda a, b, _: np.less_equal(a, b), NUMERIC, is_bool=True),
    _Row("Greater", lambda a, b, _: np.greater(a, b), NUMERIC, is_bool=True),
    _Row("GreaterOrEqual", lambda a, b, _: np.greater_equal(a, b), NUMERIC, is_bool=True),
    _Row("And", lambda a, b, _: np.logical_and(a, b), _BOOL, is_bool=True),
    _Row("Or", lambda a, b, _: np.logical_or(a, b), _BOOL, is_bool=True),
    _Row("Xor", lambda a, b, _: np.logical_xor(a, b), _BOOL, is_bool=True),
)

# Pairs of shapes: equal, one value, per channel, both sides stretched, scalars, nothing at all.
_SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3, 5), (2, 3, 5)),
    ((2, 3, 5), (1,)),
    ((2, 3, 4, 5), (3, 1, 1)),
    ((4, 1, 3), (1, 5, 1)),
    ((), ()),
    ((3, 0), (1, 1)),
    ((17,), (17,)),
]


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype == "f32":
        return np.asarray(rng.normal(0, 2, shape), np.float32)
    numbers = rng.integers(1, 9, shape) * rng.choice([-1, 1], shape)
    return np.asarray(numbers, np.int64 if dtype == "i64" else np.int32)


def _operands(name: str, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    row = next(r for r in _TABLE if r.name == name)
    dtypes = [d for d in ("f32", "i32", "i64", "bool") if d in row.dtypes]
    for dtype in dtypes:
        for a_shape, b_shape in _SHAPES:
            if name == "PRelu" and np.broadcast_shapes(a_shape, b_shape) != a_shape:
                continue
            a, b = _draw(rng, a_shape, dtype), _draw(rng, b_shape, dtype)
            if name == "Pow":
                a, b = np.abs(a), np.abs(b) if dtype != "f32" else b
            yield a, b


def _op(row: _Row) -> Op:
    name = row.name
    attrs = {"fmod": "i"} if name == "Mod" else {}

    def infer(a: TensorType, b: TensorType, _: Attrs) -> list[TensorType]:
        dtype = same_dtype(name, a=a, b=b)
        require(
            dtype in row.dtypes, f"{name}: a must be one of {', '.join(row.dtypes)}, got {dtype}"
        )
        shape = broadcast(name, a, b)
        require(
            name != "PRelu" or shape == a.shape,
            f"PRelu: slope {b.shape} must broadcast to x {a.shape}",
        )
        return [TensorType("bool" if row.is_bool else dtype, shape)]

    def reference(a: Array, b: Array, attrs: Attrs) -> list[Array]:
        with np.errstate(all="ignore"):
            return [np.asarray(row.function(a, b, attrs))]

    def cost(a: TensorType, b: TensorType, attrs: Attrs, _density: float) -> Cost:
        return elementwise_cost(20 if name == "Pow" else 1, a, b, infer(a, b, attrs)[0])

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        choices: list[dict[str, AttrValue]] = [{"fmod": 0}, {"fmod": 1}] if attrs else [{}]
        for choice in choices:
            for a, b in _operands(name, rng):
                if name == "Mod" and a.dtype.kind == "f" and choice["fmod"] == 0:
                    continue  # ONNX defines the float remainder with fmod 1 only
                yield [a, b], choice

    return Op(
        name=name,
        inputs=("x", "slope") if name == "PRelu" else ("a", "b"),
        outputs=("y",),
        weights=(),
        attrs=attrs,
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=MATH_RTOL if name == "Pow" else EXACT,
        atol=MATH_ATOL if name == "Pow" else EXACT,
    )


OPS = [_op(row) for row in _TABLE]
