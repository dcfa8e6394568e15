"""Elementwise ops against ONNX Runtime, and against NumPy where it has no kernel."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.kernels import _kernels
from coexec.kernels.test_harness import (
    Array,
    assert_close,
    make_step,
    run_native,
    run_onnxruntime,
)

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=9)
EXAMPLES = settings(deadline=None, max_examples=8)

UNARY: dict[str, dict[str, float]] = {
    "Relu": {}, "Sigmoid": {}, "Tanh": {}, "Sqrt": {}, "Exp": {}, "Log": {}, "Abs": {}, "Neg": {},
    "Floor": {}, "Ceil": {}, "Round": {}, "Reciprocal": {}, "Sign": {}, "Sin": {}, "Cos": {},
    "Erf": {}, "Softplus": {}, "Softsign": {}, "HardSwish": {}, "Mish": {},
    "LeakyRelu": {"alpha": 0.1}, "Elu": {"alpha": 1.5}, "Celu": {"alpha": 0.7},
    "ThresholdedRelu": {"alpha": 1.25}, "Selu": {"alpha": 1.6, "gamma": 1.1},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
}  # fmt: skip


def normal(shape: tuple[int, ...], seed: int, scale: float = 3.0) -> Array:
    x = np.random.default_rng(seed).normal(0, scale, shape)
    return np.asarray(x, np.float32)


@pytest.mark.parametrize("op", UNARY)
@given(shape=SHAPES, seed=st.integers(0, 99))
@EXAMPLES
def test_unary(op: str, shape: tuple[int, ...], seed: int) -> None:
    x = normal(shape, seed)
    if op in ("Sqrt", "Log"):
        x = np.abs(x) + np.float32(1e-3)
    (expected,) = run_onnxruntime(op, UNARY[op], [x])
    (got,) = run_native(op, {**UNARY[op]}, [x], [expected])
    assert_close(got, expected, atol=1e-6)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_and_silu(approximate: str) -> None:
    x = normal((3, 77), 1)
    (expected,) = run_onnxruntime("Gelu", {"approximate": approximate}, [x])
    assert_close(run_native("Gelu", {"approximate": approximate}, [x], [x])[0], expected)
    silu = np.asarray(x / (1 + np.exp(-x.astype(np.float64))), np.float32)
    assert_close(run_native("Silu", {}, [x], [x])[0], silu)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_clip(dtype: type[np.generic]) -> None:
    x: Array = normal((5, 41), 2).astype(dtype)
    bounds: list[Array] = [np.asarray(-2, dtype), np.asarray(3, dtype)]
    (expected,) = run_onnxruntime("Clip", {}, [x, *bounds])
    (got,) = run_native("Clip", {"min": -2.0, "max": 3.0}, [x], [x])
    assert_close(got, expected, rtol=0, atol=0)
    wide: dict[str, _kernels.AttrValue] = {"min": -3.4028235e38, "max": 3.4028235e38}
    assert_close(run_native("Clip", wide, [x], [x])[0], x, rtol=0, atol=0)


def test_clip_keeps_bounds_that_f32_cannot_hold() -> None:
    x = np.array([0, 1 << 40], np.int64)
    (got,) = run_native("Clip", {"min": 16777217.0, "max": float((1 << 33) + 1)}, [x], [x])
    np.testing.assert_array_equal(got, [16777217, (1 << 33) + 1])


ARITHMETIC = ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"]
COMPARISONS = ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]


@st.composite
def operands(draw: st.DrawFn, dtype: str) -> tuple[Array, Array]:
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=20))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    low = 1 if dtype.startswith("u") else -5
    a, b = (np.asarray(rng.integers(low, 6, s)) for s in shapes.input_shapes)
    if dtype.startswith("float"):
        return np.asarray(a + 0.25, dtype), np.asarray(b / 2 + 0.125, dtype)
    return np.asarray(a, dtype), np.asarray(b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "float64", "uint8"])
@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
@given(data=st.data())
@EXAMPLES
def test_binary(op: str, dtype: str, data: st.DataObject) -> None:
    a, b = data.draw(operands(dtype))
    if op == "Div" and not dtype.startswith("float"):
        b = np.where(b == 0, np.asarray(3, dtype), b)
    if op == "Pow":
        a, b = np.abs(a), np.abs(b)
    if op == "Pow" and dtype == "uint8":
        expected = np.asarray(np.power(a, b))
    else:
        (expected,) = run_onnxruntime(op, {}, [a, b])
    (got,) = run_native(op, {}, [a, b], [expected])
    assert_close(got, expected, rtol=3e-7 if op == "Pow" else 0, atol=0)


@pytest.mark.parametrize("exponent", [2.0, 3.0, 0.5, -1.5])
def test_pow_by_one_exponent(exponent: float) -> None:
    a = np.abs(normal((7, 33), 3))
    b = np.float32(exponent).reshape(1, 1)
    (expected,) = run_onnxruntime("Pow", {}, [a, b])
    assert_close(run_native("Pow", {}, [a, b], [expected])[0], expected, rtol=3e-7)


@given(data=st.data())
@EXAMPLES
def test_prelu(data: st.DataObject) -> None:
    x = normal(data.draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=20)), 4)
    slope = normal((x.shape[1],) + (1,) * (x.ndim - 2), 5)
    (expected,) = run_onnxruntime("PRelu", {}, [x, slope])
    assert_close(run_native("PRelu", {}, [x, slope], [expected])[0], expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize("fmod", [0, 1])
@given(data=st.data())
@EXAMPLES
def test_mod(dtype: str, fmod: int, data: st.DataObject) -> None:
    a, b = data.draw(operands(dtype))
    if dtype == "float32":
        fmod = 1
    else:
        b = np.where(b == 0, np.asarray(4, dtype), b)
    (expected,) = run_onnxruntime("Mod", {"fmod": fmod}, [a, b])
    assert_close(run_native("Mod", {"fmod": fmod}, [a, b], [expected])[0], expected, rtol=0, atol=0)


def test_integer_division_never_traps() -> None:
    a = np.asarray([7, -(2**31), 5, -(2**31)], np.int32)
    b = np.asarray([0, -1, -2, 0], np.int32)
    (quotient,) = run_native("Div", {}, [a, b], [a])
    np.testing.assert_array_equal(quotient, np.asarray([0, -(2**31), -2, 0], np.int32))
    for fmod in (0, 1):
        (rest,) = run_native("Mod", {"fmod": fmod}, [a, b], [a])
        np.testing.assert_array_equal(rest, np.asarray([0, 0, 1 if fmod else -1, 0], np.int32))


@pytest.mark.parametrize("op", ["And", "Or", "Xor", "Equal"])
@given(data=st.data())
@EXAMPLES
def test_logic(op: str, data: st.DataObject) -> None:
    a, b = (x > 0 for x in data.draw(operands("int32")))
    (expected,) = run_onnxruntime(op, {}, [a, b])
    assert_close(run_native(op, {}, [a, b], [expected])[0], expected)
    assert_close(run_native("Not", {}, [a], [a])[0], ~a)


def test_nan_passes_through_min_max_and_clip() -> None:
    a = np.asarray([np.nan, 1, np.nan, 2], np.float32)
    b = np.asarray([1, np.nan, np.nan, 3], np.float32)
    for op, reference in (("Min", np.minimum), ("Max", np.maximum)):
        np.testing.assert_array_equal(run_native(op, {}, [a, b], [a])[0], reference(a, b))
    clipped = run_native("Clip", {"min": 0.0, "max": 1.5}, [a], [a])[0]
    np.testing.assert_array_equal(clipped, np.clip(a, 0, 1.5))


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "float16", "bool"])
@given(data=st.data())
@EXAMPLES
def test_where(dtype: str, data: st.DataObject) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=12))
    rng = np.random.default_rng(6)
    c, a, b = (np.asarray(rng.integers(0, 9, s)) for s in shapes.input_shapes)
    condition, a, b = np.asarray(c > 4), np.asarray(a, dtype), np.asarray(b, dtype)
    expected = np.where(condition, a, b)
    assert_close(run_native("Where", {}, [condition, a, b], [expected])[0], expected)


CAST_DTYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"]
IR_NAMES = dict(zip(CAST_DTYPES, ["bool", "u8", "i8", "i32", "i64", "f16", "f32", "f64"],
                    strict=True))  # fmt: skip


@pytest.mark.parametrize("source", CAST_DTYPES)
def test_cast(source: str) -> None:
    values: Any = [0, 1, 2, 3, 100, 127] if source in ("uint8", "bool") else [-100, -1, 0, 1, 2, 99]
    x = np.asarray(values, source)
    if source.startswith("float"):
        x = np.concatenate([x, np.asarray([0.5, -0.75, 2.999, 1e-7, 6e-5, 0.333], source)])
    for target in CAST_DTYPES:
        expected = np.abs(x).astype(target) if target == "uint8" else x.astype(target)
        given_x = np.abs(x) if target == "uint8" else x
        attrs: dict[str, _kernels.AttrValue] = {"to": IR_NAMES[target]}
        assert_close(run_native("Cast", attrs, [given_x], [expected])[0], expected, rtol=0, atol=0)


def test_cast_to_f16_rounds_as_numpy_does() -> None:
    rng = np.random.default_rng(7)
    x = np.concatenate([
        rng.normal(0, 1, 5000), rng.normal(0, 1e-6, 5000), rng.normal(0, 4e4, 5000),
        [65519.0, 65520.0, np.inf, -np.inf, 2049.0, 2051.0, 2.0**-25, 1.5 * 2.0**-24],
    ]).astype(np.float32)  # fmt: skip
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    assert_close(run_native("Cast", {"to": "f16"}, [x], [expected])[0], expected, rtol=0, atol=0)
    assert_close(run_native("Cast", {"to": "f32"}, [expected], [x])[0],
                 expected.astype(np.float32), rtol=0, atol=0)  # fmt: skip


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), ()])
def test_empty_and_scalar(shape: tuple[int, ...]) -> None:
    x = normal(shape, 8)
    assert_close(run_native("Add", {}, [x, x], [x])[0], x + x)
    assert_close(run_native("Relu", {}, [x], [x])[0], np.maximum(x, 0))


def test_refusals_say_what_was_given() -> None:
    x, wide = np.zeros(3, np.float32), np.zeros(3, np.float64)
    with pytest.raises(_kernels.UnsupportedLayerError, match="Add of f32 and f64"):
        make_step("Add", {}, [x, wide], [x])
    with pytest.raises(_kernels.UnsupportedLayerError, match="Tanh of f64"):
        make_step("Tanh", {}, [wide], [wide])
    with pytest.raises(ValueError, match="does not broadcast"):
        make_step("Add", {}, [x, np.zeros(4, np.float32)], [x])
    with pytest.raises(ValueError, match='"alpha" is missing'):
        make_step("Elu", {}, [x], [x])


def test_labels_and_aliasing() -> None:
    x, row = np.zeros((2, 3), np.float32), np.zeros(3, np.float32)
    step = make_step("Add", {}, [x, row], [x])
    assert step.kernel.startswith("add_f32_dense_")
    assert step.in_place(0)
    assert not step.in_place(1)
    assert not make_step("Less", {}, [x, x], [x > 0]).in_place(0)
