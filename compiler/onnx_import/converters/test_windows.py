import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.onnx_import.conftest import Check, OneNode

_RNG = np.random.default_rng(6)


@st.composite
def pools(draw: st.DrawFn) -> OneNode:
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    rank = draw(st.integers(1, 2))
    kernel = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    strides = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    attrs: dict[str, object] = {"kernel_shape": kernel, "strides": strides}
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad == "NOTSET":
        attrs["pads"] = [min(draw(st.integers(0, 1)), k - 1) for k in kernel * 2]
        attrs["ceil_mode"] = draw(st.integers(0, 1))
    else:
        attrs["auto_pad"] = auto_pad
        attrs["strides"] = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
    if op == "AveragePool":
        attrs["count_include_pad"] = draw(st.integers(0, 1))
    spatial = draw(st.lists(st.integers(5, 9), min_size=rank, max_size=rank))
    x = _RNG.standard_normal((1, 2, *spatial)).astype(np.float32)
    return OneNode(op, [x], attrs)


@settings(deadline=None, max_examples=40)
@given(case=pools())
def test_pools(same: Check, case: OneNode) -> None:
    same(case)


def test_a_pool_whose_positions_are_used_stays_foreign(same: Check) -> None:
    x = _RNG.standard_normal((1, 1, 4, 4)).astype(np.float32)
    case = OneNode("MaxPool", [x], {"kernel_shape": [2, 2]}, outputs=2)
    same(case, foreign="list of positions is used")


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 4, 3, 5)])
def test_global_pools(same: Check, op: str, shape: tuple[int, ...]) -> None:
    graph = same(OneNode(op, [_RNG.standard_normal(shape).astype(np.float32)]))
    assert graph.layers[0].op in ("ReduceMean", "ReduceMax")


@st.composite
def resizes(draw: st.DrawFn) -> OneNode:
    mode = draw(st.sampled_from(["nearest", "linear"]))
    coordinates = draw(
        st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
    )
    attrs = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attrs["nearest_mode"] = draw(
            st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        )
    x = _RNG.standard_normal((1, 2, 4, 6)).astype(np.float32)
    if draw(st.booleans()):
        sizes = np.array([1, 2, draw(st.integers(2, 9)), draw(st.integers(2, 9))], np.int64)
        return OneNode("Resize", [x, None, None, sizes], attrs, constants=(3,))
    scale = draw(st.sampled_from([0.5, 1.5, 2.0, 3.0]))
    scales = np.array([1, 1, scale, 2.0], np.float32)
    return OneNode("Resize", [x, None, scales], attrs, constants=(2,))


@settings(deadline=None, max_examples=40)
@given(case=resizes())
def test_resize(same: Check, case: OneNode) -> None:
    same(case)


def test_resize_of_named_axes(same: Check) -> None:
    x = _RNG.standard_normal((1, 2, 4, 6)).astype(np.float32)
    sizes = np.array([8], np.int64)
    attrs = {"axes": [3], "mode": "nearest"}
    same(OneNode("Resize", [x, None, None, sizes], attrs, opset=18, constants=(3,)))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [9, 10])
def test_upsample_and_the_first_resize(same: Check, mode: str, opset: int) -> None:
    x = _RNG.standard_normal((1, 2, 3, 4)).astype(np.float32)
    scales = np.array([1, 1, 2, 2], np.float32)
    op = "Upsample" if opset == 9 else "Resize"
    same(OneNode(op, [x, scales], {"mode": mode}, opset=opset, constants=(1,)))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [0.33, 0.5, 0.7])
def test_the_first_resize_to_a_smaller_size(same: Check, mode: str, scale: float) -> None:
    x = _RNG.standard_normal((1, 2, 8, 9)).astype(np.float32)
    scales = np.array([1, 1, 1, scale], np.float32)
    same(OneNode("Resize", [x, scales], {"mode": mode}, opset=10, constants=(1,)))


def test_the_first_resize_that_shrinks_and_grows_stays_foreign(same: Check) -> None:
    x = _RNG.standard_normal((1, 2, 8, 9)).astype(np.float32)
    case = OneNode("Resize", [x, np.array([1, 1, 2, 0.5], np.float32)], opset=10, constants=(1,))
    same(case, foreign="one dim shrinks and another grows")


def test_cubic_stays_foreign(same: Check) -> None:
    x = _RNG.standard_normal((1, 1, 4, 4)).astype(np.float32)
    scales = np.array([1, 1, 2, 2], np.float32)
    case = OneNode("Resize", [x, None, scales], {"mode": "cubic"}, constants=(2,))
    same(case, foreign="mode cubic")
