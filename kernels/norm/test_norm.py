"""Normalisations and softmaxes against ONNX Runtime."""

from __future__ import annotations

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

EXAMPLES = settings(deadline=None, max_examples=12)
IMAGES = hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=40)


def normal(shape: tuple[int, ...], seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(0.5, 2, shape), np.float32)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@given(shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=45), data=st.data())
@EXAMPLES
def test_softmax(op: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = normal(shape, 1) * 5
    (expected,) = run_onnxruntime(op, {"axis": axis}, [x])
    assert_close(run_native(op, {"axis": axis}, [x], [x])[0], expected, atol=2e-6)


def test_softmax_of_long_rows_and_large_values() -> None:
    x = normal((2, 50_001), 2) + np.float32(1e4)
    (expected,) = run_onnxruntime("Softmax", {"axis": 1}, [x])
    assert_close(run_native("Softmax", {"axis": 1}, [x], [x])[0], expected, rtol=1e-4)


@given(shape=IMAGES)
@EXAMPLES
def test_batch_normalization(shape: tuple[int, ...]) -> None:
    x = normal(shape, 3)
    scale, bias, mean = (normal(shape[1:2], seed) for seed in (4, 5, 6))
    inputs = [x, scale, bias, mean, np.abs(normal(shape[1:2], 7))]
    (expected,) = run_onnxruntime("BatchNormalization", {"epsilon": 1e-3}, inputs)
    got = run_native("BatchNormalization", {"epsilon": 1e-3}, inputs, [x])[0]
    assert_close(got, expected, rtol=1e-4, atol=1e-4)


@given(shape=hnp.array_shapes(min_dims=3, max_dims=4, min_side=1, max_side=40))
@EXAMPLES
def test_instance_normalization(shape: tuple[int, ...]) -> None:
    inputs = [normal(shape, 8), normal(shape[1:2], 9), normal(shape[1:2], 10)]
    (expected,) = run_onnxruntime("InstanceNormalization", {"epsilon": 1e-2}, inputs)
    got = run_native("InstanceNormalization", {"epsilon": 1e-2}, inputs, [inputs[0]])[0]
    assert_close(got, expected, rtol=1e-4, atol=1e-5)


@given(shape=IMAGES, data=st.data())
@EXAMPLES
def test_layer_normalization(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = normal(shape, 11)
    inputs = [x, normal(shape[axis:], 12)]
    if data.draw(st.booleans()):
        inputs.append(normal(shape[axis:], 13))
    attrs: dict[str, _kernels.AttrValue] = {"axis": axis, "epsilon": 1e-2}
    (expected,) = run_onnxruntime("LayerNormalization", attrs, inputs)
    assert_close(
        run_native("LayerNormalization", attrs, inputs, [x])[0],
        expected,
        rtol=1e-4,
        atol=1e-4,  # ONNX Runtime sums long rows in f32
    )


def test_normalization_far_from_zero_keeps_its_digits() -> None:
    x = normal((3, 4, 100, 101), 14) + np.float32(3000)
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    wide = x.astype(np.float64)
    mean, var = wide.mean((2, 3), keepdims=True), wide.var((2, 3), keepdims=True)
    (got,) = run_native("InstanceNormalization", {"epsilon": 0.0}, [x, one, zero], [x])
    assert_close(got, ((wide - mean) / np.sqrt(var)).astype(np.float32), rtol=1e-4, atol=1e-4)


def test_refusals_say_what_was_given() -> None:
    x = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(_kernels.UnsupportedLayerError, match="scaled by"):
        make_step("LayerNormalization", {"axis": 1, "epsilon": 0.1}, [x, x[0, 0]], [x])
    with pytest.raises(ValueError, match="expected 3 elements"):
        make_step("InstanceNormalization", {"epsilon": 0.1}, [x, x[0, 0], x[0, 0]], [x])
    with pytest.raises(_kernels.UnsupportedLayerError, match="Softmax of f64"):
        make_step("Softmax", {"axis": 0}, [x.astype(np.float64)], [x.astype(np.float64)])
