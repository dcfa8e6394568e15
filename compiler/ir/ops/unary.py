"""Elementwise functions of one operand: Relu ... Silu, LeakyRelu ... Clip, Gelu, Not.
They differ by a function and its parameters only, so they share this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from coexec.compiler.ir.activation import PARAMETERIZED, PLAIN, gelu
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
    elementwise_cost,
    require,
)

# One rounding of one operation: a kernel has no room to differ.
_EXACT = frozenset(
    ("Relu", "Abs", "Neg", "Floor", "Ceil", "Round", "Sign", "Clip", "FakeQuantize", "Not")
)
# Defined for integers too.
_ANY_NUMBER = frozenset(("Relu", "Abs", "Neg", "Sign", "Clip"))
_POSITIVE = frozenset(("Sqrt", "Log", "Reciprocal"))
# Rough work per element: a polynomial of about ten terms, or a handful of plain operations.
_FLOPS_MATH, _FLOPS_PLAIN = 20, 2

_EDGES = (-90.0, -6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 6.0, 80.0)
_PARAMETERS: dict[str, list[tuple[float, ...]]] = {
    "LeakyRelu": [(0.01,), (-0.3,)],
    "Elu": [(1.0,), (0.25,)],
    "Celu": [(1.0,), (2.0,)],
    "ThresholdedRelu": [(1.0,), (0.0,)],
    "Selu": [(1.67326319, 1.05070102), (2.0, 3.0)],
    "HardSigmoid": [(0.2, 0.5), (1.0 / 6.0, 0.5)],
    "Clip": [(0.0, 6.0), (-1.5, 2.0), (-3.4028234663852886e38, 3.0)],
    "FakeQuantize": [(0.125, 0.0), (0.03, 127.0), (0.07, 255.0)],
}


def _infer(name: str, x: TensorType) -> list[TensorType]:
    allowed = ("bool",) if name == "Not" else NUMERIC if name in _ANY_NUMBER else FLOATS
    require(x.dtype in allowed, f"{name}: x must be one of {', '.join(allowed)}, got {x.dtype}")
    return [TensorType(x.dtype, x.shape)]


def _apply(function: Callable[[Array], Array], x: Array) -> Array:
    """In double for floating dtypes, in the dtype itself for integers."""
    if x.dtype.kind in "iu":
        return function(x).astype(x.dtype)
    with np.errstate(all="ignore"):
        return function(x.astype(np.float64)).astype(x.dtype)


def _inputs(name: str, rng: np.random.Generator) -> Iterator[Array]:
    edges = np.array(_EDGES, np.float32)
    values = [rng.normal(0, 3, shape).astype(np.float32) for shape in [(2, 3, 5), (1,), (0, 4)]]
    for x in [*values, rng.normal(0, 3, ()).astype(np.float32), edges]:
        yield np.abs(x) + np.float32(1e-3) if name in _POSITIVE else x
    if name in _ANY_NUMBER:
        yield rng.integers(-9, 9, (3, 7)).astype(np.int32)
        yield rng.integers(-9, 9, (5,)).astype(np.int64)


def _op(
    name: str,
    attrs: dict[str, str],
    function: Callable[[Array, Attrs], Array],
    choices: list[dict[str, AttrValue]],
) -> Op:
    def infer(x: TensorType, _: Attrs) -> list[TensorType]:
        return _infer(name, x)

    def reference(x: Array, attrs: Attrs) -> list[Array]:
        if name == "Not":
            return [np.logical_not(x)]
        return [_apply(lambda v: function(v, attrs), x)]

    def cost(x: TensorType, _: Attrs, _density: float) -> Cost:
        return elementwise_cost(_FLOPS_PLAIN if name in _EXACT else _FLOPS_MATH, x, x)

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for choice in choices:
            if name == "Not":
                yield [rng.random((3, 5)) < 0.5], {}
                continue
            for x in _inputs(name, rng):
                if name == "Clip" and x.dtype.kind == "i" and choice["min"] != 0.0:
                    continue  # bounds that the dtype cannot hold have no meaning
                yield [x], choice

    return Op(
        name=name,
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs=attrs,
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT if name in _EXACT else MATH_RTOL,
        atol=EXACT if name in _EXACT else MATH_ATOL,
    )


def _plain(name: str) -> Op:
    function = PLAIN[name]
    return _op(name, {}, lambda x, _: function(x), [{}])


def _parameterized(name: str) -> Op:
    names, function = PARAMETERIZED[name]

    def call(x: Array, attrs: Attrs) -> Array:
        values = [attrs.f(n) for n in names]
        return function(x, values[0], values[1] if len(values) > 1 else 0.0)

    choices: list[dict[str, AttrValue]] = [
        dict(zip(names, values, strict=True)) for values in _PARAMETERS[name]
    ]
    return _op(name, dict.fromkeys(names, "f"), call, choices)


OPS = [
    *map(_plain, PLAIN),
    *map(_parameterized, PARAMETERIZED),
    _op(
        "Gelu",
        {"approximate": "s"},
        lambda x, attrs: gelu(x, attrs.s("approximate")),
        [{"approximate": "none"}, {"approximate": "tanh"}],
    ),
    _op("Not", {}, lambda x, _: x, [{}]),
]
