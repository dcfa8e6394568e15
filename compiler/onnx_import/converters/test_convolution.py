import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.onnx_import.conftest import Check, OneNode

_RNG = np.random.default_rng(5)


def _random(*shape: int) -> np.ndarray:
    return _RNG.standard_normal(shape).astype(np.float32)


@st.composite
def convolutions(draw: st.DrawFn) -> OneNode:
    rank = draw(st.integers(1, 2))
    group = draw(st.sampled_from([1, 1, 2]))
    kernel = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    strides = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    dilations = draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank))
    auto_pad = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    attrs = {"strides": strides, "group": group, "auto_pad": auto_pad}
    if auto_pad in ("NOTSET", "VALID"):
        attrs["dilations"] = dilations
    if auto_pad == "NOTSET":
        attrs["pads"] = draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank))
    spatial = draw(st.lists(st.integers(8, 12), min_size=rank, max_size=rank))
    x = _random(draw(st.integers(1, 2)), 2 * group, *spatial)
    operands = [x, _random(3 * group, 2, *kernel), _random(3 * group)]
    return OneNode("Conv", operands[: draw(st.integers(2, 3))], attrs, constants=(1, 2))


@settings(deadline=None, max_examples=30)
@given(case=convolutions())
def test_conv(same: Check, case: OneNode) -> None:
    same(case)


@st.composite
def transposed(draw: st.DrawFn) -> OneNode:
    kernel = draw(st.integers(2, 4))
    stride = draw(st.integers(1, 3))
    attrs = {"strides": [stride, stride], "group": draw(st.sampled_from([1, 2]))}
    way = draw(st.sampled_from(["pads", "output_shape", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if way == "pads":
        attrs["pads"] = draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))
        attrs["output_padding"] = [draw(st.integers(0, stride - 1))] * 2
    elif way == "output_shape":
        full = 4 * stride + kernel
        attrs["output_shape"] = [draw(st.integers(full - kernel + 1, full))] * 2
    else:
        kernel = max(kernel, stride) if way != "VALID" else kernel
        attrs["auto_pad"] = way
    x, w = _random(1, 4, 5, 5), _random(4, 3, kernel, kernel)
    return OneNode("ConvTranspose", [x, w], attrs, constants=(1,))


@settings(deadline=None, max_examples=30)
@given(case=transposed())
def test_conv_transpose(same: Check, case: OneNode) -> None:
    same(case)


@pytest.mark.parametrize(
    ("activation", "params"),
    [
        ("Relu", []),
        ("LeakyRelu", [0.2]),
        ("HardSigmoid", [0.3, 0.4]),
        ("Clip", [-0.5, 0.5]),
        ("", []),
    ],
)
@pytest.mark.parametrize("residual", [False, True])
def test_fused_conv(same: Check, activation: str, params: list[float], residual: bool) -> None:
    attrs = {"activation": activation, "activation_params": params, "pads": [1, 1, 1, 1]}
    attrs = {name: value for name, value in attrs.items() if value}
    operands = [_random(1, 2, 5, 5), _random(2, 2, 3, 3), _random(2)]
    operands += [_random(1, 2, 5, 5)] if residual else []
    same(OneNode("FusedConv", operands, attrs, constants=(1, 2), domain="com.microsoft"))
