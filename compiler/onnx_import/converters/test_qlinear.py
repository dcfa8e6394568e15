"""Ops on quantized tensors, one by one, against ONNX Runtime. Scales are powers of two and weights
small, so that its products cannot saturate: but for its own pools, results must be equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coexec.compiler.onnx_import import import_model, prepare, signature_of
from coexec.compiler.onnx_import.conftest import Array, Check, OneNode

_RNG = np.random.default_rng(7)
_MICROSOFT = "com.microsoft"
_ZEROS: dict[type[np.generic], int] = {np.uint8: 100, np.int8: -3}


def _scale(*powers: int) -> Array:
    scale: Array = np.exp2(powers).astype(np.float32)
    return scale if len(powers) > 1 else scale.reshape(())


def _steps(dtype: type[np.generic], *shape: int) -> Array:
    low = 0 if dtype is np.uint8 else -128
    return _RNG.integers(low, low + 256, shape).astype(dtype)


def _small(*shape: int) -> Array:
    return _RNG.integers(-60, 61, shape).astype(np.int8)


def _same(check: Check, case: OneNode, *, off: float = 0.0) -> None:
    """off: by how many steps results may differ."""
    check(case, rtol=0.0, atol=off)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("channels", "attrs"),
    [
        (6, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
        (3, {"group": 2, "auto_pad": "SAME_UPPER"}),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(
    same: Check,
    dtype: type[np.generic],
    per_channel: bool,
    channels: int,
    attrs: dict[str, Any],
    bias: bool,
) -> None:
    powers = _RNG.integers(-9, -5, 4 if per_channel else 1)
    zeros = np.zeros(4 if per_channel else (), np.int8)
    zero = np.array(_ZEROS[dtype], dtype)
    operands: list[Array | None] = [
        _steps(dtype, 2, 6, 9, 8), _scale(-4), zero,
        _small(4, channels, 3, 3), _scale(*powers), zeros,
        _scale(-3), zero,
    ]  # fmt: skip
    if bias:
        operands.append(_RNG.integers(-5000, 5000, 4).astype(np.int32))
    case = OneNode("QLinearConv", operands, attrs, constants=range(1, len(operands)))
    _same(same, case)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_matmul(same: Check, dtype: type[np.generic], per_column: bool, constant: bool) -> None:
    powers = _RNG.integers(-9, -5, 5 if per_column else 1)
    zeros = np.zeros(5 if per_column else (), np.int8)
    zero = np.array(_ZEROS[dtype], dtype)
    operands: list[Array | None] = [
        _steps(dtype, 2, 3, 7), _scale(-4), zero,
        _small(7, 5), _scale(*powers), zeros,
        _scale(-3), zero,
    ]  # fmt: skip
    constants = [1, 2, *([3] if constant else []), 4, 5, 6, 7]
    _same(same, OneNode("QLinearMatMul", operands, constants=constants))


def test_a_scale_per_row_stays() -> None:
    """As ONNX has it; ONNX Runtime refuses it too."""
    zero = np.array(100, np.uint8)
    operands: list[Array | None] = [
        _steps(np.uint8, 2, 7), _scale(-4, -3), np.array([100, 3], np.uint8),
        _small(7, 5), _scale(-6), np.array(0, np.int8),
        _scale(-3), zero,
    ]  # fmt: skip
    model = OneNode("QLinearMatMul", operands, constants=range(1, 8)).model()
    imported = import_model(prepare(model, signature_of(model).bind("model", {})))
    assert [item.reason for item in imported.items] == ["its first operand has a scale per row"]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("floats", [False, True])
def test_gemm(same: Check, transposed: int, floats: bool) -> None:
    shape = (5, 7) if transposed else (7, 5)
    zero = np.array(100, np.uint8)
    operands: list[Array | None] = [
        _steps(np.uint8, 3, 7), _scale(-4), zero,
        _small(*shape), _scale(*_RNG.integers(-9, -5, 5)), np.zeros(5, np.int8),
        _RNG.integers(-5000, 5000, 5).astype(np.int32),
    ]  # fmt: skip
    if not floats:
        operands += [_scale(-3), zero]
    case = OneNode(
        "QGemm",
        operands,
        {"transB": transposed},
        constants=range(1, len(operands)),
        domain=_MICROSOFT,
    )
    _same(same, case)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_two_operands(same: Check, op: str, dtype: type[np.generic]) -> None:
    """The zero point is even: ONNX Runtime adds it before it rounds, so ties to even agree."""
    zero = np.array(_ZEROS[dtype] & ~1, dtype)
    operands: list[Array | None] = [
        _steps(dtype, 2, 3, 7), _scale(-4), zero,
        _steps(dtype, 3, 1), _scale(-5), np.array(7, dtype),
        _scale(-3), zero,
    ]  # fmt: skip
    _same(same, OneNode(op, operands, constants=(1, 2, 4, 5, 6, 7), domain=_MICROSOFT))


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("QLinearSigmoid", {}),
        ("QLinearLeakyRelu", {"alpha": 0.25}),
        ("QLinearGlobalAveragePool", {"channels_last": 0}),
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ],
)
def test_one_operand(same: Check, op: str, attrs: dict[str, Any]) -> None:
    operands: list[Array | None] = [
        _steps(np.uint8, 1, 3, 6, 6), _scale(-5), np.array(100, np.uint8),
        _scale(-6), np.array(90, np.uint8),
    ]  # fmt: skip
    case = OneNode(op, operands, attrs, constants=(1, 2, 3, 4), domain=_MICROSOFT)
    _same(same, case, off=1.0)  # sums and functions of its own


def test_concat(same: Check) -> None:
    operands: list[Array | None] = [
        _scale(-4), np.array(100, np.uint8),
        _steps(np.uint8, 2, 3), _scale(-4), np.array(90, np.uint8),
        _steps(np.uint8, 2, 5), _scale(-5), np.array(0, np.uint8),
    ]  # fmt: skip
    constants = (0, 1, 3, 4, 6, 7)
    case = OneNode("QLinearConcat", operands, {"axis": 1}, constants=constants, domain=_MICROSOFT)
    _same(same, case)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_the_largest_of_integers(same: Check, dtype: type[np.generic]) -> None:
    attrs = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    _same(same, OneNode("MaxPool", [_steps(dtype, 1, 3, 7, 8)], attrs))
