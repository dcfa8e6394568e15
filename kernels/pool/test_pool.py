"""Pooling against ONNX Runtime."""

from __future__ import annotations

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

EXAMPLES = settings(deadline=None, max_examples=40)


def normal(shape: tuple[int, ...], seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(0, 2, shape), np.float32)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, _kernels.AttrValue]]:
    """A shape [N, C, *S] and the attributes both pools share."""
    rank = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)),
             *(draw(st.integers(r, 40 if rank < 3 else 12)) for r in reach))  # fmt: skip
    return shape, {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 4)) for _ in range(rank)],
        "pads": pads,
        "dilations": dilations,
        "ceil_mode": draw(st.integers(0, 1)),
    }


@given(window=windows())
@EXAMPLES
def test_max_pool(window: tuple[tuple[int, ...], dict[str, _kernels.AttrValue]]) -> None:
    x = normal(window[0], 1)
    (expected,) = run_onnxruntime("MaxPool", window[1], [x])
    assert_close(run_native("MaxPool", window[1], [x], [expected])[0], expected, rtol=0, atol=0)


@given(window=windows(), include_pad=st.integers(0, 1))
@EXAMPLES
def test_average_pool(
    window: tuple[tuple[int, ...], dict[str, _kernels.AttrValue]], include_pad: int
) -> None:
    x = normal(window[0], 2)
    attrs = {**window[1], "count_include_pad": include_pad}
    (expected,) = run_onnxruntime("AveragePool", attrs, [x])
    assert_close(run_native("AveragePool", attrs, [x], [expected])[0], expected, atol=1e-5)


def test_many_planes() -> None:
    x = normal((2, 64, 112, 112), 3)
    attrs: dict[str, _kernels.AttrValue] = {
        "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1],
        "ceil_mode": 0,
    }  # fmt: skip
    (expected,) = run_onnxruntime("MaxPool", attrs, [x])
    assert_close(run_native("MaxPool", attrs, [x], [expected])[0], expected, rtol=0, atol=0)


def test_windows_of_padding_alone() -> None:
    """Rows without columns, as only a damaged program has them."""
    attrs: dict[str, _kernels.AttrValue] = {
        "kernel_shape": [1, 3], "strides": [1, 2], "pads": [0, 1, 0, 2], "dilations": [1, 1],
        "ceil_mode": 0, "count_include_pad": 0,
    }  # fmt: skip
    x, like = np.zeros((1, 2, 3, 0), np.float32), np.zeros((1, 2, 3, 1), np.float32)
    assert (run_native("MaxPool", attrs, [x], [like])[0] == -np.inf).all()
    assert (run_native("AveragePool", attrs, [x], [like])[0] == 0).all()


def test_refusals_say_what_was_given() -> None:
    attrs: dict[str, _kernels.AttrValue] = {
        "kernel_shape": [2], "strides": [2], "pads": [0, 0], "dilations": [1], "ceil_mode": 0
    }  # fmt: skip
    x = normal((1, 2, 8), 4)
    with pytest.raises(ValueError, match=r"expected the shape \[1, 2, 4\]"):
        make_step("MaxPool", attrs, [x], [x])
    with pytest.raises(ValueError, match=r"strides \[0\]"):
        make_step("MaxPool", {**attrs, "strides": [0]}, [x], [x[:, :, ::2]])
    deep = normal((1, 1, 2, 2, 2, 2), 5)
    with pytest.raises(_kernels.UnsupportedLayerError, match="one to three spatial dimensions"):
        make_step("MaxPool", attrs, [deep], [deep])
