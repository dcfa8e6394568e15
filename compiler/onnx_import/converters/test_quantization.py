"""QuantizeLinear and DequantizeLinear of any opset, and what of a constant is remembered."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from coexec.compiler.onnx_import import import_model, prepare, signature_of
from coexec.compiler.onnx_import.conftest import Array, Check, OneNode

_RNG = np.random.default_rng(5)
_X = _RNG.normal(0, 9, (2, 3, 4)).astype(np.float32)
EXACT = {"rtol": 0.0, "atol": 0.0}


@pytest.mark.parametrize("opset", [10, 13, 19, 21])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, None])
def test_one_scale(same: Check, opset: int, dtype: type[np.generic] | None) -> None:
    zero = None if dtype is None else np.array(5, dtype)
    scale: Array = np.array(0.125, np.float32)
    same(OneNode("QuantizeLinear", [_X, scale, zero], opset=opset, constants=(1, 2)), **EXACT)
    q = _RNG.integers(0, 100, (2, 3, 4)).astype(dtype or np.uint8)
    same(OneNode("DequantizeLinear", [q, scale, zero], opset=opset, constants=(1, 2)), **EXACT)


@pytest.mark.parametrize("axis", [None, 0, 2, -1, -2])
@pytest.mark.parametrize("constants", [(), (1, 2)])
def test_a_scale_per_channel(same: Check, axis: int | None, constants: tuple[int, ...]) -> None:
    channels = _X.shape[1 if axis is None else axis]
    scale: Array = 2.0 ** -_RNG.integers(0, 4, (channels,)).astype(np.float32)
    zero: Array = _RNG.integers(-9, 9, (channels,)).astype(np.int8)
    attrs = {} if axis is None else {"axis": axis}
    for op, x in (("QuantizeLinear", _X), ("DequantizeLinear", _X.astype(np.int8))):
        same(OneNode(op, [x, scale, zero], attrs, opset=13, constants=constants), **EXACT)


def test_ties_and_ends(same: Check) -> None:
    x = np.array([-1e30, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 126.5, 1e30], np.float32)
    for zero in (np.uint8(0), np.uint8(255), np.int8(-128), np.int8(3)):
        operands: list[Array | None] = [x, np.array(1, np.float32), np.array(zero)]
        same(OneNode("QuantizeLinear", operands, opset=13, constants=(1, 2)), **EXACT)


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"block_size": 2, "axis": 2}, "scale per block"),
        ({"output_dtype": 5}, "integers of i16"),
    ],
)
def test_what_stays(same: Check, attrs: dict[str, int], reason: str) -> None:
    blocks = "block_size" in attrs
    scale: Array = np.full((2, 3, 2), 0.5, np.float32) if blocks else np.array(0.5, np.float32)
    case = OneNode("QuantizeLinear", [_X, scale], attrs, opset=21, constants=(1,))
    same(case, foreign=reason)


def test_a_constant_is_computed_and_its_integers_are_kept() -> None:
    steps = _RNG.integers(-127, 128, (3, 4)).astype(np.int8)
    scale, zero = np.array([0.5, 0.25, 0.125], np.float32), np.zeros(3, np.int8)
    case = OneNode("DequantizeLinear", [steps, scale, zero], {"axis": 0}, 13, (0, 1, 2))
    model = case.model()
    node = onnx.helper.make_node("Gemm", ["x", "y0"], ["z"], transB=0)
    model.graph.node.append(node)
    model.graph.input.append(onnx.helper.make_tensor_value_info("x", 1, [2, 3]))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, [2, 4]))
    imported = import_model(prepare(model, signature_of(model).bind("model", {})))
    (gemm,) = imported.items
    weight = gemm.layers[0].inputs[1]
    assert weight is not None
    assert weight.integers is not None
    assert weight.integers.axis == 1
    np.testing.assert_array_equal(weight.integers.steps, steps.T)
    np.testing.assert_array_equal(weight.constant, (steps * scale[:, None]).T)
