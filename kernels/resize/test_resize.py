"""Resize against ONNX Runtime, and against the ONNX definition where that one differs."""

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

EXAMPLES = settings(deadline=None, max_examples=25)
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]


def normal(shape: tuple[int, ...], seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(0, 2, shape), np.float32)


def compare(x: Array, scales: list[float], mode: str, coordinates: str, nearest: str) -> None:
    attrs: dict[str, _kernels.AttrValue] = {
        "mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": nearest
    }  # fmt: skip
    factors = np.asarray(scales, np.float32)
    (expected,) = run_onnxruntime("Resize", attrs, [x, None, factors], constants=[2])
    if 0 in expected.shape:
        return
    native = {**attrs, "scales": [float(s) for s in factors]}
    (got,) = run_native("Resize", native, [x], [expected])
    assert_close(got, expected, rtol=1e-5, atol=2e-5 if mode == "linear" else 0)


SCALES = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 0.75])


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_nearest(coordinates: str, nearest: str, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    scales = [1.0, 1.0, *(data.draw(SCALES) for _ in range(rank))]
    shape = (2, 3, *(data.draw(st.integers(2, 12)) for _ in range(rank)))
    compare(normal(shape, 1), scales, "nearest", coordinates, nearest)


@pytest.mark.parametrize("coordinates", COORDINATES)
@given(data=st.data())
@EXAMPLES
def test_linear(coordinates: str, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    scales = [1.0, 1.0, *(data.draw(SCALES) for _ in range(rank))]
    shape = (2, 3, *(data.draw(st.integers(2, 20)) for _ in range(rank)))
    compare(normal(shape, 2), scales, "linear", coordinates, "floor")


def test_large_images() -> None:
    x = normal((1, 8, 60, 71), 3)
    compare(x, [1, 1, 2, 2], "linear", "half_pixel", "floor")
    compare(x, [1, 1, 2, 2], "nearest", "asymmetric", "floor")


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16"])
def test_nearest_of_any_element_size(dtype: str) -> None:
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    attrs: dict[str, _kernels.AttrValue] = {
        "mode": "nearest", "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor", "scales": [1.0, 1.0, 2.0, 3.0],
    }  # fmt: skip
    expected = x.repeat(2, 2).repeat(3, 3)
    assert_close(run_native("Resize", attrs, [x], [expected])[0], expected)
    channels_last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    expected = channels_last.repeat(2, 1).repeat(3, 2)
    attrs["scales"] = [1.0, 2.0, 3.0, 1.0]
    assert_close(run_native("Resize", attrs, [channels_last], [expected])[0], expected)


def test_half_pixel_symmetric_keeps_the_centre() -> None:
    x = normal((1, 1, 5), 4)
    scale = 1.3  # 6 places stand for 6.5
    places = 5 / 2 * (1 - 6 / 6.5) + (np.arange(6) + 0.5) / scale - 0.5
    expected = np.interp(places, np.arange(5), x[0, 0]).astype(np.float32).reshape(1, 1, 6)
    attrs: dict[str, _kernels.AttrValue] = {
        "mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric",
        "nearest_mode": "floor", "scales": [1.0, 1.0, scale],
    }  # fmt: skip
    assert_close(run_native("Resize", attrs, [x], [expected])[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "cubic"}, 'mode "cubic"'),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize"),
        ({"nearest_mode": "simple", "mode": "nearest"}, 'nearest_mode "simple"'),
    ],
)
def test_refusals_say_what_was_given(change: dict[str, _kernels.AttrValue], message: str) -> None:
    x = normal((1, 1, 4), 5)
    attrs: dict[str, _kernels.AttrValue] = {
        "mode": "linear", "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "floor", "scales": [1.0, 1.0, 1.0], **change,
    }  # fmt: skip
    with pytest.raises(_kernels.UnsupportedLayerError, match=message):
        make_step("Resize", attrs, [x], [x])
