"""Reductions, ArgMax, ArgMin and TopK against ONNX Runtime and NumPy."""

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
SHAPES = hnp.array_shapes(min_dims=1, max_dims=5, min_side=1, max_side=9)
REDUCTIONS = [
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
]  # fmt: skip


def uniform(shape: tuple[int, ...], seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, shape), np.float32)


def compare(op: str, x: Array, axes: list[int], keepdims: int, rtol: float) -> None:
    (expected,) = run_onnxruntime(
        op, {"keepdims": keepdims}, [x, np.asarray(axes, np.int64)], constants=[1]
    )
    attrs: dict[str, _kernels.AttrValue] = {"axes": axes, "keepdims": keepdims}
    assert_close(run_native(op, attrs, [x], [expected])[0], expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("op", REDUCTIONS)
@given(shape=SHAPES, data=st.data())
@EXAMPLES
def test_reduce(op: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    compare(op, uniform(shape, 1), sorted(axes), data.draw(st.integers(0, 1)), 2e-5)


@pytest.mark.parametrize("axes", [[2, 3], [0, 2, 3], [1], [0], [0, 1, 2, 3], [3]])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax", "ReduceLogSumExp"])
def test_reduce_many_elements(op: str, axes: list[int]) -> None:
    compare(op, uniform((3, 70, 83, 67), 2), axes, 1, 2e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceMin"])
@given(shape=SHAPES, data=st.data())
@EXAMPLES
def test_reduce_integers(op: str, dtype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    x = np.asarray(np.random.default_rng(3).integers(-99, 99, shape), dtype)
    compare(op, x, sorted(axes), 1, 0)


def test_long_sums_keep_their_digits() -> None:
    x = uniform((1_000_003,), 4)
    got = run_native("ReduceSum", {"axes": [0], "keepdims": 0}, [x], [x[0]])[0]
    assert_close(got, np.asarray(x.astype(np.float64).sum(), np.float32), rtol=2e-7, atol=0)
    tall = uniform((100_003, 3), 5)
    got = run_native("ReduceSum", {"axes": [0], "keepdims": 0}, [tall], [tall[0]])[0]
    assert_close(got, tall.astype(np.float64).sum(0).astype(np.float32), rtol=1e-6, atol=0)


def test_extremes_and_infinities() -> None:
    x = np.asarray([[1, np.nan, 3], [-np.inf, -np.inf, -np.inf], [np.inf, 0, -1]], np.float32)
    attrs: dict[str, _kernels.AttrValue] = {"axes": [1], "keepdims": 0}
    for op, reference in (
        ("ReduceMax", x.max(1)),
        ("ReduceMin", x.min(1)),
        ("ReduceLogSumExp", np.asarray([np.nan, -np.inf, np.inf], np.float32)),
    ):
        assert_close(run_native(op, attrs, [x], [reference])[0], reference, rtol=0, atol=0)
        assert_close(
            run_native(op, {**attrs, "axes": [0]}, [np.ascontiguousarray(x.T)], [reference])[0],
            reference,
            rtol=0,
            atol=0,
        )


def test_nothing_to_reduce() -> None:
    x = np.zeros((3, 0), np.float32)
    y = run_native("ReduceSum", {"axes": [1], "keepdims": 0}, [x], [np.zeros(3, np.float32)])[0]
    assert_close(y, np.zeros(3, np.float32))
    x = uniform((3, 4), 6)
    assert_close(run_native("ReduceL2", {"axes": [], "keepdims": 1}, [x], [x])[0], x)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
@given(shape=SHAPES, dtype=st.sampled_from(["float32", "int32", "uint8"]), data=st.data())
@EXAMPLES
def test_arg(op: str, last: int, shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    keepdims = data.draw(st.integers(0, 1))
    x = np.asarray(np.random.default_rng(7).integers(0, 5, shape), dtype)
    attrs: dict[str, _kernels.AttrValue] = {
        "axis": axis, "keepdims": keepdims, "select_last_index": last
    }  # fmt: skip
    (expected,) = run_onnxruntime(op, attrs, [x])
    assert_close(run_native(op, attrs, [x], [expected])[0], expected)


@given(
    shape=SHAPES, dtype=st.sampled_from(["float32", "int64"]), largest=st.integers(0, 1),
    data=st.data(),
)  # fmt: skip
@EXAMPLES
def test_top_k(shape: tuple[int, ...], dtype: str, largest: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    k = data.draw(st.integers(1, shape[axis]))
    x = np.asarray(np.random.default_rng(8).integers(0, 6, shape), dtype)
    expected = run_onnxruntime(
        "TopK", {"axis": axis, "largest": largest, "sorted": 1}, [x, np.asarray([k])],
        outputs=2, constants=[1],
    )  # fmt: skip
    attrs: dict[str, _kernels.AttrValue] = {
        "axis": axis, "k": k, "largest": largest, "sorted": 1
    }  # fmt: skip
    for got, want in zip(run_native("TopK", attrs, [x], expected), expected, strict=True):
        assert_close(got, want)


def test_refusals_say_what_was_given() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="k 4 of axis 1"):
        make_step("TopK", {"axis": 1, "k": 4, "largest": 1, "sorted": 1}, [x], [x, x])
    with pytest.raises(ValueError, match=r"expected the shape \[2, 1\]"):
        make_step("ReduceSum", {"axes": [1], "keepdims": 1}, [x], [x])
    half = x.astype(np.float16)
    with pytest.raises(_kernels.UnsupportedLayerError, match="ReduceMean of f16"):
        make_step("ReduceMean", {"axes": [], "keepdims": 1}, [half], [half])
